//! What a log promises that outlives its process.

use std::collections::HashMap;

use futures_util::future::join_all;

use bellwire_common::ids::Shard;
use bellwire_common::log::{AppendError, Safety, SharedLog};

use crate::backend::Backend;
use crate::probe::{ALL, FIRST, Probe, append, append_until_written, everything, fill, note};

pub(crate) async fn a_restart_keeps_everything_confirmed(mut backend: impl Backend) {
    let log = backend.open().await;
    let name = log.name(FIRST);
    fill(&log, 0..500).await;
    append(&log, Shard(1), "other").await.unwrap();
    let before = everything(&log, FIRST).await;
    let log = backend.restart(log).await;
    assert_eq!(log.name(FIRST), name);
    assert_eq!(everything(&log, FIRST).await, before);
    assert_eq!(everything(&log, Shard(1)).await.len(), 1);
    append_until_written(&log, FIRST, "new", Safety::Safe).await;
    let after = everything(&log, FIRST).await;
    assert_eq!(after[..500], before);
    assert_eq!(after[500].1, "new");
}

pub(crate) async fn offsets_only_grow_over_restarts(mut backend: impl Backend) {
    let mut log = backend.open().await;
    let mut highest = None;
    for round in 0..4 {
        append_until_written(&log, FIRST, &format!("soft-{round}"), Safety::Soft).await;
        append_until_written(&log, FIRST, &format!("safe-{round}"), Safety::Safe).await;
        let all = everything(&log, FIRST).await;
        let first_new = all.iter().find(|(_, id)| *id == format!("soft-{round}")).expect("just appended").0;
        assert!(highest < Some(first_new), "{first_new} is not above {highest:?}");
        highest = all.last().map(|(offset, _)| *offset);
        log = backend.restart(log).await;
    }
}

/// A crash that interrupts nothing proves nothing: so many are tried at most until one does, each with twice the load.
const CRASHES_MAX: usize = 6;
/// RabbitMQ confirms these in a fifth of a second.
const LOAD: usize = 8000;

pub(crate) async fn a_crash_in_the_middle_of_appends_loses_nothing_confirmed(backend: impl Backend) {
    crash(backend, 1).await;
}

pub(crate) async fn crash_after_crash_loses_nothing_confirmed(backend: impl Backend) {
    crash(backend, 4).await;
}

/// At least `rounds` crashes, and one that came in the middle of appends.
async fn crash(mut backend: impl Backend, rounds: usize) {
    let mut log = backend.open().await;
    let mut confirmed = Vec::new();
    let (mut load, mut interrupted) = (LOAD, false);
    for round in 0..CRASHES_MAX {
        if round >= rounds && interrupted {
            return;
        }
        let (again, unconfirmed) = crash_under_load(&mut backend, log, round, load, &mut confirmed).await;
        log = again;
        match unconfirmed {
            0 => load *= 2,
            _ => interrupted = true,
        }
        expect(&log, &confirmed).await;
    }
    assert!(interrupted, "{CRASHES_MAX} crashes interrupted no append: raise the load");
}

/// Appends, takes the log away in the middle, and adds to `confirmed` what resolved well, in order. Returns also how many
/// appends it interrupted.
async fn crash_under_load(
    backend: &mut impl Backend,
    log: SharedLog,
    round: usize,
    load: usize,
    confirmed: &mut Vec<String>,
) -> (SharedLog, usize) {
    append_until_written(&log, FIRST, &format!("{round}-start"), Safety::Safe).await;
    confirmed.push(format!("{round}-start"));
    let mut live = Probe::new(&log, FIRST, ALL);
    let names: Vec<_> = (0..load).map(|n| format!("{round}-{n}")).collect();
    let pending: Vec<_> = names.iter().map(|id| log.append(FIRST, vec![note(id)], Safety::Safe)).collect();
    live.until("appends are under way", |live| live.seen.iter().any(|(_, id)| *id == names[0])).await;
    drop(live);
    let (log, results) = tokio::join!(backend.crash(log), join_all(pending));
    let mut interrupted = 0;
    for (id, result) in names.into_iter().zip(results) {
        match result {
            Ok(()) => confirmed.push(id),
            Err(AppendError::TooLarge) => panic!("{id} is not too large"),
            Err(AppendError::Overloaded) => {}
            Err(AppendError::Unavailable(_) | AppendError::Unknown(_)) => interrupted += 1,
        }
    }
    (log, interrupted)
}

/// Each confirmed record is there, and the first of each stand in the order of the calls.
async fn expect(log: &SharedLog, confirmed: &[String]) {
    let all = everything(log, FIRST).await;
    let mut places = HashMap::new();
    for (place, (_, id)) in all.iter().enumerate() {
        places.entry(id.as_str()).or_insert(place);
    }
    let found: Vec<_> =
        confirmed.iter().map(|id| *places.get(id.as_str()).unwrap_or_else(|| panic!("{id} is lost"))).collect();
    assert!(found.is_sorted(), "confirmed records changed places");
}
