//! What reading promises.

use std::collections::BTreeSet;

use bytes::Bytes;

use bellwire_common::ids::{Offset, Shard, UnixMillis};
use bellwire_common::log::{Safety, Start};

use crate::backend::{Backend, SHARDS};
use crate::probe::{ALL, FIRST, Probe, append, everything, fill, ids, sized};

pub(crate) async fn an_empty_log_is_caught_up_at_once(mut backend: impl Backend) {
    let log = backend.open().await;
    for start in [ALL, Start::Time(UnixMillis::now().minus(1000)), Start::Offset(Offset(5))] {
        let mut probe = Probe::new(&log, FIRST, start);
        probe.until_caught_up().await;
        assert_eq!(probe.caught_up, [0]);
    }
}

pub(crate) async fn caught_up_comes_once_and_after_what_was_there(mut backend: impl Backend) {
    let log = backend.open().await;
    fill(&log, 0..1500).await;
    let mut probe = Probe::new(&log, FIRST, ALL);
    fill(&log, 1500..2000).await;
    probe.until_seen(2000).await;
    probe.until_caught_up().await;
    append(&log, FIRST, "last").await.unwrap();
    probe.until_id("last").await;
    assert!(probe.is_idle());
    assert_eq!(probe.caught_up.len(), probe.attachments);
    assert!(probe.caught_up[0] >= 1500, "{:?}", probe.caught_up);
    assert_eq!(probe.ids()[..2000], ids(0..2000));
}

pub(crate) async fn every_reader_gets_all(mut backend: impl Backend) {
    let log = backend.open().await;
    let mut probes: Vec<_> = (0..3).map(|_| Probe::new(&log, FIRST, ALL)).collect();
    fill(&log, 0..200).await;
    probes.extend((0..3).map(|_| Probe::new(&log, FIRST, ALL)));
    fill(&log, 200..400).await;
    for mut probe in probes {
        probe.until_seen(400).await;
        assert_eq!(probe.ids(), ids(0..400));
    }
}

pub(crate) async fn an_offset_is_inclusive(mut backend: impl Backend) {
    let log = backend.open().await;
    fill(&log, 0..100).await;
    let all = everything(&log, FIRST).await;
    for n in [0, 1, 57, 99] {
        let mut probe = Probe::new(&log, FIRST, Start::Offset(all[n].0));
        probe.until_seen(100 - n).await;
        assert_eq!(probe.seen, all[n..]);
    }
}

pub(crate) async fn beyond_the_end_only_new_records_come(mut backend: impl Backend) {
    let log = backend.open().await;
    fill(&log, 0..20).await;
    let last = everything(&log, FIRST).await[19].0;
    let mut probe = Probe::new(&log, FIRST, Start::Offset(Offset(last.0 + 1)));
    probe.until_caught_up().await;
    assert_eq!(probe.caught_up, [0]);
    fill(&log, 20..30).await;
    probe.until_seen(10).await;
    assert_eq!(probe.ids(), ids(20..30));
}

/// Such an offset is another log's: whoever has it must not wait in silence until this one is as long.
pub(crate) async fn far_beyond_the_end_reading_starts_over(mut backend: impl Backend) {
    let log = backend.open().await;
    fill(&log, 0..20).await;
    let last = everything(&log, FIRST).await[19].0;
    let mut probe = Probe::new(&log, FIRST, Start::Offset(Offset(last.0 + 500)));
    probe.until_caught_up().await;
    fill(&log, 20..30).await;
    probe.until_seen(30).await;
    assert_eq!(probe.ids(), ids(0..30));
    assert_eq!(probe.replaced, 1);
}

pub(crate) async fn asked_to_a_reader_attaches_anew_without_gap_or_repeat(mut backend: impl Backend) {
    let log = backend.open().await;
    fill(&log, 0..1000).await;
    let all = everything(&log, FIRST).await;
    for start in [ALL, Start::Offset(all[10].0), Start::Time(UnixMillis(0))] {
        let mut probe = Probe::new(&log, FIRST, start);
        // Before anything, in the middle, and at the end.
        for count in [0, 500, 990] {
            probe.until_seen(count).await;
            let before = probe.attachments;
            probe.reattach();
            probe.until("attached anew", |probe| probe.attachments > before).await;
        }
        let caught_up = probe.caught_up.len();
        probe.until("caught up again", |probe| probe.caught_up.len() > caught_up).await;
        let expected = if start == Start::Offset(all[10].0) { &all[10..] } else { &all };
        assert_eq!(probe.seen, expected);
        assert_eq!(probe.replaced, 0);
    }
    let mut probe = Probe::new(&log, FIRST, ALL);
    probe.until_seen(1000).await;
    probe.reattach();
    append(&log, FIRST, "live").await.unwrap();
    probe.until_id("live").await;
    assert_eq!(probe.seen.len(), 1001);
}

pub(crate) async fn a_time_finds_what_came_since(mut backend: impl Backend) {
    let log = backend.open().await;
    fill(&log, 0..50).await;
    let since = later_than(UnixMillis::now()).await;
    fill(&log, 50..120).await;
    let mut probe = Probe::new(&log, FIRST, Start::Time(since));
    probe.until_id("119").await;
    let seen = probe.ids();
    assert!(seen.len() >= 70, "{seen:?}");
    assert_eq!(seen, ids(120 - seen.len()..120));

    let mut probe = Probe::new(&log, FIRST, Start::Time(UnixMillis(0)));
    probe.until_seen(120).await;
    assert_eq!(probe.ids(), ids(0..120));
}

/// A time of which the clock says that it is later than `time`.
async fn later_than(time: UnixMillis) -> UnixMillis {
    while UnixMillis::now() <= time.plus(1) {
        tokio::task::yield_now().await;
    }
    UnixMillis::now()
}

pub(crate) async fn a_reader_may_go_at_any_moment(mut backend: impl Backend) {
    let log = backend.open().await;
    fill(&log, 0..2000).await;
    for count in [0, 1, 700] {
        let mut probe = Probe::new(&log, FIRST, ALL);
        probe.until_seen(count).await;
        drop(probe);
        append(&log, FIRST, "after").await.unwrap();
    }
    let all = everything(&log, FIRST).await;
    assert_eq!(all.len(), 2003);
}

pub(crate) async fn a_slow_reader_misses_nothing(mut backend: impl Backend) {
    let log = backend.open().await;
    let mut slow = Probe::new(&log, FIRST, ALL);
    append(&log, FIRST, "first").await.unwrap();
    slow.until_id("first").await;
    for batch in 0..40 {
        let records = (0..10).map(|n| sized(&format!("{}", batch * 10 + n), 30_000)).collect();
        log.append(FIRST, records, Safety::Safe).await.unwrap();
    }
    slow.until_seen(401).await;
    assert_eq!(slow.ids()[1..], ids(0..400));
}

pub(crate) async fn unreadable_records_are_skipped(mut backend: impl Backend) {
    let log = backend.open().await;
    let garbage = || vec![Bytes::from_static(&[250, 1, 2, 3])];
    log.append(FIRST, garbage(), Safety::Safe).await.unwrap();
    append(&log, FIRST, "good").await.unwrap();
    log.append(FIRST, garbage(), Safety::Safe).await.unwrap();
    assert_eq!(everything(&log, FIRST).await.len(), 1);
}

pub(crate) async fn names_tell_shards_apart(mut backend: impl Backend) {
    let log = backend.open().await;
    let names: BTreeSet<_> = (0..SHARDS).map(|n| log.name(Shard(n))).collect();
    assert!(names.iter().all(|name| !name.is_empty()));
    assert_eq!(names.len(), usize::from(SHARDS), "{names:?}");
}
