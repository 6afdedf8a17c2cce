//! What every implementation does with what it is given to append.

use bytes::Bytes;
use metrics::Counter;

use crate::log::{AppendError, RECORD_BYTES_MAX};
use crate::metrics::{LOG_APPENDS, LOG_UP};

/// Whether a record of the batch is larger than a log takes.
pub(super) fn too_large(records: &[Bytes]) -> bool {
    records.iter().any(|record| record.len() > RECORD_BYTES_MAX)
}

/// Says of a log in this process whether it can be reached: both its sides at once.
pub(super) fn up(is_up: bool) {
    for side in LOG_UP.0.labels[0].values {
        LOG_UP.with(&[side]).set(f64::from(u8::from(is_up)));
    }
}

/// Counts appended records by what became of them.
#[derive(Clone)]
pub(super) struct Appends {
    confirmed: Counter,
    unavailable: Counter,
    unknown: Counter,
    overloaded: Counter,
    too_large: Counter,
}

impl Appends {
    pub(super) fn new() -> Self {
        LOG_APPENDS.zero();
        let with = |result| LOG_APPENDS.with(&[result]);
        Self {
            confirmed: with("confirmed"),
            unavailable: with("unavailable"),
            unknown: with("unknown"),
            overloaded: with("overloaded"),
            too_large: with("too_large"),
        }
    }

    pub(super) fn count(&self, records: usize, result: &Result<(), AppendError>) {
        let counter = match result {
            Ok(()) => &self.confirmed,
            Err(AppendError::Unavailable(_)) => &self.unavailable,
            Err(AppendError::Unknown(_)) => &self.unknown,
            Err(AppendError::Overloaded) => &self.overloaded,
            Err(AppendError::TooLarge) => &self.too_large,
        };
        counter.increment(records as u64);
    }
}

impl std::fmt::Debug for Appends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Appends")
    }
}
