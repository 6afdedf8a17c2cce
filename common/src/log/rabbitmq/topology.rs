//! What stands in the broker: one direct exchange, and one stream per shard bound to it.
//!
//! Names carry the schema's version and the number of shards. So does the routing key: the exchange is shared by clusters
//! of different shard counts, and a key without the count would put a record into the streams of all of them.
//!
//! The arguments are constants, never settings: the broker refuses to declare a queue again with others.

use std::time::Duration;

use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ErrorKind, ExchangeKind};

use crate::ids::Shard;
use crate::log::RETENTION_MS;

use super::connection::Side;
use super::live::{ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, soft_code};

pub(super) const EXCHANGE: &str = "bellwire.v1";

/// Retention works on whole segments, when a new one begins. At 1,000 records of 600 bytes a second over 4 shards one
/// holds about two minutes; a quiet shard keeps at most one beyond its time.
const SEGMENT_BYTES: i64 = 16_000_000;

/// Most that a shard may take on the broker's disk. Over the 35 minutes that readers may go back
/// it allows 950 KB a second and shard, six times the rate above.
const STREAM_BYTES_MAX: i64 = 2_000_000_000;

/// The type of message that readers skip: where their end is ([`super::read`]), or whether a key leads to a stream.
pub(super) const MARK: &str = "bellwire.mark";

/// For declaring everything: so long whatever there is, and so much for each stream, which a broker makes in about
/// a twentieth of it.
const DECLARE_DEADLINE: Duration = Duration::from_secs(3);
const STREAM_DEADLINE: Duration = Duration::from_millis(500);

/// How the broker says that it is being shut down; it has nothing to do with what is asked for.
const CONNECTION_FORCED: u16 = 320;

/// The names for one number of shards.
#[derive(Debug, Clone, Copy)]
pub(super) struct Topology {
    shards: u16,
}

/// Why the broker does not have what is needed.
#[derive(Debug)]
pub(super) enum TopologyError {
    /// The connection did not last.
    Lost(lapin::Error),
    /// Somebody must change something in the broker.
    Refused(String),
}

impl Topology {
    pub(super) fn new(shards: u16) -> Self {
        Self { shards }
    }

    pub(super) fn shards(self) -> u16 {
        self.shards
    }

    pub(super) fn all(self) -> impl Iterator<Item = Shard> {
        (0..self.shards).map(Shard)
    }

    pub(super) fn stream(self, shard: Shard) -> String {
        format!("{EXCHANGE}.{}.{shard}", self.shards)
    }

    pub(super) fn key(self, shard: Shard) -> String {
        format!("{}.{shard}", self.shards)
    }

    /// For [`Topology::declare`].
    pub(super) fn deadline(self) -> Duration {
        DECLARE_DEADLINE + STREAM_DEADLINE * u32::from(self.shards)
    }

    /// Declares what is not there yet; what cannot be declared does not keep the rest from it. A user who may not
    /// configure gets a check that it is there.
    pub(super) async fn declare(self, connection: &Connection, side: Side) -> Result<(), TopologyError> {
        let mut refused = Vec::new();
        let mut channel = connection.create_channel().await?;
        let mut declared =
            declare_exchange(&channel, false).await.map_err(|error| (format!("exchange {EXCHANGE}"), error));
        let mut shards = self.all();
        loop {
            if let Err((what, error)) = declared {
                match soft_code(&error) {
                    Some(ACCESS_REFUSED) => return self.look(connection, side).await,
                    Some(PRECONDITION_FAILED) => refused.push(format!("{what} exists with other settings: {error}")),
                    Some(_) => refused.push(format!("{what} cannot be declared: {error}")),
                    None => return Err(TopologyError::from(error)),
                }
                // A refusal has closed the channel before. Its end is not waited for: the connection goes on.
                channel = connection.create_channel().await?;
            }
            let Some(shard) = shards.next() else { break };
            declared = self.create(&channel, shard).await;
        }
        if refused.is_empty() { Ok(()) } else { Err(TopologyError::Refused(refused.join("; "))) }
    }

    async fn create(self, channel: &Channel, shard: Shard) -> Result<(), (String, lapin::Error)> {
        let stream = self.stream(shard);
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        channel
            .queue_declare(stream.as_str().into(), durable, arguments())
            .await
            .map_err(|error| (format!("stream {stream}"), error))?;
        let (queue, key) = (stream.as_str().into(), self.key(shard).into());
        channel
            .queue_bind(queue, EXCHANGE.into(), key, QueueBindOptions::default(), FieldTable::default())
            .await
            .map_err(|error| (format!("binding of stream {stream}"), error))
    }

    async fn look(self, connection: &Connection, side: Side) -> Result<(), TopologyError> {
        let mut missing = Vec::new();
        let mut reached = Vec::new();
        let channel = connection.create_channel().await?;
        let exchange = is_there(declare_exchange(&channel, true).await)?;
        if !exchange {
            missing.push(format!("exchange {EXCHANGE}"));
        }
        for shard in self.all() {
            // A refusal has closed the channel before.
            let channel = connection.create_channel().await?;
            let passive = QueueDeclareOptions { passive: true, ..Default::default() };
            let stream = self.stream(shard);
            let seen = channel.queue_declare(stream.as_str().into(), passive, FieldTable::default()).await;
            match is_there(seen.map(drop))? {
                true => reached.push(shard),
                false => missing.push(format!("stream {stream}")),
            }
        }
        // Whoever only reads gets along without: what is there is there, and the other side tells.
        if exchange && matches!(side, Side::Append) {
            for shard in self.unbound(connection, reached).await? {
                let (stream, key) = (self.stream(shard), self.key(shard));
                missing.push(format!("binding of stream {stream} to exchange {EXCHANGE} with key {key}"));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(", ");
        Err(TopologyError::Refused(format!("missing, and this user may not configure: {missing}")))
    }

    /// The shards whose key leads nowhere. Bindings cannot be looked at, so each key is tried with a message that readers
    /// skip.
    async fn unbound(self, connection: &Connection, shards: Vec<Shard>) -> Result<Vec<Shard>, TopologyError> {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let mut unbound = Vec::new();
        for shard in shards {
            let options = BasicPublishOptions { mandatory: true, immediate: false };
            let probe = fastrand::u128(..).to_be_bytes();
            let mark = BasicProperties::default().with_type(MARK.into());
            let published = channel.basic_publish(EXCHANGE.into(), self.key(shard).into(), options, &probe, mark).await;
            match published?.await? {
                Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => unbound.push(shard),
                // Whether it takes the message just now is another question.
                Confirmation::Ack(None) | Confirmation::Nack(None) | Confirmation::NotRequested => {}
            }
        }
        Ok(unbound)
    }
}

async fn declare_exchange(channel: &Channel, passive: bool) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions { durable: !passive, passive, ..Default::default() };
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Direct, options, FieldTable::default()).await
}

fn is_there(seen: lapin::Result<()>) -> Result<bool, TopologyError> {
    match seen {
        Ok(()) => Ok(true),
        Err(error) if soft_code(&error) == Some(NOT_FOUND) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn arguments() -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
    table.insert("x-max-age".into(), AMQPValue::LongString(format!("{}s", RETENTION_MS / 1000).into()));
    table.insert("x-stream-max-segment-size-bytes".into(), AMQPValue::LongLongInt(SEGMENT_BYTES));
    table.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(STREAM_BYTES_MAX));
    table
}

impl From<lapin::Error> for TopologyError {
    fn from(error: lapin::Error) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(answer) if answer.get_id() != CONNECTION_FORCED => {
                Self::Refused(error.to_string())
            }
            _ => Self::Lost(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_change() {
        let topology = Topology::new(4);
        assert_eq!(topology.stream(Shard(3)), "bellwire.v1.4.3");
        assert_eq!(topology.key(Shard(3)), "4.3");
        assert_eq!(topology.all().count(), 4);
    }

    #[test]
    fn more_streams_may_take_longer() {
        assert!(Topology::new(64).deadline() > Topology::new(4).deadline() * 5);
    }
}
