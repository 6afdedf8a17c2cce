//! What only the log in RabbitMQ has to cope with: a broker that is away, frozen, emptied, or set up otherwise.
//!
//! The cases share one private node, one after the other; each has a number of shards, and so streams, of its own.

#[path = "rabbitmq/cluster.rs"]
mod cluster;
#[path = "rabbitmq/streams.rs"]
mod streams;
#[path = "rabbitmq/unreachable.rs"]
mod unreachable;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lapin::options::{QueueBindOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::sync::{Mutex, OwnedMutexGuard};

use bellwire_common::ids::{NotificationId, Offset, Shard, UnixMillis, UserId};
use bellwire_common::log::rabbitmq::{RabbitLog, RabbitSettings};
use bellwire_common::log::{AppendError, Event, Log, Reader, Safety, Start};
use bellwire_common::metrics;
use bellwire_common::record::{Notify, Record};
use bellwire_testkit::broker::Broker;

const FIRST: Shard = Shard(0);
const ALL: Start = Start::Offset(Offset(0));

/// In a static, where nothing is dropped: the node ends with the test process.
static BROKER: LazyLock<Arc<Mutex<Option<Broker>>>> = LazyLock::new(Arc::default);

struct Turn(OwnedMutexGuard<Option<Broker>>);

impl Turn {
    async fn take() -> Self {
        let mut broker = Arc::clone(&BROKER).lock_owned().await;
        if broker.as_ref().is_none_or(|broker| !broker.is_running()) {
            *broker = None;
            *broker = Some(Broker::start().await.expect("a broker"));
        }
        Self(broker)
    }

    fn broker(&mut self) -> &mut Broker {
        self.0.as_mut().expect("started")
    }

    /// The tests share a broker: each has a number of shards, and so streams, of its own.
    fn log(&mut self, shards: u16) -> RabbitLog {
        log_at(&self.broker().url(), shards)
    }

    /// A channel of somebody who may do everything. Its connection ends with the returned one.
    async fn admin(&mut self) -> (Connection, Channel) {
        let connection = Connection::connect(&self.broker().url(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        (connection, channel)
    }
}

fn log_at(url: &str, shards: u16) -> RabbitLog {
    RabbitLog::new(RabbitSettings::new(url, shards, "test").expect("settings"))
}

fn note(id: &str) -> Bytes {
    let id = NotificationId::try_new(id).expect("an id");
    let user = UserId::try_new("7").expect("a user");
    Record::Notify(Notify {
        id,
        user,
        accepted_at: UnixMillis(0),
        expires_at: UnixMillis(1),
        payload: Bytes::from_static(b"{}"),
    })
    .encode()
}

async fn append(log: &RabbitLog, id: &str) -> Result<(), AppendError> {
    append_to(log, FIRST, id).await
}

async fn append_to(log: &RabbitLog, shard: Shard, id: &str) -> Result<(), AppendError> {
    log.append(shard, vec![note(id)], Safety::Safe).await
}

/// Appends until that works; the pauses are a caller's, not more than a few seconds together.
async fn append_until_taken(log: &RabbitLog, shard: Shard, id: &str) {
    while append_to(log, shard, id).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Reads up to the next event that is not records, and returns it with the ids that came before.
async fn until_other(reader: &mut Reader) -> (Vec<String>, Event) {
    let mut ids = Vec::new();
    loop {
        match reader.next().await.expect("the log is open") {
            Event::Records(records) => ids.extend(records.into_iter().map(|(_, record)| id_of(&record))),
            other => return (ids, other),
        }
    }
}

fn id_of(record: &Record) -> String {
    let Record::Notify(notify) = record else { panic!("{record:?}") };
    notify.id.as_str().to_owned()
}

macro_rules! next_is {
    ($reader:expr, $ids:expr, $event:pat) => {
        let (ids, event) = until_other(&mut $reader).await;
        assert!(matches!(event, $event), "{event:?}");
        assert_eq!(ids, $ids as &[&str]);
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_at_the_start_may_come_later() {
    let mut turn = Turn::take().await;
    turn.broker().stop().await.unwrap();
    let log = turn.log(1);
    let mut reader = log.read(FIRST, ALL);
    let told = log.check().await.unwrap_err();
    assert!(told.contains(&format!("127.0.0.1:{}", turn.broker().port())), "{told}");
    let since = Instant::now();
    assert!(matches!(append(&log, "early").await, Err(AppendError::Unavailable(_))));
    assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
    assert!(reader.try_next().is_none());
    turn.broker().restart().await.unwrap();
    log.connected().await.unwrap();
    append_until_taken(&log, FIRST, "late").await;
    next_is!(log.read(FIRST, ALL), &["late"], Event::CaughtUp);
    let (_, event) = until_other(&mut reader).await;
    assert!(matches!(event, Event::CaughtUp), "{event:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_keeps_its_place_over_restarts() {
    let mut turn = Turn::take().await;
    let log = turn.log(2);
    log.check().await.unwrap();
    let mut live = log.read(FIRST, ALL);
    next_is!(live, &[], Event::CaughtUp);
    for round in 0..2 {
        let (before, after) = (format!("before-{round}"), format!("after-{round}"));
        append(&log, &before).await.unwrap();
        let Some(Event::Records(records)) = live.next().await else { panic!("no record") };
        assert_eq!(id_of(&records[0].1), before);
        match round {
            0 => turn.broker().stop().await.unwrap(),
            _ => turn.broker().kill(),
        }
        turn.broker().restart().await.unwrap();
        log.connected().await.unwrap();
        // The broker may be there before its bindings are.
        append_until_taken(&log, FIRST, &after).await;
        next_is!(live, &[], Event::Reattached);
        // The mark of the new attachment and the record after the restart may come either way round.
        let mut rest = Vec::new();
        let mut caught_up = false;
        while rest.is_empty() || !caught_up {
            match live.next().await.unwrap() {
                Event::Records(records) => rest.extend(records.iter().map(|(_, record)| id_of(record))),
                event => caught_up = matches!(event, Event::CaughtUp),
            }
        }
        // What was not known to be written was appended again.
        rest.dedup();
        assert_eq!(rest, [after]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_broker_makes_appends_fail_in_time() {
    let mut turn = Turn::take().await;
    let log = turn.log(3);
    log.check().await.unwrap();
    append(&log, "before").await.unwrap();
    turn.broker().freeze().await.unwrap();
    let since = Instant::now();
    let stuck = append(&log, "stuck").await;
    let next = append(&log, "next").await;
    let took = since.elapsed();
    turn.broker().thaw().await.unwrap();
    assert!(matches!(stuck, Err(AppendError::Unknown(_))), "{stuck:?}");
    assert!(matches!(next, Err(AppendError::Unavailable(_))), "{next:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    log.connected().await.unwrap();
    append_until_taken(&log, FIRST, "after").await;
    let (ids, event) = until_other(&mut log.read(FIRST, ALL)).await;
    assert!(matches!(event, Event::CaughtUp), "{event:?}");
    assert_eq!(ids.first().map(String::as_str), Some("before"));
    assert_eq!(ids.last().map(String::as_str), Some("after"));
}

/// How many records the log counted as confirmed, in this process.
fn counted() -> u64 {
    static METRICS: LazyLock<metrics_exporter_prometheus::PrometheusHandle> =
        LazyLock::new(|| metrics::install().expect("the first recorder"));
    let shown = METRICS.render();
    let line = shown.lines().find(|line| line.starts_with(r#"bellwire_log_appends_total{result="confirmed"}"#));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_that_nobody_waits_for_are_counted() {
    let mut turn = Turn::take().await;
    let before = counted();
    let log = turn.log(12);
    log.check().await.unwrap();
    for n in 0..3 {
        drop(log.append(FIRST, vec![note(&format!("dropped-{n}")), note("more")], Safety::Safe));
    }
    append(&log, "last").await.unwrap();
    assert_eq!(counted() - before, 7);
}

/// Longer than two heartbeats, after which both sides take the connection for lost; half of that is too short to see it.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_frozen_for_longer_than_the_heartbeat_leaves_no_gap() {
    if std::env::var_os("BELLWIRE_TEST_FULL").is_none() {
        return;
    }
    let mut turn = Turn::take().await;
    let log = turn.log(13);
    log.check().await.unwrap();
    let mut reader = log.read(FIRST, Start::Time(UnixMillis::now()));
    while !matches!(reader.next().await.unwrap(), Event::CaughtUp) {}
    let mut appended: Vec<_> = (0..20).map(|n| format!("before-{n}")).collect();
    for id in &appended {
        append(&log, id).await.unwrap();
    }
    turn.broker().freeze().await.unwrap();
    tokio::time::sleep(Duration::from_secs(25)).await;
    turn.broker().thaw().await.unwrap();
    for id in (0..20).map(|n| format!("after-{n}")) {
        append_until_taken(&log, FIRST, &id).await;
        appended.push(id);
    }
    let mut ids = Vec::new();
    let mut reattached = false;
    while ids.last() != appended.last() {
        match reader.next().await.unwrap() {
            Event::Records(records) => ids.extend(records.iter().map(|(_, record)| id_of(record))),
            Event::Reattached => reattached = true,
            Event::CaughtUp => {}
            Event::Replaced => panic!("nothing was replaced"),
        }
    }
    // What was not known to be written may have been written, and was appended again.
    ids.dedup();
    assert_eq!(ids, appended);
    assert!(reattached, "the freeze was not noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_made_anew_is_noticed() {
    let mut turn = Turn::take().await;
    let log = turn.log(4);
    log.check().await.unwrap();
    for id in ["a", "b", "c"] {
        append(&log, id).await.unwrap();
    }
    let mut reader = log.read(FIRST, Start::Offset(Offset(1)));
    let mut by_time = log.read(FIRST, Start::Time(UnixMillis(0)));
    next_is!(reader, &["b", "c"], Event::CaughtUp);
    next_is!(by_time, &["a", "b", "c"], Event::CaughtUp);
    let (_admin, channel) = turn.admin().await;
    channel.queue_delete(log.name(FIRST).into(), QueueDeleteOptions::default()).await.unwrap();
    for reader in [&mut reader, &mut by_time] {
        next_is!(*reader, &[], Event::Replaced);
        // The readers share a connection: what one of them gives up, the other may have attached to already.
        while !matches!(reader.next().await.unwrap(), Event::CaughtUp) {}
    }
    append_until_taken(&log, FIRST, "new").await;
    for reader in [&mut reader, &mut by_time] {
        let mut ids = Vec::new();
        while ids.is_empty() {
            match reader.next().await.unwrap() {
                Event::Records(records) => ids.extend(records.iter().map(|(_, record)| id_of(record))),
                event => assert!(matches!(event, Event::Reattached | Event::CaughtUp), "{event:?}"),
            }
        }
        assert_eq!(ids[0], "new");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_configure_is_told_what_is_missing() {
    let mut turn = Turn::take().await;
    let broker = turn.broker();
    broker.rabbitmqctl(&["add_user", "plain", "pa55word"]).await.unwrap();
    broker.rabbitmqctl(&["set_permissions", "plain", "^$", ".*", ".*"]).await.unwrap();
    let plain = broker.url_as("plain", "pa55word");
    let told = log_at(&plain, 5).check().await.unwrap_err();
    assert!(told.contains("may not configure") && told.contains("bellwire.v1.5.4"), "{told}");
    let told = log_at(&broker.url_as("plain", "wr0ng"), 5).check().await.unwrap_err();
    assert!(!told.contains("wr0ng"), "{told}");
    turn.log(5).check().await.unwrap();
    let log = log_at(&plain, 5);
    log.check().await.unwrap();
    append(&log, "allowed").await.unwrap();
    next_is!(log.read(FIRST, ALL), &["allowed"], Event::CaughtUp);

    let (_admin, channel) = turn.admin().await;
    let bind = |key: &'static str| (log.name(FIRST).into(), "bellwire.v1".into(), key.into());
    let (queue, exchange, key) = bind("5.0");
    channel.queue_unbind(queue, exchange, key, FieldTable::default()).await.unwrap();
    let told = log_at(&plain, 5).check().await.unwrap_err();
    assert!(told.contains("binding of stream bellwire.v1.5.0 to exchange bellwire.v1 with key 5.0"), "{told}");
    assert!(!told.contains("5.1"), "{told}");
    let told = append(&log, "nowhere").await.unwrap_err().to_string();
    assert!(told.contains("key 5.0"), "{told}");
    append_to(&log, Shard(1), "elsewhere").await.unwrap();
    let (queue, exchange, key) = bind("5.0");
    channel.queue_bind(queue, exchange, key, QueueBindOptions::default(), FieldTable::default()).await.unwrap();
    append(&log, "again").await.unwrap();
    next_is!(log.read(FIRST, ALL), &["allowed", "again"], Event::CaughtUp);
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_with_other_shard_counts_do_not_mix() {
    let mut turn = Turn::take().await;
    let (six, seven) = (turn.log(6), turn.log(7));
    six.check().await.unwrap();
    seven.check().await.unwrap();
    append(&six, "six").await.unwrap();
    append(&seven, "seven").await.unwrap();
    next_is!(six.read(FIRST, ALL), &["six"], Event::CaughtUp);
    next_is!(seven.read(FIRST, ALL), &["seven"], Event::CaughtUp);
}
