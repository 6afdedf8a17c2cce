//! Whether the gateway itself goes on, for a watchdog.
//!
//! What is outside counts for nothing: without RabbitMQ the shards' loops turn as before, and a restart would only
//! throw the tabs out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::hub::Hub;

/// A shard looks at its clock every few seconds, whatever happens. Less patience would take a burst on a busy machine,
/// or the moment after the whole machine was frozen, for an end.
const TURNS_WITHIN: Duration = Duration::from_secs(30);

/// A look at a running gateway from outside. Clones look at the same one.
#[derive(Clone)]
pub struct Pulse {
    hub: Arc<Hub>,
    stop: CancellationToken,
    /// One for each shard, in their order.
    shards: Arc<[AbortHandle]>,
    /// Follows logins and keys.
    follower: AbortHandle,
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse").field("node", &self.hub.node).finish_non_exhaustive()
    }
}

impl Pulse {
    pub(crate) fn new(
        hub: Arc<Hub>,
        stop: CancellationToken,
        shards: impl Iterator<Item = AbortHandle>,
        follower: AbortHandle,
    ) -> Self {
        Self { hub, stop, shards: shards.collect(), follower }
    }

    /// The first part that does not go on, in words; none when all is well, and while the gateway ends. Takes each
    /// shard's lock: where one is never given back, this never returns.
    #[must_use]
    pub fn stuck(&self) -> Option<String> {
        if self.stop.is_cancelled() {
            return None;
        }
        let shards = self.hub.shards.all().iter().zip(&*self.shards).find_map(|(shard, task)| {
            let _ = shard.reached();
            let rest = shard.rest();
            let why = match (task.is_finished(), rest > TURNS_WITHIN) {
                (true, _) => "has ended".to_owned(),
                (false, true) => format!("has stood still for {} s", rest.as_secs()),
                (false, false) => return None,
            };
            // It may have been told to end just now.
            (!self.stop.is_cancelled()).then(|| format!("the task of {shard:?} {why}"))
        });
        let other = || {
            (self.follower.is_finished() && !self.stop.is_cancelled())
                .then(|| "the task that follows logins and keys has ended".to_owned())
        };
        shards.or_else(other)
    }

    /// How many sessions are open.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.hub.sessions()
    }
}

#[cfg(test)]
mod tests {
    use bellwire_common::log::memory::MemoryLog;

    use super::*;
    use crate::access::{Access, KeyRing};
    use crate::app::{Gateway, GatewaySettings, SessionLimits};

    fn gateway() -> Gateway {
        let limits =
            SessionLimits { sessions: 1, sessions_per_user: 1, sessions_per_address: 1, handshakes_per_second: 500 };
        let settings = GatewaySettings {
            ttl_ms: 1000,
            access: Access::key_only(KeyRing::fixed(None)),
            limits,
            trusted_proxies: vec![],
            digests: vec![],
            relay: None,
        };
        Gateway::start(settings, &MemoryLog::new(2), None)
    }

    #[tokio::test]
    async fn a_gateway_that_goes_on_or_ends_is_not_stuck_and_a_lost_task_is_named() {
        let gateway = gateway();
        gateway.caught_up().await.unwrap();
        let pulse = gateway.pulse();
        assert_eq!((pulse.stuck(), pulse.sessions()), (None, 0));
        let lost = pulse.shards.last().unwrap();
        lost.abort();
        while !lost.is_finished() {
            tokio::task::yield_now().await;
        }
        let stuck = pulse.stuck().unwrap();
        assert!(stuck.contains("has ended"), "{stuck}");
        gateway.drain(Duration::ZERO).await;
        assert_eq!(pulse.stuck(), None);
    }

    #[tokio::test]
    async fn without_the_task_that_follows_logins_it_is_stuck() {
        let gateway = gateway();
        gateway.caught_up().await.unwrap();
        let pulse = gateway.pulse();
        let follower = &pulse.follower;
        assert!(!follower.is_finished(), "it lasts though there is nothing to follow");
        follower.abort();
        while !follower.is_finished() {
            tokio::task::yield_now().await;
        }
        assert_eq!(pulse.stuck().unwrap(), "the task that follows logins and keys has ended");
        gateway.drain(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn a_gateway_that_lost_a_shard_does_not_catch_up() {
        let gateway = gateway();
        let pulse = gateway.pulse();
        pulse.shards.last().unwrap().abort();
        let lost = gateway.caught_up().await.unwrap_err();
        assert_eq!(lost.0, pulse.hub.shards.all().last().unwrap().name(), "{lost}");
        gateway.drain(Duration::ZERO).await;
    }
}
