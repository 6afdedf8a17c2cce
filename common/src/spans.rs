//! The steps of a notification as spans of one trace, from the engine's notify to the tab's proof. Nodes that do not talk to each
//! other make spans of the same trace: see [`ids`].
//!
//! Without the feature `otlp` nothing is traced, and what asks for it is compiled to nothing.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Deserialize;

use crate::ids::{NodeId, NotificationId, Shard, UserId};
use crate::record::Record;

use self::ids::TraceIds;

#[cfg(feature = "otlp")]
mod export;
pub mod ids;

#[cfg(feature = "otlp")]
pub use self::export::{start, stop};
#[cfg(not(feature = "otlp"))]
pub use self::nowhere::{start, stop};

/// Where spans are sent to.
pub const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// The same, for traces alone.
pub const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// A notification whose trace is kept.
#[derive(Debug, Clone)]
pub struct Traced {
    ids: TraceIds,
    id: NotificationId,
}

/// What of a notification's payload says when it was made.
#[derive(Deserialize)]
struct Timed {
    timestamp: u64,
}

/// A step that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Which.
    pub step: Step,
    /// The notification's shard.
    pub shard: Shard,
    /// By this machine's clock, except the start of [`Step::Notify`], which is the engine's, and of [`Step::Read`], which is
    /// ingest's.
    pub began: SystemTime,
    /// See [`Span::began`].
    pub ended: SystemTime,
    /// The gateway's node that took it.
    pub node: Option<NodeId>,
    /// What the tab speaks.
    pub protocol: Option<&'static str>,
    /// What the tab proved with.
    pub proof: Option<&'static str>,
    /// It came to nothing.
    pub failed: bool,
}

/// Steps of a notification. All but the first are children of it, though they end after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// From the notification's own time, in whole seconds, to the request: what the engine, the command, its tries and its spool
    /// took.
    Notify,
    /// From the request to the log's word that it is safe.
    Accept,
    /// Into the log.
    Append,
    /// Until a node with tabs of its user has read it.
    Read,
    /// Until it was written to a tab.
    Write,
    /// Until the tab proved that it has it.
    Confirm,
}

impl Traced {
    /// The notification with this id of this user, if its trace is kept.
    #[inline]
    #[must_use]
    pub fn of(user: &UserId, id: &NotificationId) -> Option<Self> {
        if !is_on() {
            return None;
        }
        let ids = TraceIds::of(user, id);
        keeps(ids).then(|| Self { ids, id: id.clone() })
    }

    /// The notification of an encoded record, and its own time.
    #[inline]
    #[must_use]
    pub fn of_record(record: &Bytes) -> Option<(Self, SystemTime)> {
        if !is_on() {
            return None;
        }
        let Ok(Record::Notify(notify)) = Record::decode(record.clone()) else { return None };
        let traced = Self::of(&notify.user, &notify.id)?;
        let Timed { timestamp } = serde_json::from_slice(&notify.payload).ok()?;
        Some((traced, UNIX_EPOCH + Duration::from_secs(timestamp)))
    }

    /// Says that one of its steps has ended.
    #[inline]
    pub fn record(&self, span: &Span) {
        #[cfg(feature = "otlp")]
        export::record(self, span);
        #[cfg(not(feature = "otlp"))]
        let _ = (self.ids, &self.id, span);
    }
}

impl Span {
    /// A step that went well.
    #[must_use]
    pub fn new(step: Step, shard: Shard, began: SystemTime, ended: SystemTime) -> Self {
        Self { step, shard, began, ended, node: None, protocol: None, proof: None, failed: false }
    }
}

/// Whether anything is traced.
#[inline]
#[must_use]
pub fn is_on() -> bool {
    #[cfg(feature = "otlp")]
    return export::is_on();
    #[cfg(not(feature = "otlp"))]
    return false;
}

/// When that was, by this machine's clock.
#[must_use]
pub fn wall(then: Instant) -> SystemTime {
    let now = SystemTime::now();
    now.checked_sub(then.elapsed()).unwrap_or(now)
}

#[inline]
fn keeps(ids: TraceIds) -> bool {
    #[cfg(feature = "otlp")]
    return export::keeps(ids);
    #[cfg(not(feature = "otlp"))]
    return {
        let _ = ids;
        false
    };
}

#[cfg(not(feature = "otlp"))]
mod nowhere {
    use std::time::Duration;

    use tracing::info;

    use super::{ENDPOINT, TRACES_ENDPOINT};
    use crate::settings::Invalid;

    /// Says that this build sends no traces, where the environment asks for them.
    pub fn start(env: &dyn Fn(&str) -> Option<String>) -> Result<(), Invalid> {
        if [ENDPOINT, TRACES_ENDPOINT].iter().any(|name| env(name).is_some_and(|value| !value.is_empty())) {
            info!("this program was built without the feature otlp: it sends no traces, whatever OTEL_... says");
        }
        Ok(())
    }

    /// There is nothing to wait for.
    pub fn stop(_within: Duration) {}
}
