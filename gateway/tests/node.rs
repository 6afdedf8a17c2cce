//! Gateways in this process, on one log in memory, with tabs that behave as the real front ends do.

use std::net::SocketAddr;
use std::time::Duration;

use bellwire_common::http::{Limits, Tls, bind, serve};
use bellwire_common::ids::{NotificationId, Shard, UnixMillis, UserId};
use bellwire_common::log::memory::MemoryLog;
use bellwire_common::log::{Safety, SharedLog};
use bellwire_common::notification::{Kind, Notification, Object};
use bellwire_common::record::{Notify, Record};
use bellwire_gateway::access::{Access, KeyRing};
use bellwire_gateway::app::{Gateway, GatewaySettings, SessionLimits};
use bellwire_gateway::protocol::{Protocol, SharedKey};
use bellwire_testkit::tab::{FRONTS, Front, Profile, Tab};
use ipnet::IpNet;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[path = "node/access.rs"]
mod access;
#[path = "node/assets.rs"]
mod assets;
#[path = "node/cases.rs"]
mod cases;
#[path = "node/events.rs"]
mod events;
#[path = "node/keys.rs"]
mod keys;
#[path = "node/layouts.rs"]
mod layouts;
#[path = "node/limits.rs"]
mod limits;
#[path = "node/relay.rs"]
mod relay;
#[path = "node/slow.rs"]
mod slow;
#[path = "node/storm.rs"]
mod storm;
#[path = "node/tls.rs"]
mod tls;

const TTL_MS: u64 = 600_000;

const LIMITS: SessionLimits = SessionLimits {
    sessions: 1_000,
    sessions_per_user: 100,
    sessions_per_address: 1_000,
    handshakes_per_second: 1_000,
};

/// A running gateway.
struct Node {
    gateway: Gateway,
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<usize>,
}

impl Node {
    async fn start(log: &SharedLog) -> Self {
        Self::start_with(log, LIMITS).await
    }

    async fn start_with(log: &SharedLog, limits: SessionLimits) -> Self {
        Self::start_behind(log, limits, Vec::new()).await
    }

    /// One that believes these proxies.
    async fn start_behind(log: &SharedLog, limits: SessionLimits, trusted_proxies: Vec<IpNet>) -> Self {
        Self::start_as(log, GatewaySettings { limits, trusted_proxies, ..settings() }).await
    }

    async fn start_as(log: &SharedLog, settings: GatewaySettings) -> Self {
        Self::start_over(log, settings, None).await
    }

    /// One that reads the log of another number of shards too.
    async fn start_on_both(log: &SharedLog, also: &SharedLog) -> Self {
        Self::serve(Gateway::start(settings(), log, Some(also)), None).await
    }

    async fn start_over(log: &SharedLog, settings: GatewaySettings, tls: Option<Tls>) -> Self {
        Self::serve(Gateway::start(settings, log, None), tls).await
    }

    async fn serve(gateway: Gateway, tls: Option<Tls>) -> Self {
        gateway.caught_up().await.expect("caught up");
        let listener = bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, gateway.router(), Limits::default(), tls, stop.clone()));
        Self { gateway, address, stop, server }
    }

    async fn drain(self, time: Duration) -> usize {
        let cut = self.gateway.drain(time).await;
        self.stop.cancel();
        self.server.await.expect("the server ends");
        cut
    }
}

fn settings() -> GatewaySettings {
    let access = Access::open(&access::terms(), access::keys()).expect("access");
    let trusted_proxies = Vec::new();
    let digests = vec![Protocol::Native];
    GatewaySettings { ttl_ms: TTL_MS, access, limits: LIMITS, trusted_proxies, digests, relay: None }
}

fn log() -> SharedLog {
    MemoryLog::new(2)
}

fn profile(front: Front, user: &str, browser: &str, node: &Node) -> Profile {
    Profile::new(front, user, browser, node.address)
}

async fn send(log: &SharedLog, user: &str, title: &str) {
    send_text(log, user, title, "CRITICAL").await;
}

async fn send_text(log: &SharedLog, user: &str, title: &str, body: &str) {
    append(log, user, title, body, TTL_MS).await;
}

/// One that lives so long.
async fn send_for(log: &SharedLog, user: &str, title: &str, ttl_ms: u64) {
    append(log, user, title, "CRITICAL", ttl_ms).await;
}

async fn append(log: &SharedLog, user: &str, title: &str, body: &str, ttl_ms: u64) {
    let user = UserId::try_new(user).expect("a user");
    let now = UnixMillis::now();
    let notification = Notification {
        timestamp: (now.0 / 1000) as i64,
        kind: Kind::Host,
        notification_type: "PROBLEM".to_owned(),
        state: 1,
        host: Some(Object { id: "c36b8048-93ce-4385-ac19-ab5c90574b77".to_owned(), name: "srv".to_owned() }),
        service: None,
        title: title.to_owned(),
        body: body.to_owned(),
        url: None,
        icon: None,
    };
    let record = Record::Notify(Notify {
        id: NotificationId::try_new(title).expect("an id"),
        user: user.clone(),
        accepted_at: now,
        expires_at: now.plus(ttl_ms),
        payload: serde_json::to_vec(&notification).expect("JSON").into(),
    });
    let shard = Shard::of(&user, log.shards());
    log.append(shard, vec![record.encode()], Safety::Safe).await.expect("appended");
}

/// Everything that was sent to the user before has been handled: a last one has reached each of these tabs.
async fn settle(log: &SharedLog, user: &str, mark: &str, tabs: &[&Tab]) {
    send(log, user, mark).await;
    for tab in tabs {
        tab.wait(mark, |seen| seen.shown.iter().any(|shown| shown.title == mark)).await.expect("the mark");
    }
}
