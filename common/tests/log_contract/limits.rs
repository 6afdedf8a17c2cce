//! What an append may be at most.

use bytes::Bytes;
use futures_util::future::join_all;

use bellwire_common::log::{AppendError, RECORD_BYTES_MAX, Safety};

use crate::backend::Backend;
use crate::probe::{ALL, FIRST, Probe, all_ids, append, note, sized};

/// A record of exactly this length.
fn exactly(id: &str, bytes: usize) -> Bytes {
    let record = sized(id, bytes - sized(id, 0).len());
    assert_eq!(record.len(), bytes);
    record
}

pub(crate) async fn the_largest_record_passes(mut backend: impl Backend) {
    let log = backend.open().await;
    log.append(FIRST, vec![exactly("largest", RECORD_BYTES_MAX)], Safety::Safe).await.unwrap();
    assert_eq!(all_ids(&log, FIRST).await, ["largest"]);
}

pub(crate) async fn a_larger_record_is_refused_with_its_batch(mut backend: impl Backend) {
    let log = backend.open().await;
    let batch = vec![note("before"), exactly("larger", RECORD_BYTES_MAX + 1), note("behind")];
    assert_eq!(log.append(FIRST, batch, Safety::Safe).await, Err(AppendError::TooLarge));
    append(&log, FIRST, "next").await.unwrap();
    assert_eq!(all_ids(&log, FIRST).await, ["next"]);
}

/// Whatever is thrown at the log at once, it takes or refuses it; what it took is there, and it goes on.
pub(crate) async fn overload_is_bounded(mut backend: impl Backend) {
    let log = backend.open().await;
    let mut live = Probe::new(&log, FIRST, ALL);
    let large = exactly("flood", RECORD_BYTES_MAX);
    let pending: Vec<_> = (0..800).map(|_| log.append(FIRST, vec![large.clone()], Safety::Safe)).collect();
    let results = join_all(pending).await;
    let taken = results.iter().filter(|result| result.is_ok()).count();
    assert!(taken > 0);
    assert!(results.iter().all(|r| matches!(r, Ok(()) | Err(AppendError::Overloaded))), "{results:?}");
    append(&log, FIRST, "after").await.unwrap();
    live.until_id("after").await;
    assert_eq!(live.seen.len(), taken + 1);
}
