//! Records to append, and a reader that remembers what it saw.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use bellwire_common::ids::{NotificationId, Offset, Shard, UnixMillis, UserId};
use bellwire_common::log::{AppendError, Event, Reader, Safety, SharedLog, Start};
use bellwire_common::record::{Notify, Record};

/// No case takes this long, on the slowest machine; what hangs fails.
const CASE_SECONDS_MAX: u64 = 400;

/// A broker that is back takes appends within this time.
const BACK_WITHIN: Duration = Duration::from_secs(30);

pub(crate) const FIRST: Shard = Shard(0);
pub(crate) const ALL: Start = Start::Offset(Offset(0));

/// Runs a case to its end, or fails.
pub(crate) async fn within(case: &str, run: impl Future<Output = ()>) {
    if tokio::time::timeout(Duration::from_secs(CASE_SECONDS_MAX), run).await.is_err() {
        panic!("{case} did not end within {CASE_SECONDS_MAX} s");
    }
}

/// An encoded notification with this id and a payload of `payload` bytes.
pub(crate) fn sized(id: &str, payload: usize) -> Bytes {
    let notify = Notify {
        id: NotificationId::try_new(id).expect("an id"),
        user: UserId::try_new("7").expect("a user"),
        accepted_at: UnixMillis(0),
        expires_at: UnixMillis(1),
        payload: Bytes::from(vec![b'x'; payload]),
    };
    Record::Notify(notify).encode()
}

/// An encoded notification with this id.
pub(crate) fn note(id: impl ToString) -> Bytes {
    sized(&id.to_string(), 100)
}

pub(crate) fn ids(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Appends one notification, safely.
pub(crate) async fn append(log: &SharedLog, shard: Shard, id: impl ToString) -> Result<(), AppendError> {
    log.append(shard, vec![note(id)], Safety::Safe).await
}

/// Appends as a client does whose append was not written: again. A broker that is back may not know its routes yet.
pub(crate) async fn append_until_written(log: &SharedLog, shard: Shard, id: &str, safety: Safety) {
    let begin = Instant::now();
    loop {
        match log.append(shard, vec![note(id)], safety).await {
            Ok(()) => return,
            Err(AppendError::Unavailable(why)) => assert!(begin.elapsed() < BACK_WITHIN, "{id} is not written: {why}"),
            Err(error) => panic!("{id}: {error}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Appends notifications with these numbers as ids, safely, and waits for all.
pub(crate) async fn fill(log: &SharedLog, range: std::ops::Range<usize>) {
    let pending: Vec<_> = range.map(|n| log.append(FIRST, vec![note(n)], Safety::Safe)).collect();
    for result in futures_util::future::join_all(pending).await {
        result.expect("appended");
    }
}

/// A reader with all that it yielded.
pub(crate) struct Probe {
    reader: Reader,
    pub(crate) seen: Vec<(Offset, String)>,
    /// How many records had come before each `CaughtUp`.
    pub(crate) caught_up: Vec<usize>,
    pub(crate) attachments: usize,
    pub(crate) replaced: usize,
}

impl Probe {
    pub(crate) fn new(log: &SharedLog, shard: Shard, start: Start) -> Self {
        Self { reader: log.read(shard, start), seen: Vec::new(), caught_up: Vec::new(), attachments: 1, replaced: 0 }
    }

    /// Takes the next event; false at the end.
    pub(crate) async fn step(&mut self) -> bool {
        match self.reader.next().await {
            None => return false,
            Some(Event::CaughtUp) => self.caught_up.push(self.seen.len()),
            Some(Event::Reattached) => self.attachments += 1,
            Some(Event::Replaced) => {
                self.attachments += 1;
                self.replaced += 1;
                self.seen.clear();
            }
            Some(Event::Records(records)) => {
                assert!(!records.is_empty(), "an event without records");
                for (offset, record) in records {
                    self.on_record(offset, record);
                }
            }
        }
        true
    }

    fn on_record(&mut self, offset: Offset, record: Record) {
        if let Some((last, _)) = self.seen.last() {
            assert!(*last < offset, "{offset} came behind {last}");
        }
        let Record::Notify(notify) = record else { panic!("{record:?}") };
        self.seen.push((offset, notify.id.as_str().to_owned()));
    }

    pub(crate) fn reattach(&self) {
        self.reader.reattach();
    }

    pub(crate) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            assert!(self.step().await, "the reader ended before {what}; saw {:?}", self.ids());
        }
    }

    pub(crate) async fn until_seen(&mut self, count: usize) {
        self.until(&format!("{count} records"), |probe| probe.seen.len() >= count).await;
    }

    pub(crate) async fn until_caught_up(&mut self) {
        self.until("it caught up", |probe| !probe.caught_up.is_empty()).await;
    }

    /// Reads on until the record with this id.
    pub(crate) async fn until_id(&mut self, id: &str) {
        self.until(id, |probe| probe.seen.last().is_some_and(|(_, last)| last == id)).await;
    }

    /// Whether more has arrived, without waiting.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.reader.try_next().is_none()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.seen.iter().map(|(_, id)| id.clone()).collect()
    }
}

/// Everything that a shard holds now.
pub(crate) async fn everything(log: &SharedLog, shard: Shard) -> Vec<(Offset, String)> {
    let mut probe = Probe::new(log, shard, ALL);
    probe.until_caught_up().await;
    probe.seen
}

/// The ids of everything that a shard holds now.
pub(crate) async fn all_ids(log: &SharedLog, shard: Shard) -> Vec<String> {
    everything(log, shard).await.into_iter().map(|(_, id)| id).collect()
}
