//! The readers' side of the store.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use fjall::{Database, Keyspace};

use crate::ids::{Offset, UnixMillis};
use crate::log::embedded::layout::{StoreError, key_of};
use crate::log::embedded::store::TIME_BYTES;
use crate::log::feed::{History, HistoryError};
use crate::log::tail::{Slot, TAKE_BYTES_MAX, TAKE_RECORDS_MAX};

/// The tables of an open store.
pub(super) struct Tables {
    /// Keeps the store open.
    _db: Database,
    shards: Vec<Keyspace>,
}

impl Tables {
    pub(super) fn new(db: Database, shards: Vec<Keyspace>) -> Self {
        Self { _db: db, shards }
    }
}

/// What the readers may use at present.
pub(super) struct Disk(RwLock<Access>);

enum Access {
    Open(Tables),
    Broken(String),
    Closed,
}

impl Disk {
    pub(super) fn new(tables: Tables) -> Self {
        Self(RwLock::new(Access::Open(tables)))
    }

    /// Waits for reads that are under way, then lets go of the store.
    pub(super) fn set_broken(&self, cause: &str) {
        self.set(Access::Broken(cause.to_owned()));
    }

    pub(super) fn set_open(&self, tables: Tables) {
        self.set(Access::Open(tables));
    }

    pub(super) fn set_closed(&self) {
        self.set(Access::Closed);
    }

    fn set(&self, access: Access) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = access;
    }

    fn with<T>(&self, shard: usize, run: impl FnOnce(&Keyspace) -> Result<T, HistoryError>) -> Result<T, HistoryError> {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Access::Open(tables) => run(tables.shards.get(shard).ok_or(HistoryError::Closed)?),
            Access::Broken(cause) => Err(HistoryError::Failed(cause.clone())),
            Access::Closed => Err(HistoryError::Closed),
        }
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

/// One shard's records on disk, read in threads that may block.
#[derive(Debug, Clone)]
pub(super) struct DiskHistory {
    disk: Arc<Disk>,
    shard: usize,
}

impl DiskHistory {
    pub(super) fn new(disk: Arc<Disk>, shard: usize) -> Self {
        Self { disk, shard }
    }

    async fn run<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Keyspace) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, HistoryError> {
        let Self { disk, shard } = self.clone();
        tokio::task::spawn_blocking(move || disk.with(shard, run)).await.unwrap_or(Err(HistoryError::Closed))
    }
}

impl History for DiskHistory {
    async fn locate(&self, time: UnixMillis) -> Result<Offset, HistoryError> {
        self.run(move |records| locate(records, time)).await
    }

    async fn read(&self, from: Offset, last: Option<Offset>) -> Result<Vec<Slot>, HistoryError> {
        self.run(move |records| read(records, from, last)).await
    }
}

/// The last record's place and time.
pub(super) fn last_of(records: &Keyspace) -> Result<Option<(Offset, UnixMillis)>, StoreError> {
    let Some(guard) = records.last_key_value() else { return Ok(None) };
    let (key, value) = guard.into_inner()?;
    Ok(slot_of(&key, &value).map(|slot| (slot.offset, slot.at)))
}

/// Starts with the record that was read before, if there was one. Only the oldest records are ever dropped, so if
/// that one is there, so is everything behind it.
fn read(records: &Keyspace, from: Offset, last: Option<Offset>) -> Result<Vec<Slot>, HistoryError> {
    let mut slots = Vec::new();
    let mut bytes = 0;
    let mut expected = last;
    for guard in records.range(key_of(last.unwrap_or(from))..) {
        let (key, value) = guard.into_inner().map_err(failed)?;
        if let Some(last) = expected.take() {
            if key.as_ref() != key_of(last) {
                return Err(HistoryError::Gone);
            }
            continue;
        }
        let Some(slot) = slot_of(&key, &value) else { continue };
        bytes += slot.bytes.len();
        slots.push(slot);
        if slots.len() >= TAKE_RECORDS_MAX || bytes >= TAKE_BYTES_MAX {
            break;
        }
    }
    if expected.is_some() { Err(HistoryError::Gone) } else { Ok(slots) }
}

/// Halves the range of offsets: times never fall, and a probe finds the first record at or behind an offset.
fn locate(records: &Keyspace, time: UnixMillis) -> Result<Offset, HistoryError> {
    let first = records.first_key_value().map(fjall::Guard::key).transpose().map_err(failed)?;
    let last = records.last_key_value().map(fjall::Guard::key).transpose().map_err(failed)?;
    let (Some(mut low), Some(last)) = (first.and_then(|key| offset_of(&key)), last.and_then(|key| offset_of(&key)))
    else {
        return Ok(Offset(0));
    };
    let mut high = Offset(last.0 + 1);
    while low < high {
        let middle = Offset(low.0 + (high.0 - low.0) / 2);
        let probe = records.range(key_of(middle)..).next().map(fjall::Guard::into_inner).transpose().map_err(failed)?;
        match probe.and_then(|(key, value)| slot_of(&key, &value)) {
            Some(slot) if slot.at < time => low = Offset(slot.offset.0 + 1),
            _ => high = middle,
        }
    }
    Ok(low)
}

fn failed(error: fjall::Error) -> HistoryError {
    HistoryError::Failed(error.to_string())
}

fn offset_of(key: &[u8]) -> Option<Offset> {
    Some(Offset(u64::from_be_bytes(key.try_into().ok()?)))
}

fn slot_of(key: &[u8], value: &[u8]) -> Option<Slot> {
    let (at, bytes) = value.split_first_chunk::<TIME_BYTES>()?;
    Some(Slot {
        offset: offset_of(key)?,
        at: UnixMillis(u64::from_be_bytes(*at)),
        bytes: Bytes::copy_from_slice(bytes),
    })
}
