//! What appending promises.

use futures_util::future::join_all;

use bellwire_common::ids::Shard;
use bellwire_common::log::Safety;

use crate::backend::{Backend, SHARDS};
use crate::probe::{ALL, FIRST, Probe, all_ids, append, fill, ids, note};

pub(crate) async fn order_is_kept(mut backend: impl Backend) {
    let log = backend.open().await;
    let mut live = Probe::new(&log, FIRST, ALL);
    fill(&log, 0..300).await;
    live.until_seen(300).await;
    assert_eq!(live.ids(), ids(0..300));
    assert_eq!(all_ids(&log, FIRST).await, ids(0..300));
}

pub(crate) async fn a_batch_stays_in_order(mut backend: impl Backend) {
    let log = backend.open().await;
    let batch = |range: std::ops::Range<usize>| range.map(note).collect();
    let (first, second) =
        (log.append(FIRST, batch(0..70), Safety::Safe), log.append(FIRST, batch(70..71), Safety::Safe));
    first.await.unwrap();
    second.await.unwrap();
    log.append(FIRST, batch(71..200), Safety::Safe).await.unwrap();
    assert_eq!(all_ids(&log, FIRST).await, ids(0..200));
}

pub(crate) async fn nothing_appended_is_fine(mut backend: impl Backend) {
    let log = backend.open().await;
    log.append(FIRST, Vec::new(), Safety::Safe).await.unwrap();
    append(&log, FIRST, "a").await.unwrap();
    assert_eq!(all_ids(&log, FIRST).await, ["a"]);
}

pub(crate) async fn shards_are_apart(mut backend: impl Backend) {
    let log = backend.open().await;
    assert_eq!(log.shards(), SHARDS);
    for shard in 0..SHARDS {
        append(&log, Shard(shard), format!("in-{shard}")).await.unwrap();
    }
    for shard in 0..SHARDS {
        assert_eq!(all_ids(&log, Shard(shard)).await, [format!("in-{shard}")]);
    }
}

pub(crate) async fn duplicates_are_all_kept(mut backend: impl Backend) {
    let log = backend.open().await;
    for _ in 0..3 {
        append(&log, FIRST, "same").await.unwrap();
    }
    assert_eq!(all_ids(&log, FIRST).await, ["same", "same", "same"]);
}

pub(crate) async fn soft_and_safe_records_keep_one_order(mut backend: impl Backend) {
    let log = backend.open().await;
    let pending: Vec<_> = (0..100)
        .map(|n| log.append(FIRST, vec![note(n)], if n % 3 == 0 { Safety::Safe } else { Safety::Soft }))
        .collect();
    join_all(pending).await.into_iter().for_each(|result| result.unwrap());
    assert_eq!(all_ids(&log, FIRST).await, ids(0..100));
}

pub(crate) async fn many_tasks_append_at_once(mut backend: impl Backend) {
    let log = backend.open().await;
    let mut live = Probe::new(&log, FIRST, ALL);
    let tasks: Vec<_> = (0..32)
        .map(|task| {
            let log = log.clone();
            tokio::spawn(async move {
                for n in 0..40 {
                    append(&log, FIRST, format!("{task}-{n}")).await.unwrap();
                }
            })
        })
        .collect();
    join_all(tasks).await.into_iter().for_each(|result| result.unwrap());
    live.until_seen(32 * 40).await;
    for task in 0..32 {
        let own: Vec<_> = live.ids().into_iter().filter(|id| id.starts_with(&format!("{task}-"))).collect();
        assert_eq!(own, (0..40).map(|n| format!("{task}-{n}")).collect::<Vec<_>>());
    }
}

pub(crate) async fn close_flushes_and_ends(mut backend: impl Backend) {
    let log = backend.open().await;
    let mut live = Probe::new(&log, FIRST, ALL);
    let pending: Vec<_> = (0..100).map(|n| log.append(FIRST, vec![note(n)], Safety::Safe)).collect();
    log.close().await;
    join_all(pending).await.into_iter().for_each(|result| result.unwrap());
    while live.step().await {}
    assert_eq!(live.ids(), ids(0..live.seen.len()));
    append(&log, FIRST, "late").await.unwrap_err();
    log.close().await;
}
