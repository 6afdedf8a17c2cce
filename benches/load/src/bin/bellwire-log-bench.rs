//! Compares the log in RabbitMQ with a bare client, on the same private broker in the same run.
//!
//! The bare partner keeps the same promises with nothing around them: confirms, `mandatory`, 256 unconfirmed records per
//! shard; a prefetch of 1,000 acknowledged every quarter. Prints one JSON line per number of shards; rates are records a
//! second over all shards, the median of the rounds. The goal is a ratio of 0.7.

use std::time::Instant;

use anyhow::{Context, Result};
use bellwire_common::ids::{NotificationId, Offset, Shard, UnixMillis, UserId};
use bellwire_common::log::rabbitmq::{RabbitLog, RabbitSettings};
use bellwire_common::log::{Event, Log, Safety, Start};
use bellwire_common::record::{Notify, Record};
use bellwire_testkit::broker::Broker;
use bytes::Bytes;
use clap::{Arg, Command, value_parser};
use futures_util::future::try_join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties, ExchangeKind};
use serde_json::json;

const WINDOW: usize = 256;
const PREFETCH: u16 = 1000;
const BODY_BYTES: usize = 400;
const ROUNDS: usize = 3;
const EXCHANGE: &str = "bare";

#[tokio::main]
async fn main() -> Result<()> {
    let records = Arg::new("records")
        .long("records")
        .help("Records of each round, over all shards")
        .value_parser(value_parser!(u32))
        .default_value("40000");
    let matches =
        Command::new("bellwire-log-bench").about("Compares the log with a bare client").arg(records).get_matches();
    let records = matches.get_one::<u32>("records").copied().unwrap_or_default() as usize;
    let broker = Broker::start().await?;
    for shards in [1, 4] {
        println!("{}", compare(&broker.url(), shards, records).await?);
    }
    Ok(())
}

async fn compare(url: &str, shards: u16, records: usize) -> Result<serde_json::Value> {
    let each = records / usize::from(shards);
    let bare = Bare::open(url, shards).await?;
    let log = RabbitLog::new(RabbitSettings::new(url, shards, "bench")?);
    log.check().await.map_err(anyhow::Error::msg)?;
    let mut rates: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        let rate = |since: Instant| (each * usize::from(shards)) as f64 / since.elapsed().as_secs_f64();
        let since = Instant::now();
        bare.publish(each).await?;
        rates[0].push(rate(since));
        let since = Instant::now();
        try_join_all((0..shards).map(|n| append(&log, Shard(n), each))).await?;
        rates[1].push(rate(since));
        let since = Instant::now();
        bare.consume(each).await?;
        rates[2].push(rate(since));
        let since = Instant::now();
        try_join_all((0..shards).map(|n| read(&log, Shard(n), each))).await?;
        rates[3].push(rate(since));
    }
    log.close().await;
    let [bare_append, append, bare_read, read] = rates.map(median);
    Ok(json!({
        "shards": shards, "records": records, "body_bytes": body().len(), "window": WINDOW, "prefetch": PREFETCH,
        "append": { "bare": bare_append.round(), "bellwire": append.round(), "ratio": ratio(append, bare_append) },
        "read": { "bare": bare_read.round(), "bellwire": read.round(), "ratio": ratio(read, bare_read) },
    }))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn ratio(ours: f64, bare: f64) -> f64 {
    (ours / bare * 100.0).round() / 100.0
}

fn body() -> Bytes {
    let id = |text| NotificationId::try_new(text).unwrap_or_else(|_| unreachable!());
    let user = |text| UserId::try_new(text).unwrap_or_else(|_| unreachable!());
    let payload = Bytes::from(vec![b'x'; BODY_BYTES]);
    let (accepted_at, expires_at) = (UnixMillis(0), UnixMillis(1));
    Record::Notify(Notify { id: id("bench"), user: user("7"), accepted_at, expires_at, payload }).encode()
}

async fn append(log: &RabbitLog, shard: Shard, records: usize) -> Result<()> {
    let body = body();
    let mut pending = FuturesUnordered::new();
    for _ in 0..records {
        if pending.len() == WINDOW {
            pending.next().await.context("something is pending")??;
        }
        pending.push(log.append(shard, vec![body.clone()], Safety::Safe));
    }
    while let Some(result) = pending.next().await {
        result?;
    }
    Ok(())
}

async fn read(log: &RabbitLog, shard: Shard, records: usize) -> Result<()> {
    let mut reader = log.read(shard, Start::Offset(Offset(0)));
    let mut seen = 0;
    while seen < records {
        if let Event::Records(records) = reader.next().await.context("the log ended")? {
            seen += records.len();
        }
    }
    Ok(())
}

/// The partner: one connection to publish, one to consume, a channel per stream on each.
struct Bare {
    publish: Connection,
    consume: Connection,
    shards: u16,
}

impl Bare {
    async fn open(url: &str, shards: u16) -> Result<Self> {
        let publish = Connection::connect(url, ConnectionProperties::default()).await?;
        let consume = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = publish.create_channel().await?;
        let none = FieldTable::default;
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Direct, durable, none()).await?;
        let this = Self { publish, consume, shards };
        for name in this.streams() {
            let mut arguments = FieldTable::default();
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
            let durable = QueueDeclareOptions { durable: true, ..Default::default() };
            channel.queue_declare(name.as_str().into(), durable, arguments).await?;
            let (queue, key) = (name.as_str().into(), name.as_str().into());
            channel.queue_bind(queue, EXCHANGE.into(), key, QueueBindOptions::default(), none()).await?;
        }
        Ok(this)
    }

    fn streams(&self) -> impl Iterator<Item = String> {
        let shards = self.shards;
        (0..shards).map(move |n| format!("bare.{shards}.{n}"))
    }

    async fn publish(&self, each: usize) -> Result<()> {
        try_join_all(self.streams().map(|stream| self.publish_to(stream, each))).await.map(drop)
    }

    async fn publish_to(&self, stream: String, records: usize) -> Result<()> {
        let channel = self.publish.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let body = body();
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let send = async || {
            let key = stream.as_str().into();
            channel.basic_publish(EXCHANGE.into(), key, options, &body, BasicProperties::default()).await?.await
        };
        let mut pending = FuturesUnordered::new();
        for _ in 0..records {
            if pending.len() == WINDOW {
                confirmed(pending.next().await.context("something is pending")??)?;
            }
            pending.push(send());
        }
        while let Some(result) = pending.next().await {
            confirmed(result?)?;
        }
        Ok(())
    }

    async fn consume(&self, each: usize) -> Result<()> {
        try_join_all(self.streams().map(|stream| self.consume_from(stream, each))).await.map(drop)
    }

    async fn consume_from(&self, stream: String, records: usize) -> Result<()> {
        let channel = self.consume.create_channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
        let options = BasicConsumeOptions::default();
        let mut consumer = channel.basic_consume(stream.as_str().into(), "".into(), options, arguments).await?;
        for n in 1..=records {
            let delivery = consumer.next().await.context("the consumer ended")??;
            if n % (usize::from(PREFETCH) / 4) == 0 {
                delivery.ack(BasicAckOptions { multiple: true }).await?;
            }
        }
        Ok(())
    }
}

fn confirmed(confirmation: Confirmation) -> Result<()> {
    anyhow::ensure!(matches!(confirmation, Confirmation::Ack(None)), "not confirmed: {confirmation:?}");
    Ok(())
}
