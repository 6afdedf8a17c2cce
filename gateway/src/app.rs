//! Puts the gateway together. Only this module and the binary know all parts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ipnet::IpNet;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use bellwire_common::ids::NodeId;
use bellwire_common::log::{RETENTION_MS, SharedLog};
use bellwire_common::notification::limits::TTL_SECONDS_MAX;

use crate::access::{Access, revoke};
pub use crate::admission::SessionLimits;
use crate::delivery::{Limits, READ_BACK_EXTRA_MS};
use crate::edge;
use crate::hub::Hub;
use crate::ledger::Layout;
use crate::meters::Meters;
use crate::protocol::{End, Protocol};
use crate::pulse::Pulse;
pub use crate::relay::Relay;
use crate::shard::{Common, Shard, Signals};
use crate::shards::Shards;
use crate::trace;

// A new reader goes back over the longest TTL and its margin; the log still has that.
const _: () = assert!(TTL_SECONDS_MAX as u64 * 1_000 + READ_BACK_EXTRA_MS < RETENTION_MS);

/// Bounds of what is held for delivery. At 600 bytes and 100 notifications a second, a TTL of 600 s holds 36 MB.
const SHARD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// One user's storm must not push out the others': some ten minutes at 15 a second.
const USER_ENTRIES_MAX: usize = 10_000;
/// See [`USER_ENTRIES_MAX`].
const USER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Browsers of one user that are remembered while they are away.
const BROWSERS_MAX: usize = 16;

/// How a gateway runs.
#[derive(Debug)]
pub struct GatewaySettings {
    /// How long a notification is worth showing, in milliseconds; also how long a browser may be away and lose nothing.
    pub ttl_ms: u64,
    /// Who may listen.
    pub access: Access,
    /// Bounds on sessions.
    pub limits: SessionLimits,
    /// Proxies whose `X-Forwarded-For` is believed: what they forward counts for the address behind them.
    pub trusted_proxies: Vec<IpNet>,
    /// Protocols whose tabs show what a storm brings in digests.
    pub digests: Vec<Protocol>,
    /// The way to the mobile app, if there is one.
    pub relay: Option<Relay>,
}

/// A running gateway. It reads the log from its start on; its router may be served once it has caught up.
pub struct Gateway {
    hub: Arc<Hub>,
    caught_up: Vec<watch::Receiver<bool>>,
    stop: CancellationToken,
    /// One for each shard.
    tasks: Vec<JoinHandle<()>>,
    /// Follows logins and keys.
    follower: JoinHandle<()>,
    relay: Option<Relay>,
}

/// The task that reads this shard has ended, which is a bug.
#[derive(Debug, thiserror::Error)]
#[error(
    "the task that reads {0} has ended before it had read the log: a defect, of which the lines before say more; start the node again"
)]
pub struct ShardLost(pub String);

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("node", &self.hub.node).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Starts to read the log, as a new node; `also` is that of another number of shards, to be read too. Must be called within a
    /// tokio runtime.
    #[must_use]
    pub fn start(settings: GatewaySettings, log: &SharedLog, also: Option<&SharedLog>) -> Self {
        let node = NodeId(fastrand::u64(1..));
        let meters = Arc::new(Meters::new());
        let relay = settings.relay.clone();
        let limits = Limits {
            resume_ms: settings.ttl_ms,
            browsers: BROWSERS_MAX,
            user_entries: USER_ENTRIES_MAX,
            user_bytes: USER_BYTES_MAX,
            shard_bytes: SHARD_BYTES_MAX,
        };
        let (own, other) = (log.shards(), also.map_or(0, |log| log.shards()));
        let common = Common { node, limits, meters: Arc::clone(&meters), relay: relay.clone(), shards: own + other };
        let shards = Shards::new(own, other, |layout, id| {
            let log = also.filter(|_| layout == Layout::Also).unwrap_or(log);
            Shard::new(common.clone(), Arc::clone(log), layout, id)
        });
        let hub = Hub::new(node, shards, settings, meters);
        info!(%node, shards = own, also = other, "gateway starts");
        let stop = CancellationToken::new();
        let (caught_up, tasks): (_, Vec<_>) = hub
            .shards
            .all()
            .iter()
            .map(|shard| {
                let (sender, receiver) = watch::channel(false);
                let told = Arc::downgrade(&hub);
                let on_status = Box::new(move || {
                    if let Some(hub) = told.upgrade() {
                        hub.on_status();
                    }
                });
                let signals = Signals { caught_up: sender, on_status, stop: stop.clone() };
                (receiver, tokio::spawn(Arc::clone(shard).run(hub.ttl_ms, signals)))
            })
            .unzip();
        let (followed, until) = (Arc::clone(&hub), stop.clone());
        let follower = tokio::spawn(async move { followed.access.follow(until).await });
        Self { hub, caught_up, stop, tasks, follower, relay }
    }

    /// Waits until every shard has been read up to its end for the first time. Fails when one cannot be any more.
    pub async fn caught_up(&self) -> Result<(), ShardLost> {
        for (shard, receiver) in self.hub.shards.all().iter().zip(&self.caught_up) {
            // The sender goes only with the shard's task.
            let caught_up = receiver.clone().wait_for(|caught_up| *caught_up).await.map(|_| ());
            caught_up.map_err(|_| ShardLost(shard.name().to_owned()))?;
        }
        Ok(())
    }

    /// The gateway's routes: WebSockets on every path, the page at `/`.
    pub fn router(&self) -> Router {
        edge::router(Arc::clone(&self.hub))
    }

    /// What the admin server answers beside its own: `/trace` and `/revoke`.
    pub fn admin_router(&self) -> Router {
        trace::http::router(Arc::clone(&self.hub)).merge(revoke::router(Arc::clone(&self.hub)))
    }

    /// Whether it goes on, for a watchdog.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        let shards = self.tasks.iter().map(JoinHandle::abort_handle);
        Pulse::new(Arc::clone(&self.hub), self.stop.clone(), shards, self.follower.abort_handle())
    }

    /// How many sessions are open.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.hub.sessions()
    }

    /// Takes no new session, ends the open ones evenly over `time` (each as its protocol needs, V1 tabs at its end), tells
    /// the other nodes, and stops. Says how many sessions were still open at the end.
    pub async fn drain(self, time: Duration) -> usize {
        self.hub.start_draining();
        let (last, first): (Vec<_>, Vec<_>) = self.hub.tabs().into_iter().partition(|(p, _)| *p == Protocol::V1);
        if !first.is_empty() || !last.is_empty() {
            info!(sessions = first.len() + last.len(), seconds = time.as_secs_f64(), "ending the sessions");
        }
        let (begin, count) = (Instant::now(), first.len());
        for (index, (_, tab)) in first.into_iter().enumerate() {
            self.all_ended_by(begin + time.mul_f64(index as f64 / count as f64)).await;
            tab.drain();
        }
        if !last.is_empty() {
            // These cannot come back by themselves.
            self.all_ended_by(begin + time).await;
            last.iter().for_each(|(_, tab)| tab.drain());
        }
        self.all_ended_by(Instant::now() + LAST_WRITES_WITHIN).await;
        let cut = self.hub.tabs();
        if !cut.is_empty() {
            warn!(sessions = cut.len(), "sessions did not end in time and are cut");
            cut.iter().for_each(|(protocol, tab)| self.hub.ended(*protocol, tab, End::Shutdown));
        }
        if let Some(relay) = &self.relay {
            // The others take what stands before this node's last word for passed on.
            relay.settle(LAST_PUSHES_WITHIN).await;
        }
        self.stop.cancel();
        for task in self.tasks.into_iter().chain([self.follower]) {
            let _ = task.await;
        }
        if let Some(relay) = self.relay {
            relay.drain(LAST_PUSHES_WITHIN).await;
        }
        cut.len()
    }

    /// Waits until no session is left, at most until `deadline`.
    async fn all_ended_by(&self, deadline: Instant) {
        while self.hub.sessions() > 0 && Instant::now() < deadline {
            tokio::select! {
                () = self.hub.session_ended() => {}
                () = sleep_until(deadline) => {}
            }
        }
    }
}

/// What was passed on to the mobile relay may end in this time, before this node's last word and once more behind it.
const LAST_PUSHES_WITHIN: Duration = Duration::from_secs(5);

/// Sessions that were told to go need a moment for their last proof and write.
const LAST_WRITES_WITHIN: Duration = Duration::from_secs(4);
