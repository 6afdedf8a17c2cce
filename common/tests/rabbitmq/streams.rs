//! One stream that is gone, or in nobody's reach, and what it must not do to the others.

use std::time::{Duration, Instant};

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;

use bellwire_common::ids::{Offset, Shard};
use bellwire_common::log::rabbitmq::RabbitLog;
use bellwire_common::log::{Event, Log, Reader, Start};

use crate::{ALL, FIRST, Turn, append, append_to, append_until_taken, id_of, log_at, until_other};

/// The offset of a record that was in the old stream says nothing of the new one.
#[tokio::test(flavor = "multi_thread")]
async fn an_offset_beyond_a_new_streams_end_is_noticed() {
    let mut turn = Turn::take().await;
    let log = turn.log(8);
    log.check().await.unwrap();
    for n in 0..5 {
        append(&log, &format!("old-{n}")).await.unwrap();
    }
    let (_admin, channel) = turn.admin().await;
    channel.queue_delete(log.name(FIRST).into(), QueueDeleteOptions::default()).await.unwrap();
    drop(log);
    let log = turn.log(8);
    log.check().await.unwrap();
    append(&log, "new-0").await.unwrap();
    let mut reader = log.read(FIRST, Start::Offset(Offset(6)));
    let (ids, event) = until_other(&mut reader).await;
    assert!(ids.is_empty() && matches!(event, Event::Replaced), "{ids:?}, {event:?}");
    append(&log, "new-1").await.unwrap();
    assert_eq!(next_ids(&mut reader, 2).await, ["new-0", "new-1"]);
}

/// A stream that was deleted comes back by itself, without an end of the connection that others use.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_gone_is_made_anew_beside_the_others() {
    let mut turn = Turn::take().await;
    let log = turn.log(9);
    log.check().await.unwrap();
    let mut other = caught_up(&log, Shard(1)).await;
    let mut own = caught_up(&log, FIRST).await;
    append(&log, "old").await.unwrap();
    assert_eq!(next_ids(&mut own, 1).await, ["old"]);
    let (_admin, channel) = turn.admin().await;
    channel.queue_delete(log.name(FIRST).into(), QueueDeleteOptions::default()).await.unwrap();
    append_until_taken(&log, FIRST, "new").await;
    while !matches!(own.next().await.unwrap(), Event::Replaced) {}
    assert_eq!(next_ids(&mut own, 1).await, ["new"]);
    append_to(&log, Shard(1), "other").await.unwrap();
    flows_on(&mut other, &["other".to_owned()]).await;
}

/// Somebody has put another queue where a stream was: it can neither be read nor declared.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_cannot_be_made_anew_leaves_the_others_alone() {
    let mut turn = Turn::take().await;
    let log = turn.log(10);
    log.check().await.unwrap();
    let mut others = [caught_up(&log, Shard(1)).await, caught_up(&log, Shard(9)).await];
    let mut own = caught_up(&log, FIRST).await;
    let (_admin, channel) = turn.admin().await;
    channel.queue_delete(log.name(FIRST).into(), QueueDeleteOptions::default()).await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(log.name(FIRST).into(), durable, FieldTable::default()).await.unwrap();
    let mut sent = Vec::new();
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        append(&log, "lost").await.unwrap_err();
        let id = format!("other-{}", sent.len());
        append_to(&log, Shard(1), &id).await.unwrap();
        append_to(&log, Shard(9), &id).await.unwrap();
        sent.push(id);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for other in &mut others {
        flows_on(other, &sent).await;
    }
    // A new connection serves the others too; a new process says what is wrong.
    let told = turn.log(10).check().await.unwrap_err();
    assert!(told.contains("stream bellwire.v1.10.0 exists with other settings"), "{told}");
    turn.broker().restart().await.unwrap();
    log.connected().await.unwrap();
    append_until_taken(&log, Shard(1), "restarted").await;
    for other in &mut others[..1] {
        while !matches!(other.next().await.unwrap(), Event::Reattached) {}
        assert_eq!(next_ids(other, 1).await, ["restarted"]);
    }
    let (_admin, channel) = turn.admin().await;
    channel.queue_delete(log.name(FIRST).into(), QueueDeleteOptions::default()).await.unwrap();
    append_until_taken(&log, FIRST, "back").await;
    assert_eq!(next_ids(&mut own, 1).await, ["back"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_may_not_be_read_leaves_the_others_alone() {
    let mut turn = Turn::take().await;
    let broker = turn.broker();
    broker.rabbitmqctl(&["add_user", "partial", "pa55word"]).await.unwrap();
    let readable = "^bellwire[.]v1([.]11[.][1-9][0-9]*)?$";
    broker.rabbitmqctl(&["set_permissions", "partial", ".*", ".*", readable]).await.unwrap();
    let log = log_at(&broker.url_as("partial", "pa55word"), 11);
    log.check().await.unwrap();
    let mut other = caught_up(&log, Shard(1)).await;
    let mut refused = log.read(FIRST, ALL);
    let mut sent = Vec::new();
    for n in 0..60 {
        let id = format!("other-{n}");
        append_to(&log, Shard(1), &id).await.unwrap();
        sent.push(id);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    flows_on(&mut other, &sent).await;
    assert!(refused.try_next().is_none());
}

/// Declaring must not have to be as quick as a login.
#[tokio::test(flavor = "multi_thread")]
async fn the_most_shards_can_be_declared() {
    let mut turn = Turn::take().await;
    let log = turn.log(64);
    log.check().await.unwrap();
    append_to(&log, Shard(63), "last").await.unwrap();
    let (_admin, channel) = turn.admin().await;
    for shard in 0..64 {
        channel.queue_delete(log.name(Shard(shard)).into(), QueueDeleteOptions::default()).await.unwrap();
    }
}

async fn caught_up(log: &RabbitLog, shard: Shard) -> Reader {
    let mut reader = log.read(shard, ALL);
    let (_, event) = until_other(&mut reader).await;
    assert!(matches!(event, Event::CaughtUp), "{event:?}");
    reader
}

/// These records come, and nothing but records.
async fn flows_on(reader: &mut Reader, expected: &[String]) {
    let mut ids = Vec::new();
    while ids.len() < expected.len() {
        match reader.next().await.expect("the log is open") {
            Event::Records(records) => ids.extend(records.iter().map(|(_, record)| id_of(record))),
            event => panic!("{event:?} after {ids:?}"),
        }
    }
    assert_eq!(ids, expected);
}

/// The next records, whatever comes between.
async fn next_ids(reader: &mut Reader, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        if let Event::Records(records) = reader.next().await.expect("the log is open") {
            ids.extend(records.iter().map(|(_, record)| id_of(record)));
        }
    }
    ids
}
