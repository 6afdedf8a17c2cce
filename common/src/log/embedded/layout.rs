//! The store's sizes, its options, and its metadata.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::compaction::Fifo;
use fjall::config::{BlockSizePolicy, FilterPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::ids::Offset;
use crate::log::RETENTION_MS;
use crate::log::embedded::journal;

/// Of the arrangement below; another version's directory is refused.
const FORMAT: u64 = 1;

/// Blocks that reads have in common. Reads are sequential and rare, so there is little to gain.
const CACHE_BYTES: u64 = 1024 * 1024;

/// Flushing and dropping tables is all the work there is, and one thread keeps the order that the dropping relies on.
const WORKER_THREADS: usize = 1;

/// Tables that stay open. More are opened when a reader passes them.
const OPEN_FILES_MAX: usize = 64;

/// The least that the store allows. It bounds what is read back at the start.
const JOURNALS_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Records of a shard in memory before they become a table: about what a shard costs in memory, and twice that while
/// it is flushed. With half of it, 10,000 notifications a second waited for flushes (99 % in 380 instead of 60 ms).
const MEMTABLE_BYTES: u64 = 2 * 1024 * 1024;

/// Records are only read in long runs, so large blocks keep the tables' indexes small.
const BLOCK_BYTES: u32 = 32 * 1024;

/// What a shard's tables may take on disk: an hour of 300 notifications of 500 bytes a second, or the last
/// 15 minutes (what a starting gateway reads) of 1,200 a second.
const SHARD_DISK_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Sizes that tests make smaller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) memtable_bytes: u64,
    pub(super) shard_disk_bytes_max: u64,
    pub(super) retention_seconds: u64,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            memtable_bytes: MEMTABLE_BYTES,
            shard_disk_bytes_max: SHARD_DISK_BYTES_MAX,
            retention_seconds: RETENTION_MS / 1000,
        }
    }
}

/// Why a store cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("it was made with {made} shards")]
    Shards { made: u16 },
    #[error("it has format {0:?}, this version knows {FORMAT}")]
    Format(Option<u64>),
    #[error("it has vanished")]
    Vanished,
    #[error(transparent)]
    Io(std::io::Error),
    #[error(transparent)]
    Fjall(fjall::Error),
}

impl From<fjall::Error> for StoreError {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Io(error) => Self::Io(error),
            other => Self::Fjall(other),
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// The handles of an open store.
pub(super) struct Opened {
    pub(super) db: Database,
    pub(super) meta: Keyspace,
    pub(super) shards: Vec<Keyspace>,
    pub(super) epoch: u64,
}

/// Makes the store where none is. It appears complete or not at all: a process that dies in the middle leaves
/// only a directory that the next one removes.
pub(super) fn ensure(path: &Path, shards: u16, layout: Layout) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    let unfinished = path.with_extension("new");
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished)?;
    }
    make_private_dir(&unfinished)?;
    {
        let db = database(&unfinished)?;
        let meta = meta_of(&db)?;
        for shard in 0..shards {
            records_of(&db, shard, layout)?;
        }
        let mut batch = db.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&meta, "format", FORMAT.to_be_bytes());
        batch.insert(&meta, "epoch", fastrand::u64(..).to_be_bytes());
        batch.insert(&meta, "shards", u64::from(shards).to_be_bytes());
        batch.commit()?;
    }
    std::fs::rename(&unfinished, path)?;
    Ok(sync_parent(path)?)
}

/// Makes a directory and those above it that are missing, so that none of them goes with the machine's power.
pub(super) fn make_dirs(dir: &Path) -> std::io::Result<()> {
    let missing: Vec<_> = dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    std::fs::create_dir_all(dir)?;
    missing.into_iter().rev().try_for_each(sync_parent)
}

/// Makes sure that the name of a file or directory survives the machine's power.
pub(super) fn sync_parent(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(parent)?.sync_all()
}

/// Opens the store, after cutting what a crash left unfinished at the end of its journal.
pub(super) fn open(path: &Path, shards: u16, layout: Layout) -> Result<Opened, StoreError> {
    if !path.is_dir() {
        return Err(StoreError::Vanished);
    }
    journal::cut_torn_tail(path)?;
    let db = database(path)?;
    let meta = meta_of(&db)?;
    let format = number_of(&meta, "format")?;
    if format != Some(FORMAT) {
        return Err(StoreError::Format(format));
    }
    let made = number_of(&meta, "shards")?.and_then(|made| u16::try_from(made).ok()).unwrap_or_default();
    if made != shards {
        return Err(StoreError::Shards { made });
    }
    let epoch = number_of(&meta, "epoch")?.unwrap_or_default();
    let shards = (0..shards).map(|shard| records_of(&db, shard, layout)).collect::<Result<_, _>>()?;
    Ok(Opened { db, meta, shards, epoch })
}

/// Where the metadata keeps the offset that a shard's next start begins at.
pub(super) fn ceiling_key(shard: usize) -> String {
    format!("ceiling.{shard}")
}

/// A number of the metadata.
pub(super) fn number_of(meta: &Keyspace, key: &str) -> Result<Option<u64>, StoreError> {
    Ok(meta.get(key)?.and_then(|value| Some(u64::from_be_bytes(value.as_ref().try_into().ok()?))))
}

/// The key of a record: tables sort by bytes, so big endian keeps the order.
pub(super) fn key_of(offset: Offset) -> [u8; 8] {
    offset.0.to_be_bytes()
}

fn database(path: &Path) -> Result<Database, StoreError> {
    Ok(Database::builder(path)
        .cache_size(CACHE_BYTES)
        .worker_threads(WORKER_THREADS)
        .max_cached_files(Some(OPEN_FILES_MAX))
        .max_journaling_size(JOURNALS_BYTES_MAX)
        .manual_journal_persist(true)
        .open()?)
}

fn meta_of(db: &Database) -> Result<Keyspace, StoreError> {
    Ok(db.keyspace("meta", || KeyspaceCreateOptions::default().max_memtable_size(CACHE_BYTES))?)
}

fn records_of(db: &Database, shard: u16, layout: Layout) -> Result<Keyspace, StoreError> {
    let options = || {
        KeyspaceCreateOptions::default()
            .max_memtable_size(layout.memtable_bytes)
            .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
            .filter_policy(FilterPolicy::disabled())
            .compaction_strategy(Arc::new(Fifo::new(layout.shard_disk_bytes_max, Some(layout.retention_seconds))))
    };
    Ok(db.keyspace(&format!("shard.{shard}"), options)?)
}

/// Notifications are nobody else's to read.
fn make_private_dir(path: &PathBuf) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
