//! The log in RabbitMQ: one stream queue per shard.
//!
//! Two connections, because a broker that is short of disk or memory stops reading from connections that
//! publish: one to append ([`append`]) and one to read ([`read`]). Both are kept up in the background
//! ([`connection`]), and each new connection declares what it needs ([`topology`]). All shards share them, so what
//! fails on one stream must not end them ([`live`]).

mod append;
mod attachment;
mod burst;
mod connection;
mod dial;
mod live;
mod pool;
mod read;
mod settings;
mod topology;
mod up;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ids::Shard;
use crate::log::appends::Appends;
use crate::log::{AppendError, Log, Reader, Safety, Start};
use crate::metrics::{LOG_RECONNECTS, LOG_RECORDS_UNREADABLE};

use append::Writer;
use connection::{Link, Side};
use topology::Topology;

pub use settings::{NODES_MAX, RabbitSettings, SettingsError};

/// Batches that a reader may be ahead of the one who takes them; with `BATCH_MAX` of `read` and the broker's
/// prefetch this bounds what a slow taker holds in memory.
const EVENTS_WAITING_MAX: usize = 2;

/// The log in RabbitMQ. Must be made and used within a tokio runtime; dropping it ends its readers and writers.
#[derive(Debug)]
pub struct RabbitLog {
    topology: Topology,
    read: Link,
    append: Link,
    writers: Vec<Writer>,
    tasks: TaskTracker,
    /// No more appends are taken; those taken are finished.
    draining: CancellationToken,
    /// Everything ends.
    stop: CancellationToken,
}

impl RabbitLog {
    /// Begins to connect in the background and returns at once. Until a connection stands, appends fail with
    /// [`AppendError::Unavailable`] and readers wait.
    #[must_use]
    pub fn new(settings: RabbitSettings) -> Self {
        LOG_RECONNECTS.zero();
        LOG_RECORDS_UNREADABLE.zero();
        let topology = Topology::new(settings.shards);
        let settings = Arc::new(settings);
        let (tasks, draining, stop) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let read = Link::start(Arc::clone(&settings), topology, Side::Read, &stop);
        let append = Link::start(settings, topology, Side::Append, &stop);
        let appends = Arc::new(Appends::new());
        let writers = topology
            .all()
            .map(|shard| {
                let (pool, appends) = (pool::pool(append.clone()), Arc::clone(&appends));
                Writer::start(topology, shard, append.clone(), pool, appends, &tasks, &draining)
            })
            .collect();
        tasks.close();
        Self { topology, read, append, writers, tasks, draining, stop }
    }

    /// Waits for the outcome of the first attempt to connect, on both connections.
    ///
    /// # Errors
    /// What keeps the log from working now, with the node's address or the name of what is missing in the broker.
    /// It is tried again in the background all the same.
    pub async fn check(&self) -> Result<(), String> {
        for link in [&self.append, &self.read] {
            link.settled().await?;
        }
        Ok(())
    }

    /// Waits until both connections stand.
    ///
    /// # Errors
    /// The log was closed.
    pub async fn connected(&self) -> Result<(), String> {
        for link in [&self.append, &self.read] {
            link.up().await?;
        }
        Ok(())
    }
}

impl Log for RabbitLog {
    fn shards(&self) -> u16 {
        self.topology.shards()
    }

    /// The stream's name. Streams have no epoch that a client can see; readers compare what they find when they attach
    /// anew instead.
    fn name(&self, shard: Shard) -> String {
        self.topology.stream(shard)
    }

    /// Both kinds of safety are the broker's confirmation, which is as quick as anything else it could tell.
    fn append(&self, shard: Shard, records: Vec<Bytes>, _: Safety) -> BoxFuture<'static, Result<(), AppendError>> {
        match self.writers.get(usize::from(shard.0)) {
            Some(writer) => writer.append(records),
            None => std::future::ready(Err(AppendError::Unavailable(format!("there is no shard {shard}")))).boxed(),
        }
    }

    fn read(&self, shard: Shard, start: Start) -> Reader {
        let (events, taken) = mpsc::channel(EVENTS_WAITING_MAX);
        let again = Arc::new(Notify::new());
        if let Some(writer) = self.writers.get(usize::from(shard.0)) {
            let (link, stream, writer) = (self.read.clone(), self.topology.stream(shard), writer.clone());
            tokio::spawn(read::run(link, stream, start, writer, events, Arc::clone(&again), self.stop.clone()));
        }
        Reader::attached(taken, again)
    }

    fn reached(&self) -> BoxFuture<'static, ()> {
        let append = self.append.clone();
        async move { drop(append.up().await) }.boxed()
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.draining.cancel();
        let (tasks, stop) = (self.tasks.clone(), self.stop.clone());
        async move {
            tasks.wait().await;
            stop.cancel();
        }
        .boxed()
    }
}

impl Drop for RabbitLog {
    fn drop(&mut self) {
        self.draining.cancel();
        self.stop.cancel();
    }
}
