//! One consumer of a stream, with what tells it where the end is.

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Consumer};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use crate::backoff::Backoff;

use super::append::Writer;
use super::live::Live;
use super::topology::MARK;

/// Records that the broker sends ahead of their acknowledgement.
const PREFETCH: u16 = 1000;
/// Acknowledging each record would cost five sixths of the rate.
const ACK_EVERY: u64 = PREFETCH as u64 / 4;

/// Why an attachment ended.
pub(super) enum End {
    /// Nobody takes the events, or the log is closed.
    Gone,
    /// The log is another one; begin again.
    Replaced,
    /// The one who reads wants it so.
    Asked,
    Lost(String),
    Failed(lapin::Error),
}

impl From<lapin::Error> for End {
    fn from(error: lapin::Error) -> Self {
        Self::Failed(error)
    }
}

/// One consumer and the mark that shows its end.
pub(super) struct Attachment {
    channel: Channel,
    consumer: Consumer,
    pub(super) mark: Bytes,
    _marking: AbortOnDropHandle<()>,
    ahead: Option<Delivery>,
    unacknowledged: u64,
}

impl Attachment {
    /// Begins to consume, and then to mark.
    pub(super) async fn new(live: &Live, stream: &str, begin: AMQPValue, writer: &Writer) -> lapin::Result<Self> {
        let (channel, consumer) = consume(live, stream, begin).await?;
        let mark = Bytes::from(fastrand::u128(..).to_be_bytes().to_vec());
        let marking = AbortOnDropHandle::new(tokio::spawn(keep_marking(writer.clone(), mark.clone())));
        Ok(Self { channel, consumer, mark, _marking: marking, ahead: None, unacknowledged: 0 })
    }

    /// Whether what it begins with lies at or before `from`.
    pub(super) async fn begins_by(&mut self, from: u64) -> Result<bool, End> {
        let first = self.next().await?;
        let before = offset_of(&first)? <= from;
        self.ahead = Some(first);
        Ok(before)
    }

    /// Consumes from an offset instead.
    pub(super) async fn consume_from(&mut self, live: &Live, stream: &str, from: u64) -> lapin::Result<()> {
        let begin = AMQPValue::LongLongInt(i64::try_from(from).unwrap_or(i64::MAX));
        (self.channel, self.consumer) = consume(live, stream, begin).await?;
        (self.ahead, self.unacknowledged) = (None, 0);
        Ok(())
    }

    pub(super) async fn next(&mut self) -> Result<Delivery, End> {
        match self.ahead.take() {
            Some(delivery) => Ok(delivery),
            None => delivered(self.consumer.next().await),
        }
    }

    /// The next one if it is here already.
    pub(super) fn next_waiting(&mut self) -> Result<Option<Delivery>, End> {
        self.consumer.next().now_or_never().map(delivered).transpose()
    }

    pub(super) async fn acknowledge(&mut self, deliveries: u64, upto: u64) -> Result<(), End> {
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
    let mut backoff = Backoff::log();
    while let Err(error) = writer.mark(mark.clone()).await {
        debug!(%error, "the mark of a reader is not written yet");
        backoff.wait().await;
    }
}

/// The broker may also cancel a consumer, when the stream is deleted.
fn delivered(next: Option<lapin::Result<Delivery>>) -> Result<Delivery, End> {
    Ok(next.ok_or_else(|| End::Lost("the broker ended the consumer".to_owned()))??)
}

/// Whether this is a mark: anybody's, or this one.
pub(super) fn is_mark(delivery: &Delivery, mark: Option<&Bytes>) -> bool {
    delivery.properties.kind().as_ref().is_some_and(|kind| kind.as_str() == MARK)
        && mark.is_none_or(|mark| *mark == delivery.data)
}

pub(super) fn offset_of(delivery: &Delivery) -> Result<u64, End> {
    let headers = delivery.properties.headers().as_ref();
    match headers.and_then(|headers| headers.inner().get("x-stream-offset")) {
        Some(AMQPValue::LongLongInt(offset)) => u64::try_from(*offset).ok(),
        _ => None,
    }
    .ok_or_else(|| End::Lost("a delivery without an offset: the queue is not a stream".to_owned()))
}
