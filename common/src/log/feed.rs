//! Feeds one reader: first what is older than the shard's ring, then the ring, then whatever is appended.
//!
//! A place in the log is an offset, never a place in a file or a ring, so that older records may come from
//! one source and newer ones from another without a gap or a repeat where they meet.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc};
use tracing::warn;

use crate::backoff::Backoff;
use crate::ids::{Offset, Shard, UnixMillis};
use crate::log::tail::{Slot, Tail, Taken};
use crate::log::{Event, Reader, Start};
use crate::metrics::LOG_RECORDS_UNREADABLE;
use crate::record::Record;

/// How many events wait for a reader. Two let it work on one while the next is made; more would only be stale.
const EVENTS_MAX: usize = 2;

/// Where records are that the ring no longer has.
pub(super) trait History: Send + Sync + 'static {
    /// The offset of the first record appended at or after `time`, or something before it.
    fn locate(&self, time: UnixMillis) -> impl Future<Output = Result<Offset, HistoryError>> + Send;

    /// The next records from `from` on; none if there are none. `last` is the record that was read before: if it
    /// is gone, so may be others, and the answer is [`HistoryError::Gone`].
    fn read(&self, from: Offset, last: Option<Offset>) -> impl Future<Output = Result<Vec<Slot>, HistoryError>> + Send;
}

/// Why older records cannot be had.
#[derive(Debug)]
pub(super) enum HistoryError {
    /// They have been dropped for their age or size.
    Gone,
    /// The log was shut down.
    Closed,
    /// Not now; says why.
    Failed(String),
}

/// Nothing: what the ring dropped is gone.
#[derive(Debug)]
pub(super) struct NoHistory;

impl History for NoHistory {
    async fn locate(&self, _: UnixMillis) -> Result<Offset, HistoryError> {
        Ok(Offset(0))
    }

    async fn read(&self, _: Offset, last: Option<Offset>) -> Result<Vec<Slot>, HistoryError> {
        if last.is_some() { Err(HistoryError::Gone) } else { Ok(Vec::new()) }
    }
}

/// Starts a task that feeds the returned reader until that is dropped or the log is shut down.
pub(super) fn spawn<H: History>(shard: Shard, tail: Arc<Tail>, history: H, start: Start) -> Reader {
    let (events, receiver) = mpsc::channel(EVENTS_MAX);
    let again = Arc::new(Notify::new());
    let reader = Reader::attached(receiver, again.clone());
    let feed = Feed { shard, until: tail.next(), tail, history, start, events, again, from: Offset(0), last: None };
    tokio::spawn(async move {
        let events = feed.events.clone();
        tokio::select! {
            _ = feed.run() => {}
            () = events.closed() => {}
        }
    });
    reader
}

/// A reader that yields nothing.
pub(super) fn ended() -> Reader {
    Reader::new(mpsc::channel(1).1)
}

/// The reader is gone or the log is closed.
struct End;

struct Feed<H> {
    shard: Shard,
    tail: Arc<Tail>,
    history: H,
    start: Start,
    events: mpsc::Sender<Event>,
    again: Arc<Notify>,
    /// The reader has caught up when it is here.
    until: Offset,
    from: Offset,
    last: Option<Offset>,
}

impl<H: History> Feed<H> {
    async fn run(mut self) -> Result<(), End> {
        loop {
            self.attach().await?;
            self.follow().await?;
            warn!(shard = %self.shard, last = ?self.last, "reader fell behind what the log keeps; reading starts over");
            self.start_over().await?;
        }
    }

    async fn start_over(&mut self) -> Result<(), End> {
        if let Start::Offset(_) = self.start {
            self.start = Start::Offset(Offset(0));
        }
        self.until = self.tail.next();
        self.send(Event::Replaced).await
    }

    async fn attach(&mut self) -> Result<(), End> {
        self.last = None;
        self.from = match self.start {
            Start::Offset(offset) if offset > self.tail.next() => {
                warn!(shard = %self.shard, %offset, "an offset beyond the log's end is another log's; reading starts over");
                self.start_over().await?;
                Offset(0)
            }
            Start::Offset(offset) => offset,
            Start::Time(time) => {
                let (offset, has_older) = self.tail.locate(time);
                if has_older || self.tail.start() == Offset(0) { offset } else { self.locate(time).await? }
            }
        };
        Ok(())
    }

    async fn locate(&self, time: UnixMillis) -> Result<Offset, End> {
        let mut backoff = Backoff::log();
        loop {
            match self.history.locate(time).await {
                Ok(offset) => return Ok(offset),
                Err(HistoryError::Closed) => return Err(End),
                Err(HistoryError::Gone) => return Ok(Offset(0)),
                Err(HistoryError::Failed(error)) => self.wait_after(&mut backoff, &error).await,
            }
        }
    }

    /// Returns when the reader fell behind.
    async fn follow(&mut self) -> Result<(), End> {
        let mut bell = self.tail.bell();
        let mut caught_up = false;
        let mut backoff = Backoff::log();
        let again = self.again.clone();
        let mut asked = false;
        loop {
            asked |= again.notified().now_or_never().is_some();
            if std::mem::take(&mut asked) {
                // The log is here: whatever comes next is behind the last record anyway.
                self.send(Event::Reattached).await?;
                self.until = self.tail.next();
                caught_up = false;
            }
            if !caught_up && self.from >= self.until {
                caught_up = true;
                self.send(Event::CaughtUp).await?;
            }
            bell.mark_unchanged();
            match self.tail.take(self.from) {
                Taken::Records(slots) => self.deliver(slots).await?,
                Taken::Nothing => tokio::select! {
                    rung = bell.changed() => rung.map_err(|_| End)?,
                    () = again.notified() => asked = true,
                },
                Taken::Ended => return Err(End),
                Taken::Gone(start) => match self.history.read(self.from, self.last).await {
                    Ok(slots) if slots.is_empty() => self.from = start,
                    Ok(slots) => {
                        backoff.reset();
                        self.deliver(slots).await?;
                    }
                    Err(HistoryError::Gone) => return Ok(()),
                    Err(HistoryError::Closed) => return Err(End),
                    Err(HistoryError::Failed(error)) => self.wait_after(&mut backoff, &error).await,
                },
            }
        }
    }

    async fn deliver(&mut self, slots: Vec<Slot>) -> Result<(), End> {
        let Some(last) = slots.last().map(|slot| slot.offset) else { return Ok(()) };
        let records: Vec<_> = slots.into_iter().filter_map(|slot| self.decode(slot)).collect();
        self.last = Some(last);
        self.from = Offset(last.0.saturating_add(1));
        if records.is_empty() { Ok(()) } else { self.send(Event::Records(records)).await }
    }

    fn decode(&self, slot: Slot) -> Option<(Offset, Record)> {
        match Record::decode(slot.bytes) {
            Ok(record) => Some((slot.offset, record)),
            Err(error) => {
                LOG_RECORDS_UNREADABLE.count(&[]);
                warn!(shard = %self.shard, offset = %slot.offset, %error, "record cannot be read and is skipped");
                None
            }
        }
    }

    async fn send(&self, event: Event) -> Result<(), End> {
        self.events.send(event).await.map_err(|_| End)
    }

    async fn wait_after(&self, backoff: &mut Backoff, error: &str) {
        warn!(shard = %self.shard, from = %self.from, error, "older records cannot be read now; trying again");
        backoff.wait().await;
    }
}
