//! What stands in the broker: one direct exchange, and one stream per shard bound to it.
//!
//! Names carry the schema's version and the number of shards. So does the routing key: the exchange is shared by clusters
//! of different shard counts, and a key without the count would put a record into the streams of all of them.
//!
//! The arguments are constants, never settings: the broker refuses to declare a queue again with others.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

use crate::ids::Shard;
use crate::log::RETENTION_MS;

pub(super) const EXCHANGE: &str = "bellwire.v1";

/// Retention works on whole segments, when a new one begins. At 1,000 records of 600 bytes a second over 4 shards one
/// holds about two minutes; a quiet shard keeps at most one beyond its time.
const SEGMENT_BYTES: i64 = 16_000_000;

/// Most that a shard may take on the broker's disk. Over the 35 minutes that readers may go back
/// it allows 950 KB a second and shard, six times the rate above.
const STREAM_BYTES_MAX: i64 = 2_000_000_000;

const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;

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

    /// Declares what is not there yet. A user who may not configure gets a check that it is there.
    pub(super) async fn declare(self, connection: &Connection) -> Result<(), TopologyError> {
        let channel = connection.create_channel().await?;
        let Err((what, error)) = self.create(&channel).await else {
            // The end of the channel is not waited for: the connection goes on.
            return Ok(());
        };
        match reply_code(&error) {
            Some(ACCESS_REFUSED) => self.look(connection).await,
            Some(PRECONDITION_FAILED) => {
                Err(TopologyError::Refused(format!("{what} exists with other settings: {error}")))
            }
            Some(_) => Err(TopologyError::Refused(format!("{what} cannot be declared: {error}"))),
            None => Err(TopologyError::Lost(error)),
        }
    }

    async fn create(self, channel: &Channel) -> Result<(), (String, lapin::Error)> {
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel
            .exchange_declare(EXCHANGE.into(), ExchangeKind::Direct, durable, FieldTable::default())
            .await
            .map_err(|error| (format!("exchange {EXCHANGE}"), error))?;
        for shard in self.all() {
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
                .map_err(|error| (format!("binding of stream {stream}"), error))?;
        }
        Ok(())
    }

    /// Bindings cannot be looked at; a missing one shows when a record is returned.
    async fn look(self, connection: &Connection) -> Result<(), TopologyError> {
        let mut missing = Vec::new();
        let channel = connection.create_channel().await?;
        let passive = ExchangeDeclareOptions { passive: true, ..Default::default() };
        let seen =
            channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Direct, passive, FieldTable::default()).await;
        note_missing(seen, format!("exchange {EXCHANGE}"), &mut missing)?;
        for shard in self.all() {
            // A refusal has closed the channel before.
            let channel = connection.create_channel().await?;
            let passive = QueueDeclareOptions { passive: true, ..Default::default() };
            let stream = self.stream(shard);
            let seen = channel.queue_declare(stream.as_str().into(), passive, FieldTable::default()).await;
            note_missing(seen.map(drop), format!("stream {stream}"), &mut missing)?;
        }
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(", ");
        Err(TopologyError::Refused(format!("missing, and this user may not configure: {missing}")))
    }
}

fn note_missing(seen: lapin::Result<()>, what: String, missing: &mut Vec<String>) -> Result<(), TopologyError> {
    match seen {
        Ok(()) => {}
        Err(error) if reply_code(&error) == Some(NOT_FOUND) => missing.push(what),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn arguments() -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
    table.insert("x-max-age".into(), AMQPValue::LongString(format!("{}s", RETENTION_MS / 1000).into()));
    table.insert("x-stream-max-segment-size-bytes".into(), AMQPValue::LongLongInt(SEGMENT_BYTES));
    table.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(STREAM_BYTES_MAX));
    table
}

/// What the broker answered, where the error is an answer of the broker.
fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

impl From<lapin::Error> for TopologyError {
    fn from(error: lapin::Error) -> Self {
        match reply_code(&error) {
            Some(_) => Self::Refused(error.to_string()),
            None => Self::Lost(error),
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
}
