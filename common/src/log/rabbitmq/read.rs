//! Reading one stream: attach, verify, yield, attach again.
//!
//! Where the end is cannot be asked for: the broker's counts are estimates, and silence may be slowness. So each attachment
//! appends a *mark*, a message of its own type with a random body, after it has begun to consume: everything that the log
//! held before comes before the mark. Readers skip the marks of others.
//!
//! An offset beyond the end of a stream (the stream may have been made anew) would make the broker withhold everything
//! up to it, silently. So an attachment at an offset first looks at the last chunk: if the stream goes beyond the
//! offset, attaching at it is safe; otherwise the last chunk and what follows is all there is to read.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lapin::message::Delivery;
use lapin::types::AMQPValue;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::backoff::Backoff;
use crate::ids::Offset;
use crate::log::{Event, Start};
use crate::metrics::LOG_RECORDS_UNREADABLE;
use crate::record::{DecodeError, Record};

use super::append::Writer;
use super::attachment::{Attachment, End, is_mark, offset_of};
use super::connection::Link;
use super::live::Live;

/// Most records in one event. A batch is what has arrived; none waits to be filled.
const BATCH_MAX: usize = 256;

/// For the broker to open a channel and begin to send.
const ATTACH_DEADLINE: Duration = Duration::from_secs(5);

/// An attachment that stood this long begins its next back-off anew.
const STEADY: Duration = Duration::from_secs(2);

/// Unreadable records are told of once in this time; all are counted.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Reads until nobody takes the events any more, or the log is closed.
pub(super) async fn run(
    link: Link,
    stream: String,
    start: Start,
    writer: Writer,
    events: mpsc::Sender<Event>,
    again: Arc<Notify>,
    stop: CancellationToken,
) {
    let gone = events.clone();
    let reader =
        ShardReader { link, stream, start, writer, events, last: None, attached: false, since: None, warned: None };
    let reading = reader.read(&again);
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = gone.closed() => {}
        () = reading => {}
    }
}

/// A record that can be recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    offset: u64,
    hash: u64,
}

impl Seen {
    fn new(offset: u64, body: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        Self { offset, hash: hasher.finish() }
    }
}

struct ShardReader {
    link: Link,
    stream: String,
    start: Start,
    writer: Writer,
    events: mpsc::Sender<Event>,
    /// The last message that was dealt with, marks included.
    last: Option<Seen>,
    attached: bool,
    /// When this attachment began to yield.
    since: Option<Instant>,
    warned: Option<Instant>,
}

impl ShardReader {
    async fn read(mut self, again: &Notify) {
        let mut backoff = Backoff::log();
        let mut told = String::new();
        while let Ok(live) = self.link.up().await {
            // What is dropped here is read again: `last` moves on only behind an event that was taken.
            let end = tokio::select! {
                end = self.attach_and_yield(&live) => end,
                () = again.notified() => End::Asked,
            };
            if self.since.take().is_some_and(|since| since.elapsed() >= STEADY) {
                backoff.reset();
                told.clear();
            }
            let reason = match end {
                End::Gone => return,
                End::Replaced => {
                    warn!(stream = self.stream, "the log was replaced; reading starts over");
                    continue;
                }
                End::Asked => {
                    self.attached = true;
                    "it was asked to".to_owned()
                }
                End::Lost(reason) => reason,
                End::Failed(error) => {
                    live.on_error(&format!("cannot read stream {}", self.stream), &error);
                    error.to_string()
                }
            };
            // The loss of the connection is told of once, by whoever keeps it.
            if reason != told && live.connection.status().connected() {
                warn!(stream = self.stream, reason, "reading ended; attaching anew");
                told = reason;
            } else {
                debug!(stream = self.stream, reason, "reading ended");
            }
            backoff.wait().await;
        }
    }

    async fn attach_and_yield(&mut self, live: &Live) -> End {
        let attached = timeout(ATTACH_DEADLINE, self.attach(live)).await;
        let ended = match attached {
            Ok(Ok(attachment)) => self.follow(live, attachment).await,
            Ok(Err(end)) => Err(end),
            Err(_) => Err(self.on_silence(live).await),
        };
        match ended {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    /// The offset at which this attachment begins; none when it begins at a time.
    fn from(&self) -> Option<u64> {
        match (self.last, self.start) {
            (Some(last), _) => Some(last.offset),
            (None, Start::Offset(offset)) => Some(offset.0),
            (None, Start::Time(_)) => None,
        }
    }

    async fn attach(&self, live: &Live) -> Result<Attachment, End> {
        let begin = match (self.from(), self.start) {
            (Some(0), _) => AMQPValue::LongString("first".into()),
            (None, Start::Time(time)) => AMQPValue::Timestamp(time.0 / 1000),
            _ => AMQPValue::LongString("last".into()),
        };
        Ok(Attachment::new(live, &self.stream, begin, &self.writer).await?)
    }

    /// Goes from the last chunk, where the attachment began, to `from` where that lies before it.
    async fn move_to(&self, live: &Live, attachment: &mut Attachment, from: u64) -> Result<(), End> {
        if attachment.begins_by(from).await? {
            return Ok(());
        }
        match timeout(ATTACH_DEADLINE, attachment.consume_from(live, &self.stream, from)).await {
            Ok(moved) => Ok(moved?),
            Err(_) => Err(self.on_silence(live).await),
        }
    }

    async fn on_silence(&self, live: &Live) -> End {
        let reason = format!("cannot read stream {}: no answer within {ATTACH_DEADLINE:?}", self.stream);
        live.on_silence(&reason).await;
        End::Lost(reason)
    }

    /// Yields what comes until the attachment ends.
    async fn follow(&mut self, live: &Live, mut attachment: Attachment) -> Result<Infallible, End> {
        let from = self.from().unwrap_or(0);
        if from > 0 {
            self.move_to(live, &mut attachment, from).await?;
        }
        match self.last {
            Some(last) => self.verify(&mut attachment, last).await?,
            None if self.attached => self.tell(Event::Reattached).await?,
            None => {}
        }
        self.attached = true;
        self.since = Some(Instant::now());
        loop {
            let delivery = attachment.next().await?;
            let mut batch = Batch::default();
            self.add(&mut batch, delivery, &attachment.mark, from)?;
            while batch.deliveries < BATCH_MAX && !batch.caught_up && !batch.replaced {
                let Some(delivery) = attachment.next_waiting()? else { break };
                self.add(&mut batch, delivery, &attachment.mark, from)?;
            }
            if batch.replaced {
                return Err(self.on_replaced().await);
            }
            if !batch.records.is_empty() {
                self.tell(Event::Records(batch.records)).await?;
            }
            self.last = batch.last.map(|(offset, body)| Seen::new(offset, &body)).or(self.last);
            if batch.caught_up {
                self.tell(Event::CaughtUp).await?;
            }
            attachment.acknowledge(batch.deliveries as u64, batch.tag).await?;
        }
    }

    /// Looks for the last record that was dealt with, where it was.
    async fn verify(&mut self, attachment: &mut Attachment, last: Seen) -> Result<(), End> {
        loop {
            let delivery = attachment.next().await?;
            let seen = Seen::new(offset_of(&delivery)?, &delivery.data);
            attachment.acknowledge(1, delivery.delivery_tag).await?;
            if seen == last {
                return self.tell(Event::Reattached).await;
            }
            if seen.offset >= last.offset || is_mark(&delivery, Some(&attachment.mark)) {
                return Err(self.on_replaced().await);
            }
        }
    }

    /// What was read before is void. Nothing is forgotten until that is told.
    async fn on_replaced(&mut self) -> End {
        if let Err(end) = self.tell(Event::Replaced).await {
            return end;
        }
        self.last = None;
        self.attached = false;
        if let Start::Offset(_) = self.start {
            // An offset of the old log says nothing of the new one.
            self.start = Start::Offset(Offset(0));
        }
        End::Replaced
    }

    fn add(&mut self, batch: &mut Batch, delivery: Delivery, mark: &Bytes, from: u64) -> Result<(), End> {
        let offset = offset_of(&delivery)?;
        batch.deliveries += 1;
        batch.tag = delivery.delivery_tag;
        if is_mark(&delivery, Some(mark)) {
            // The end lies before the place that was asked for, where nothing can be but in a log that was longer.
            batch.replaced = offset < from;
            batch.caught_up = !batch.replaced;
        }
        if offset < from || is_mark(&delivery, None) {
            // A chunk may begin before what was asked for.
            if offset >= from {
                batch.last = Some((offset, delivery.data.into()));
            }
            return Ok(());
        }
        let body = Bytes::from(delivery.data);
        batch.last = Some((offset, body.clone()));
        match Record::decode(body) {
            Ok(record) => batch.records.push((Offset(offset), record)),
            Err(error) => self.on_unreadable(offset, &error),
        }
        Ok(())
    }

    fn on_unreadable(&mut self, offset: u64, error: &DecodeError) {
        LOG_RECORDS_UNREADABLE.count(&[]);
        if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            self.warned = Some(Instant::now());
            warn!(stream = self.stream, offset, %error, "skipping records that this version cannot read");
        }
    }

    async fn tell(&self, event: Event) -> Result<(), End> {
        self.events.send(event).await.map_err(|_| End::Gone)
    }
}

/// What is taken at once.
#[derive(Default)]
struct Batch {
    records: Vec<(Offset, Record)>,
    last: Option<(u64, Bytes)>,
    deliveries: usize,
    tag: u64,
    caught_up: bool,
    replaced: bool,
}
