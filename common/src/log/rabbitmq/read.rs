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
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Consumer};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use crate::ids::Offset;
use crate::log::{Event, Start};
use crate::metrics::LOG_RECORDS_UNREADABLE;
use crate::record::{DecodeError, Record};

use super::append::{MARK, Writer};
use super::connection::{Backoff, Link, Live};

/// Records that the broker sends ahead of their acknowledgement.
const PREFETCH: u16 = 1000;
/// Acknowledging each record would cost five sixths of the rate.
const ACK_EVERY: u64 = PREFETCH as u64 / 4;

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
    stop: CancellationToken,
) {
    let gone = events.clone();
    let reading = ShardReader { link, stream, start, writer, events, last: None, attached: false, warned: None }.read();
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = gone.closed() => {}
        () = reading => {}
    }
}

/// Why an attachment ended.
enum End {
    /// Nobody takes the events, or the log is closed.
    Gone,
    /// The log is another one; begin again.
    Replaced,
    Lost(String),
}

impl From<lapin::Error> for End {
    fn from(error: lapin::Error) -> Self {
        Self::Lost(error.to_string())
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
    warned: Option<Instant>,
}

impl ShardReader {
    async fn read(mut self) {
        let mut backoff = Backoff::default();
        while let Ok(live) = self.link.up().await {
            let since = Instant::now();
            match self.attach_and_yield(&live).await {
                End::Gone => return,
                End::Replaced => {
                    warn!(stream = self.stream, "the log was replaced; reading starts over");
                    continue;
                }
                End::Lost(reason) if live.connection.status().connected() => {
                    warn!(stream = self.stream, reason, "reading ended; attaching anew");
                }
                // The loss of the connection is told of once, by whoever keeps it.
                End::Lost(reason) => debug!(stream = self.stream, reason, "reading ended with the connection"),
            }
            if since.elapsed() >= STEADY {
                backoff.reset();
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    async fn attach_and_yield(&mut self, live: &Arc<Live>) -> End {
        let ended = match timeout(ATTACH_DEADLINE, self.attach(live)).await {
            Ok(Ok(attachment)) => self.follow(live, attachment).await,
            Ok(Err(error)) => {
                // The stream may be gone; a new connection declares it again.
                live.give_up();
                Err(error.into())
            }
            Err(_) => {
                live.give_up();
                Err(End::Lost(format!("not attached within {ATTACH_DEADLINE:?}")))
            }
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

    /// Begins to consume, and then to mark.
    async fn attach(&self, live: &Live) -> lapin::Result<Attachment> {
        let begin = match (self.from(), self.start) {
            (Some(0), _) => AMQPValue::LongString("first".into()),
            (None, Start::Time(time)) => AMQPValue::Timestamp(time.0 / 1000),
            _ => AMQPValue::LongString("last".into()),
        };
        let (channel, consumer) = consume(live, &self.stream, begin).await?;
        let mark = Bytes::from(fastrand::u128(..).to_be_bytes().to_vec());
        let marking = AbortOnDropHandle::new(tokio::spawn(keep_marking(self.writer.clone(), mark.clone())));
        Ok(Attachment { channel, consumer, mark, _marking: marking, ahead: None, unacknowledged: 0 })
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
        loop {
            let delivery = attachment.next().await?;
            let mut batch = Batch::default();
            self.add(&mut batch, delivery, &attachment.mark, from)?;
            while batch.deliveries < BATCH_MAX && !batch.caught_up {
                let Some(delivery) = attachment.next_waiting()? else { break };
                self.add(&mut batch, delivery, &attachment.mark, from)?;
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

    /// Goes from the last chunk to `from` where that lies before it.
    async fn move_to(&self, live: &Live, attachment: &mut Attachment, from: u64) -> Result<(), End> {
        let first = attachment.next().await?;
        if offset_of(&first)? <= from {
            attachment.ahead = Some(first);
            return Ok(());
        }
        let begin = AMQPValue::LongLongInt(i64::try_from(from).unwrap_or(i64::MAX));
        let moving = timeout(ATTACH_DEADLINE, consume(live, &self.stream, begin)).await;
        let (channel, consumer) = moving.map_err(|_| End::Lost("the broker does not answer".to_owned()))??;
        attachment.channel = channel;
        attachment.consumer = consumer;
        attachment.unacknowledged = 0;
        Ok(())
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
                self.last = None;
                self.attached = false;
                if let Start::Offset(_) = self.start {
                    // An offset of the old log says nothing of the new one.
                    self.start = Start::Offset(Offset(0));
                }
                self.tell(Event::Replaced).await?;
                return Err(End::Replaced);
            }
        }
    }

    fn add(&mut self, batch: &mut Batch, delivery: Delivery, mark: &Bytes, from: u64) -> Result<(), End> {
        let offset = offset_of(&delivery)?;
        batch.deliveries += 1;
        batch.tag = delivery.delivery_tag;
        batch.caught_up |= is_mark(&delivery, Some(mark));
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
}

/// One consumer and the mark that shows its end.
struct Attachment {
    channel: Channel,
    consumer: Consumer,
    mark: Bytes,
    _marking: AbortOnDropHandle<()>,
    ahead: Option<Delivery>,
    unacknowledged: u64,
}

impl Attachment {
    async fn next(&mut self) -> Result<Delivery, End> {
        match self.ahead.take() {
            Some(delivery) => Ok(delivery),
            None => delivered(self.consumer.next().await),
        }
    }

    /// The next one if it is here already.
    fn next_waiting(&mut self) -> Result<Option<Delivery>, End> {
        self.consumer.next().now_or_never().map(delivered).transpose()
    }

    async fn acknowledge(&mut self, deliveries: u64, upto: u64) -> Result<(), End> {
        self.unacknowledged += deliveries;
        if self.unacknowledged >= ACK_EVERY {
            self.unacknowledged = 0;
            self.channel.basic_ack(upto, BasicAckOptions { multiple: true }).await?;
        }
        Ok(())
    }
}

async fn consume(live: &Live, stream: &str, begin: AMQPValue) -> lapin::Result<(Channel, Consumer)> {
    let channel = live.connection.create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), begin);
    let consumer = channel.basic_consume(stream.into(), "".into(), BasicConsumeOptions::default(), arguments).await?;
    Ok((channel, consumer))
}

/// Appends the mark until that has worked once; seeing it twice does no harm.
async fn keep_marking(writer: Writer, mark: Bytes) {
    let mut backoff = Backoff::default();
    while let Err(error) = writer.mark(mark.clone()).await {
        debug!(%error, "the mark of a reader is not written yet");
        tokio::time::sleep(backoff.next()).await;
    }
}

/// The broker may also cancel a consumer, when the stream is deleted.
fn delivered(next: Option<lapin::Result<Delivery>>) -> Result<Delivery, End> {
    Ok(next.ok_or_else(|| End::Lost("the broker ended the consumer".to_owned()))??)
}

/// Whether this is a mark: anybody's, or this one.
fn is_mark(delivery: &Delivery, mark: Option<&Bytes>) -> bool {
    delivery.properties.kind().as_ref().is_some_and(|kind| kind.as_str() == MARK)
        && mark.is_none_or(|mark| *mark == delivery.data)
}

fn offset_of(delivery: &Delivery) -> Result<u64, End> {
    let headers = delivery.properties.headers().as_ref();
    match headers.and_then(|headers| headers.inner().get("x-stream-offset")) {
        Some(AMQPValue::LongLongInt(offset)) => u64::try_from(*offset).ok(),
        _ => None,
    }
    .ok_or_else(|| End::Lost("a delivery without an offset: the queue is not a stream".to_owned()))
}
