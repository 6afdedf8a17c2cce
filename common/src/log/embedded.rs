//! The log on this machine's disk, in this process. It serves the single binary.
//!
//! One writer thread commits everything that waits as one batch with one sync, for all shards together, then
//! resolves the appends and hands the records to the readers from memory. Readers that want older records read the
//! disk, in threads of their own. The store is `fjall`: a journal that is synced, and sorted tables that are
//! dropped whole when their time or the byte limit is over.
//!
//! What the directory holds:
//!
//! ```text
//! DIR/lock     held as long as a process uses the directory
//! DIR/log/     the store: one keyspace per shard (offset -> time of append, record), and `meta`
//! DIR/log/N.jnl.damaged    only after damage: what was cut off a journal with complete batches in it
//! ```

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use tokio::sync::{oneshot, watch};
use tracing::{error, info};

use crate::ids::Shard;
use crate::log::appends::{Appends, too_large, up};
use crate::log::embedded::disk::{Disk, DiskHistory};
use crate::log::embedded::layout::{Layout, StoreError};
use crate::log::embedded::queue::{Queue, Request};
use crate::log::embedded::store::Store;
use crate::log::embedded::writer::Writer;
use crate::log::feed;
use crate::log::tail::Tail;
use crate::log::{AppendError, Log, Reader, Safety, SharedLog, Start};

mod disk;
mod journal;
mod layout;
mod queue;
mod store;
mod writer;

/// How much of a shard's newest records stays in memory for its readers. About a third of a second at 25,000
/// notifications a second; a reader that is further behind reads the disk.
const TAIL_BYTES_MAX: usize = 1024 * 1024;

/// Why a directory cannot be used as a log.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Creating, locking or reading it failed.
    #[error("the log's directory {} cannot be used: {source}", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What failed.
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error("another process uses the log's directory {}; stop that one, or give this one a directory of its own", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// The records there are spread over another number of shards.
    #[error(
        "the log in {} was made with {made} shards, and {wanted} are asked for: set shards to {made}, or stop, \
         remove {}/log (notifications that wait there are lost) and start again", dir.display(), dir.display()
    )]
    Shards {
        /// The directory.
        dir: PathBuf,
        /// The number that it was made with.
        made: u16,
        /// The number in the settings.
        wanted: u16,
    },
    /// What is there was written by another version, or is damaged.
    #[error("the log in {} cannot be opened: {reason}", dir.display())]
    Store {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// See the module.
#[derive(Debug)]
pub struct EmbeddedLog {
    name: String,
    tails: Vec<Arc<Tail>>,
    disk: Arc<Disk>,
    queue: Arc<Queue>,
    appends: Appends,
    ended: watch::Receiver<bool>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedLog {
    /// Opens the log in a directory, and makes both if they do not exist. Blocks while what was written last
    /// is read back: up to about a second.
    ///
    /// Dropping the log gives up what waits to be written; [`Log::close`] writes it.
    pub fn open(dir: &Path, shards: u16) -> Result<SharedLog, OpenError> {
        Self::open_as(dir, shards.max(1), Layout::default()).map(|log| -> SharedLog { Arc::new(log) })
    }

    fn open_as(dir: &Path, shards: u16, layout: Layout) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { dir: dir.to_owned(), source };
        layout::make_dirs(dir).map_err(io)?;
        let lock = lock(dir)?;
        let store = Store::open(&dir.join("log"), shards, layout).map_err(|error| match error {
            StoreError::Shards { made } => OpenError::Shards { dir: dir.to_owned(), made, wanted: shards },
            StoreError::Io(source) => io(source),
            other => OpenError::Store { dir: dir.to_owned(), reason: other.to_string() },
        })?;
        info!(dir = %dir.display(), shards, epoch = %format_args!("{:016x}", store.epoch()), "embedded log is open");
        Self::start(store, lock).map_err(io)
    }

    fn start(store: Store, lock: File) -> std::io::Result<Self> {
        let name = format!("embedded.{:016x}.{}", store.epoch(), store.shards());
        let tails: Vec<_> = store.nexts().map(|next| Arc::new(Tail::new(next, TAIL_BYTES_MAX))).collect();
        let disk = Arc::new(Disk::new(store.tables()));
        let queue = Arc::new(Queue::default());
        let appends = Appends::new();
        up(true);
        let (ends, ended) = watch::channel(false);
        let writer = Writer::new(store, queue.clone(), disk.clone(), tails.clone(), appends.clone());
        let ending = Ending { queue: queue.clone(), disk: disk.clone(), tails: tails.clone() };
        let thread = std::thread::Builder::new().name("log-writer".to_owned()).spawn(move || {
            let ending = ending;
            writer.run();
            drop(ending);
            drop(lock);
            ends.send_replace(true);
        })?;
        Ok(Self { name, tails, disk, queue, appends, ended, writer: Mutex::new(Some(thread)) })
    }

    fn accept(
        &self,
        shard: Shard,
        records: Vec<Bytes>,
        safety: Safety,
    ) -> Result<oneshot::Receiver<Result<(), AppendError>>, AppendError> {
        if too_large(&records) {
            return Err(AppendError::TooLarge);
        }
        if usize::from(shard.0) >= self.tails.len() {
            return Err(AppendError::Unavailable(format!("there is no shard {shard}")));
        }
        let (done, result) = oneshot::channel();
        self.queue.push(Request { shard: usize::from(shard.0), records, safety, done })?;
        Ok(result)
    }
}

/// Whatever ends the writer, nobody waits for it any longer: appends fail and readers end.
struct Ending {
    queue: Arc<Queue>,
    disk: Arc<Disk>,
    tails: Vec<Arc<Tail>>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!("the log's writer has crashed; the process must be started again");
        }
        self.queue.abandon();
        drop(self.queue.next(None));
        for tail in &self.tails {
            tail.close();
        }
        self.disk.set_closed();
        up(false);
    }
}

/// Locks the directory for this process.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let io = |source| OpenError::Io { dir: dir.to_owned(), source };
    let file = File::options().create(true).write(true).truncate(false).open(dir.join("lock")).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::Locked { dir: dir.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(io(source)),
    }
}

impl Log for EmbeddedLog {
    fn shards(&self) -> u16 {
        self.tails.len() as u16
    }

    fn name(&self, shard: Shard) -> String {
        format!("{}.{shard}", self.name)
    }

    fn append(&self, shard: Shard, records: Vec<Bytes>, safety: Safety) -> BoxFuture<'static, Result<(), AppendError>> {
        let count = records.len();
        match self.accept(shard, records, safety) {
            Ok(result) => result
                .map(|result| {
                    result.unwrap_or_else(|_| Err(AppendError::Unknown("the log's writer has ended".to_owned())))
                })
                .boxed(),
            Err(error) => {
                let result = Err(error);
                self.appends.count(count, &result);
                future::ready(result).boxed()
            }
        }
    }

    fn read(&self, shard: Shard, start: Start) -> Reader {
        let index = usize::from(shard.0);
        match self.tails.get(index) {
            Some(tail) => feed::spawn(shard, tail.clone(), DiskHistory::new(self.disk.clone(), index), start),
            None => feed::ended(),
        }
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.queue.close();
        let mut ended = self.ended.clone();
        async move {
            // An error means that the thread is gone, which is an end as well.
            let _ = ended.wait_for(|ended| *ended).await;
        }
        .boxed()
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.queue.abandon();
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It ends after the commit that it is in. Whoever opens the directory next must find it unlocked.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
