//! The log: per shard one ordered, append-only sequence of records. It is the only state that nodes share.
//!
//! Two implementations keep this contract, and one test suite (`tests/log_contract.rs`) runs on both.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc};

use crate::ids::{Offset, Shard, UnixMillis};
use crate::record::Record;

mod appends;
pub mod embedded;
mod feed;
pub mod memory;
pub mod rabbitmq;
mod tail;

/// How long the log keeps what it holds, at least. Readers go back TTL and 5 minutes, far less than this.
pub const RETENTION_MS: u64 = 60 * 60 * 1000;

/// Largest encoded record that a log takes, in bytes.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;

/// How safe an append must be before it resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// Confirmed by RabbitMQ, or on disk: survives what the log survives.
    Safe,
    /// Readable by the readers; a crash of the embedded log's process may lose it. For reports.
    Soft,
}

/// Why an append is not known to be written. The caller may append again: readers drop duplicates by id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The log cannot be reached; nothing was written.
    #[error("the log cannot be reached: {0}")]
    Unavailable(String),
    /// The connection or the disk failed in the middle; it may or may not be written.
    #[error("not known to be written: {0}")]
    Unknown(String),
    /// More is waiting to be appended than the log lets wait; nothing was written.
    #[error("too much is waiting to be appended")]
    Overloaded,
    /// A record is larger than [`RECORD_BYTES_MAX`]; nothing was written.
    #[error("a record is larger than {RECORD_BYTES_MAX} bytes")]
    TooLarge,
}

/// Where a reader starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the first record at or behind this offset. More than one behind the last record there can be nothing but in
    /// another log: the reader says [`Event::Replaced`] and begins with the first record of this one.
    Offset(Offset),
    /// With the first record appended at or after this time; some older ones may come first.
    Time(UnixMillis),
}

/// What a reader yields.
#[derive(Debug)]
pub enum Event {
    /// The next records, in order. Never empty.
    Records(Vec<(Offset, Record)>),
    /// Everything that the log held when the reader attached has been yielded. Once per attachment.
    CaughtUp,
    /// The reader lost the log, or was asked to ([`Reader::reattach`]), and attached again, right behind the last record it
    /// had yielded.
    Reattached,
    /// The log is not the one that was read before (its last record is gone or different):
    /// what was folded from it is void, and reading starts over: at the reader's start where that is a time, else with
    /// the first record.
    Replaced,
}

/// The records of one shard, in order. Dropping it ends the reading.
#[derive(Debug)]
pub struct Reader {
    events: mpsc::Receiver<Event>,
    again: Arc<Notify>,
}

impl Reader {
    /// A reader that yields what arrives at `events`; the bound of that channel is the back-pressure.
    #[must_use]
    pub fn new(events: mpsc::Receiver<Event>) -> Self {
        Self::attached(events, Arc::default())
    }

    /// The same, where whoever feeds it attaches anew at each notification of `again`.
    #[must_use]
    pub fn attached(events: mpsc::Receiver<Event>, again: Arc<Notify>) -> Self {
        Self { events, again }
    }

    /// Attaches anew, for those who have reason to think that the attachment brings nothing any more. Returns at once;
    /// when it is done there comes [`Event::Reattached`], or [`Event::Replaced`] if the last record is no longer there,
    /// behind what had been read by then. Nothing is lost or repeated.
    pub fn reattach(&self) {
        self.again.notify_one();
    }

    /// The next event; none only after the log was shut down.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// The next event if one is waiting already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }
}

/// The seam. All methods may be called from any task; appends to one shard keep the order of the calls
/// as long as none fails.
pub trait Log: Send + Sync + fmt::Debug + 'static {
    /// How many shards the log has. Never changes.
    fn shards(&self) -> u16;

    /// Name and epoch of a shard's log: a cursor is worth something only together with it.
    fn name(&self, shard: Shard) -> String;

    /// Appends encoded records ([`Record::encode`]) in their order. The work begins with the call, the
    /// future only tells its end; dropping it does not take the records back.
    fn append(&self, shard: Shard, records: Vec<Bytes>, safety: Safety) -> BoxFuture<'static, Result<(), AppendError>>;

    /// Reads a shard. Attaches by itself, again and again with back-off (at most 2 s, with jitter), until the
    /// reader is dropped.
    fn read(&self, shard: Shard, start: Start) -> Reader;

    /// Ends when the log can be appended to, or is closed: at once where it is in this process.
    fn reached(&self) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }

    /// Waits until what was appended is safe, and ends readers and writers.
    fn close(&self) -> BoxFuture<'static, ()>;
}

/// A log that several parts share.
pub type SharedLog = Arc<dyn Log>;
