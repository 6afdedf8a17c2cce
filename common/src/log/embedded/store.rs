//! The writer's side of the store: gives out offsets and commits.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fjall::{Keyspace, OwnedWriteBatch, PersistMode, UserValue};

use crate::ids::{Offset, UnixMillis};
use crate::log::Safety;
use crate::log::embedded::disk::{Tables, last_of};
use crate::log::embedded::layout::{self, Layout, Opened, StoreError, ceiling_key, key_of, number_of};
use crate::log::embedded::queue::Request;
use crate::log::tail::Slot;

/// How many offsets are reserved at once. A start after a crash skips what is left of them, so that an offset that
/// anybody has seen is never given out again, even if its record was lost with the machine's power.
const CEILING_STEP: u64 = 1 << 20;

/// Sealed memtables of a shard above which the writer waits. The store waits at 4 by itself, but for ever if
/// its worker has died of a full disk.
const SEALED_MAX: usize = 1;

/// How often the writer looks whether a memtable has been flushed; the store does not tell.
const FLUSH_POLL: Duration = Duration::from_millis(2);

/// Space before a record in its value: the time of its append.
pub(super) const TIME_BYTES: usize = 8;

/// An open store.
pub(super) struct Store {
    opened: Opened,
    places: Vec<Place>,
    path: PathBuf,
    layout: Layout,
}

/// Where a shard goes on.
#[derive(Debug, Clone, Copy)]
struct Place {
    next: u64,
    /// Offsets below it may be given out without saying so on disk.
    ceiling: u64,
    at: UnixMillis,
}

impl Store {
    /// Opens the store at `path`, and makes it if there is none.
    pub(super) fn open(path: &Path, shards: u16, layout: Layout) -> Result<Self, StoreError> {
        layout::ensure(path, shards, layout)?;
        Self::reopen(path, shards, layout)
    }

    fn reopen(path: &Path, shards: u16, layout: Layout) -> Result<Self, StoreError> {
        let opened = layout::open(path, shards, layout)?;
        let places = opened
            .shards
            .iter()
            .enumerate()
            .map(|(shard, records)| {
                let last = last_of(records)?;
                let ceiling = number_of(&opened.meta, &ceiling_key(shard))?.unwrap_or(0);
                let next = last.map_or(0, |(offset, _)| offset.0 + 1).max(ceiling);
                Ok(Place { next, ceiling: next, at: last.map_or(UnixMillis(0), |(_, at)| at) })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Self { opened, places, path: path.to_owned(), layout })
    }

    /// What it takes to open it again.
    pub(super) fn again(&self) -> impl Fn() -> Result<Self, StoreError> + Send + use<> {
        let (path, shards, layout) = (self.path.clone(), self.shards(), self.layout);
        move || Self::reopen(&path, shards, layout)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.opened.epoch
    }

    pub(super) fn shards(&self) -> u16 {
        self.places.len() as u16
    }

    /// Where each shard goes on.
    pub(super) fn nexts(&self) -> impl Iterator<Item = Offset> {
        self.places.iter().map(|place| Offset(place.next))
    }

    /// What readers read.
    pub(super) fn tables(&self) -> Tables {
        Tables::new(self.opened.db.clone(), self.opened.shards.clone())
    }

    /// Writes requests as one batch, synced if any of them asks for it. Returns the records of each shard with their
    /// places. After an error the store must be opened again.
    pub(super) fn commit(&mut self, requests: &[Request], now: UnixMillis) -> Result<Vec<Vec<Slot>>, StoreError> {
        self.wait_for_flushes()?;
        let count: usize = requests.iter().map(|request| request.records.len()).sum();
        let mut batch = OwnedWriteBatch::with_capacity(self.opened.db.clone(), count + 1);
        let mut slots = vec![Vec::new(); self.places.len()];
        let mut sync = requests.iter().any(|request| request.safety == Safety::Safe);
        let mut value = Vec::new();
        for request in requests {
            let place = &mut self.places[request.shard];
            place.at = place.at.max(now);
            for bytes in &request.records {
                let offset = Offset(place.next);
                place.next += 1;
                value.clear();
                value.extend_from_slice(&place.at.0.to_be_bytes());
                value.extend_from_slice(bytes);
                batch.insert(&self.opened.shards[request.shard], key_of(offset), UserValue::from(&value));
                slots[request.shard].push(Slot { offset, at: place.at, bytes: bytes.clone() });
            }
            if place.next > place.ceiling {
                place.ceiling = place.next + CEILING_STEP;
                batch.insert(&self.opened.meta, ceiling_key(request.shard), place.ceiling.to_be_bytes());
                sync = true;
            }
        }
        let mode = if sync { PersistMode::SyncData } else { PersistMode::Buffer };
        batch.durability(Some(mode)).commit()?;
        Ok(slots)
    }

    /// Makes everything safe and gives back the offsets that were reserved and not used.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        let mut batch = self.opened.db.batch().durability(Some(PersistMode::SyncAll));
        for (shard, place) in self.places.iter().enumerate() {
            batch.insert(&self.opened.meta, ceiling_key(shard), place.next.to_be_bytes());
        }
        Ok(batch.commit()?)
    }

    fn wait_for_flushes(&self) -> Result<(), StoreError> {
        while self.opened.shards.iter().any(|records: &Keyspace| records.sealed_memtable_count() > SEALED_MAX) {
            // Fails if the flush has failed.
            self.opened.db.persist(PersistMode::Buffer)?;
            std::thread::park_timeout(FLUSH_POLL);
        }
        Ok(())
    }
}

/// A store that can be opened again.
pub(super) type Again = Arc<dyn Fn() -> Result<Store, StoreError> + Send + Sync>;
