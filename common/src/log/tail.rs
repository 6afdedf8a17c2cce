//! The newest records of one shard, in memory, and the bell for those who wait for more.
//!
//! The memory log is nothing else; the embedded log keeps here what its readers are most likely to want.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::ids::{Offset, UnixMillis};
use crate::log::RETENTION_MS;

/// What a record costs here beside its own bytes.
const SLOT_BYTES: usize = size_of::<Slot>() + 32;

/// Most records, and about how many bytes, that a reader takes at once: enough that taking costs nothing
/// per record, little enough that a reader which is behind holds little.
pub(super) const TAKE_RECORDS_MAX: usize = 512;
/// See [`TAKE_RECORDS_MAX`].
pub(super) const TAKE_BYTES_MAX: usize = 256 * 1024;

/// One record with its place and the time of its append.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) offset: Offset,
    pub(super) at: UnixMillis,
    pub(super) bytes: Bytes,
}

/// What the ring has for a reader.
#[derive(Debug)]
pub(super) enum Taken {
    /// The next records; never empty.
    Records(Vec<Slot>),
    /// Nothing yet.
    Nothing,
    /// The reader wants what the ring no longer has: it begins at this offset.
    Gone(Offset),
    /// Nothing, and there will be nothing.
    Ended,
}

/// The ring and its bell.
#[derive(Debug)]
pub(super) struct Tail {
    ring: Mutex<Ring>,
    bell: watch::Sender<u64>,
}

#[derive(Debug)]
struct Ring {
    slots: VecDeque<Slot>,
    /// Everything before it is gone from here.
    start: Offset,
    /// What the next record gets at least.
    next: Offset,
    bytes: usize,
    bytes_max: usize,
    closed: bool,
}

impl Tail {
    /// An empty ring that goes on at `next` and holds about `bytes_max` bytes.
    pub(super) fn new(next: Offset, bytes_max: usize) -> Self {
        let ring = Ring { slots: VecDeque::new(), start: next, next, bytes: 0, bytes_max, closed: false };
        Self { ring: Mutex::new(ring), bell: watch::Sender::new(0) }
    }

    /// Appends records at the next offsets. False, and nothing done, if the ring is closed.
    pub(super) fn append(&self, records: Vec<Bytes>, now: UnixMillis) -> bool {
        let mut ring = self.lock();
        if ring.closed {
            return false;
        }
        let at = ring.slots.back().map_or(now, |slot| slot.at.max(now));
        for bytes in records {
            let offset = ring.next;
            ring.push(Slot { offset, at, bytes });
        }
        ring.expire(now);
        drop(ring);
        self.ring_bell();
        true
    }

    /// Takes over records that have their offsets and times already.
    pub(super) fn publish(&self, slots: impl IntoIterator<Item = Slot>, now: UnixMillis) {
        let mut ring = self.lock();
        for slot in slots {
            ring.push(slot);
        }
        ring.expire(now);
        drop(ring);
        self.ring_bell();
    }

    /// Forgets all records and goes on at `next`: whoever lacks what was before finds it elsewhere.
    pub(super) fn reset(&self, next: Offset) {
        let mut ring = self.lock();
        ring.slots.clear();
        ring.bytes = 0;
        (ring.start, ring.next) = (next, next);
        drop(ring);
        self.ring_bell();
    }

    /// Ends readers once they have what is here.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.ring_bell();
    }

    /// The offset behind the last record.
    pub(super) fn next(&self) -> Offset {
        self.lock().next
    }

    /// The offset from which on the ring has everything.
    pub(super) fn start(&self) -> Offset {
        self.lock().start
    }

    /// The first record here that was appended at or after `time`, and whether older ones are here before it.
    pub(super) fn locate(&self, time: UnixMillis) -> (Offset, bool) {
        let ring = self.lock();
        let place = ring.slots.partition_point(|slot| slot.at < time);
        (ring.slots.get(place).map_or(ring.next, |slot| slot.offset), place > 0)
    }

    /// What a reader gets that wants the records from `from` on.
    pub(super) fn take(&self, from: Offset) -> Taken {
        let ring = self.lock();
        if from < ring.start {
            return Taken::Gone(ring.start);
        }
        let first = ring.slots.partition_point(|slot| slot.offset < from);
        let mut bytes = 0;
        let slots: Vec<_> = ring
            .slots
            .range(first..)
            .take(TAKE_RECORDS_MAX)
            .take_while(|slot| {
                let fits = bytes < TAKE_BYTES_MAX;
                bytes += slot.bytes.len();
                fits
            })
            .cloned()
            .collect();
        match (slots.is_empty(), ring.closed) {
            (false, _) => Taken::Records(slots),
            (true, false) => Taken::Nothing,
            (true, true) => Taken::Ended,
        }
    }

    /// Rings whenever there may be something new. Ask for it before looking.
    pub(super) fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    fn ring_bell(&self) {
        self.bell.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, slot: Slot) {
        self.next = Offset(slot.offset.0.saturating_add(1));
        self.bytes += SLOT_BYTES + slot.bytes.len();
        self.slots.push_back(slot);
    }

    /// Drops the oldest until the limits hold; the newest record stays whatever its size.
    fn expire(&mut self, now: UnixMillis) {
        while self.slots.len() > 1 {
            let old = self.slots[0].at.plus(RETENTION_MS) < now;
            if self.bytes <= self.bytes_max && !old {
                break;
            }
            if let Some(slot) = self.slots.pop_front() {
                self.bytes -= SLOT_BYTES + slot.bytes.len();
                self.start = Offset(slot.offset.0.saturating_add(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(10 * RETENTION_MS);

    fn record(length: usize) -> Bytes {
        Bytes::from(vec![7; length])
    }

    fn offsets(tail: &Tail, from: u64) -> Vec<u64> {
        match tail.take(Offset(from)) {
            Taken::Records(slots) => slots.iter().map(|slot| slot.offset.0).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_oldest_goes_when_bytes_run_out() {
        let tail = Tail::new(Offset(5), 3 * (SLOT_BYTES + 100));
        assert!(tail.append((0..5).map(|_| record(100)).collect(), NOW));
        assert_eq!(tail.start(), Offset(7));
        assert_eq!(offsets(&tail, 7), [7, 8, 9]);
        assert!(matches!(tail.take(Offset(6)), Taken::Gone(Offset(7))));
        assert!(matches!(tail.take(Offset(10)), Taken::Nothing));
    }

    #[test]
    fn one_record_stays_even_if_it_is_too_large() {
        let tail = Tail::new(Offset(0), 10);
        tail.append(vec![record(100)], NOW);
        assert_eq!(offsets(&tail, 0), [0]);
    }

    #[test]
    fn the_oldest_goes_when_its_time_is_over() {
        let tail = Tail::new(Offset(0), usize::MAX);
        tail.append(vec![record(1), record(1)], NOW);
        tail.append(vec![record(1)], NOW.plus(RETENTION_MS));
        assert_eq!(tail.start(), Offset(0));
        tail.append(vec![record(1)], NOW.plus(RETENTION_MS + 1));
        assert_eq!(tail.start(), Offset(2));
    }

    #[test]
    fn times_never_fall_and_are_found() {
        let tail = Tail::new(Offset(0), usize::MAX);
        tail.append(vec![record(1)], NOW);
        tail.append(vec![record(1)], NOW.minus(500));
        tail.append(vec![record(1)], NOW.plus(10));
        assert_eq!(tail.locate(NOW.minus(100)), (Offset(0), false));
        assert_eq!(tail.locate(NOW.plus(1)), (Offset(2), true));
        assert_eq!(tail.locate(NOW.plus(11)), (Offset(3), true));
    }

    #[test]
    fn what_is_taken_at_once_is_bounded() {
        let tail = Tail::new(Offset(0), usize::MAX);
        tail.append((0..TAKE_RECORDS_MAX + 1).map(|_| record(1)).collect(), NOW);
        assert_eq!(offsets(&tail, 0).len(), TAKE_RECORDS_MAX);
        let tail = Tail::new(Offset(0), usize::MAX);
        tail.append((0..10).map(|_| record(TAKE_BYTES_MAX / 2)).collect(), NOW);
        assert_eq!(offsets(&tail, 3), [3, 4]);
    }

    #[test]
    fn a_closed_ring_gives_what_it_has_and_takes_nothing() {
        let tail = Tail::new(Offset(0), usize::MAX);
        tail.append(vec![record(1)], NOW);
        tail.close();
        assert!(!tail.append(vec![record(1)], NOW));
        assert_eq!(offsets(&tail, 0), [0]);
        assert!(matches!(tail.take(Offset(1)), Taken::Ended));
    }
}
