//! The log, seen from outside: records in the order in which they landed.

use bellwire_common::ids::Offset;
use bellwire_common::record::Record;

use crate::history::Ms;

/// One shard's log.
#[derive(Debug, Default)]
pub struct Log {
    /// When each landed, where, and what it is.
    pub records: Vec<(Ms, Offset, Record)>,
    /// Rises when the log is replaced by an empty one.
    pub epoch: u32,
    next: u64,
}

impl Log {
    /// Appends; offsets skip now and then, as streams do.
    pub fn land(&mut self, now: Ms, record: Record, skip: bool) -> Offset {
        let offset = Offset(self.next);
        self.next += 1 + u64::from(skip);
        self.records.push((now, offset, record));
        offset
    }

    /// The first record that landed at or after `time`.
    #[must_use]
    pub fn since(&self, time: Ms) -> usize {
        self.records.partition_point(|(landed, _, _)| *landed < time)
    }

    /// Everything is gone.
    pub fn replace(&mut self) {
        self.records.clear();
        self.next = 0;
        self.epoch += 1;
    }
}
