//! openITCOCKPIT's refresh of the monitoring configuration, told to every tab: `ExportStatus` of V2.
//!
//! One light query now and then; a change goes to the log, and the last value again before the log forgets it, so that a
//! gateway that starts knows it too. Any number of nodes may do so: a value says which step of which refresh it is, so
//! that the repeat of another node is nothing new to anybody, and that of a node that lags is ignored.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::warn;

use bellwire_common::directory::{Directory, ExportState};
use bellwire_common::ids::Shard;
use bellwire_common::log::{AppendError, Safety, SharedLog};
use bellwire_common::metrics;
use bellwire_common::record::{EXPORT_STATUS_KEY, Record, Status, StatusError};

/// Longest pause between two queries; the shortest is two thirds of it.
const ASK_EVERY: Duration = Duration::from_secs(3);

/// The last value is told again within this: a gateway that starts reads the log back for five minutes and the time to
/// live of notifications.
const TELL_EVERY: Duration = Duration::from_secs(4 * 60);

/// A refresh that nothing was heard of for so long has crashed: openITCOCKPIT leaves its row as it is.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60 * 60);

/// Every gateway reads every shard.
const SHARD: Shard = Shard(0);

/// Watches until it is dropped.
pub async fn watch(directory: Directory, log: SharedLog) {
    metrics::INGEST_EXPORT_STATUS.zero();
    let mut watch = Watch::default();
    let began = Instant::now();
    let mut is_failing = false;
    loop {
        tokio::time::sleep(jittered(ASK_EVERY)).await;
        // Without an answer, the last one stays.
        let state = directory.export_status().await.unwrap_or(None);
        let Some(state) = watch.on_state(state, began.elapsed()) else { continue };
        match tell(&log, state).await {
            Ok(()) => {
                is_failing = false;
                metrics::INGEST_EXPORT_STATUS.count(&["told"]);
                watch.on_told(state, began.elapsed() + jittered(TELL_EVERY));
            }
            Err(error) => {
                metrics::INGEST_EXPORT_STATUS.count(&["failed"]);
                if !std::mem::replace(&mut is_failing, true) {
                    warn!(error, "the log does not take the export's status; trying on");
                }
            }
        }
    }
}

async fn tell(log: &SharedLog, state: ExportState) -> Result<(), String> {
    let record = record(state).map_err(|error| error.to_string())?;
    log.append(SHARD, vec![record], Safety::Soft).await.map_err(|error: AppendError| error.to_string())
}

fn record(state: ExportState) -> Result<Bytes, StatusError> {
    let value = if state.running { "true" } else { "false" };
    Ok(Record::Status(Status::try_new(EXPORT_STATUS_KEY, state.version, Bytes::from_static(value.as_bytes()))?)
        .encode())
}

/// Two thirds of it, up to all of it.
fn jittered(longest: Duration) -> Duration {
    longest.mul_f64(2.0 / 3.0 + fastrand::f64() / 3.0)
}

/// What was seen and what was told. Pure; times are since its begin.
#[derive(Debug, Default)]
struct Watch {
    seen: Option<(ExportState, Duration)>,
    told: Option<(ExportState, Duration)>,
}

impl Watch {
    /// Takes what was read at `now`, none where nothing was: the table is empty for a moment at the begin of each refresh.
    /// Returns what is to be told.
    fn on_state(&mut self, state: Option<ExportState>, now: Duration) -> Option<ExportState> {
        if let Some(state) = state
            && self.seen.is_none_or(|(seen, _)| seen != state)
        {
            self.seen = Some((state, now));
        }
        let (state, since) = self.seen?;
        let state = if now >= since + GIVE_UP_AFTER { state.given_up() } else { state };
        let is_told = self.told.is_some_and(|(told, until)| told == state && now < until);
        (!is_told).then_some(state)
    }

    /// It was told, and need not be again before `until`.
    fn on_told(&mut self, state: ExportState, until: Duration) {
        self.told = Some((state, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const RUNNING: ExportState = ExportState { version: 40, running: true };
    const ENDED: ExportState = ExportState { version: 42, running: false };

    /// Tells at once what is to be told.
    fn step(watch: &mut Watch, state: Option<ExportState>, now: Duration) -> Option<ExportState> {
        let told = watch.on_state(state, now);
        told.iter().for_each(|state| watch.on_told(*state, now + TELL_EVERY));
        told
    }

    #[test]
    fn changes_are_told_once_and_nothing_is_no_change() {
        let mut watch = Watch::default();
        assert_eq!(step(&mut watch, None, SECOND), None);
        assert_eq!(step(&mut watch, Some(RUNNING), SECOND), Some(RUNNING));
        assert_eq!(step(&mut watch, Some(RUNNING), SECOND * 4), None);
        assert_eq!(step(&mut watch, None, SECOND * 7), None);
        assert_eq!(step(&mut watch, Some(ENDED), SECOND * 10), Some(ENDED));
        assert_eq!(step(&mut watch, None, SECOND * 13), None);
    }

    #[test]
    fn the_last_value_is_told_again_also_while_nothing_is_read() {
        let mut watch = Watch::default();
        step(&mut watch, Some(ENDED), SECOND);
        assert_eq!(step(&mut watch, None, TELL_EVERY), None);
        assert_eq!(step(&mut watch, None, TELL_EVERY + SECOND), Some(ENDED));
        assert_eq!(step(&mut watch, Some(ENDED), TELL_EVERY + 2 * SECOND), None);
    }

    #[test]
    fn what_the_log_did_not_take_is_told_again() {
        let mut watch = Watch::default();
        assert_eq!(watch.on_state(Some(RUNNING), SECOND), Some(RUNNING));
        assert_eq!(watch.on_state(Some(RUNNING), SECOND * 2), Some(RUNNING));
    }

    #[test]
    fn a_refresh_that_crashed_is_given_up_until_it_moves() {
        let mut watch = Watch::default();
        step(&mut watch, Some(RUNNING), SECOND);
        let just_before = SECOND + GIVE_UP_AFTER - Duration::from_millis(1);
        assert_eq!(step(&mut watch, Some(RUNNING), just_before), Some(RUNNING));
        let given_up = ExportState { version: 41, running: false };
        assert_eq!(step(&mut watch, Some(RUNNING), SECOND + GIVE_UP_AFTER), Some(given_up));
        assert_eq!(step(&mut watch, Some(RUNNING), SECOND * 2 + GIVE_UP_AFTER), None);
        assert_eq!(step(&mut watch, Some(ENDED), SECOND * 3 + GIVE_UP_AFTER), Some(ENDED));
    }

    #[test]
    fn a_value_is_what_gateways_read() {
        let Record::Status(status) = Record::decode(record(RUNNING).unwrap()).unwrap() else { panic!("no status") };
        assert_eq!((&*status.key, status.version, &*status.value), ("export_running", 40, &b"true"[..]));
    }
}
