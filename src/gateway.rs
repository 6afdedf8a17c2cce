//! `bellwire gateway`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use bellwire_common::directory::Directory;
use bellwire_common::http::{self, Limits, Listeners, Reserved, Tls};
use bellwire_common::log::SharedLog;
use bellwire_common::metrics::GATEWAY_HANDSHAKES_REFUSED;
use bellwire_common::settings::{self, Digests, Role, Tabs};
use bellwire_gateway::access::Access;
use bellwire_gateway::app::{Gateway, GatewaySettings, Relay, SessionLimits};
use bellwire_gateway::protocol::Protocol;

use crate::access::{self, KeySource};
use crate::node::{self, Running};

/// Time for answers that are not sessions, when the process ends.
pub(crate) const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Runs until SIGTERM, and through the drain.
pub(crate) async fn run(settings: settings::Gateway, mut listeners: Listeners) -> anyhow::Result<()> {
    let tls = node::tls(&settings.node, None)?;
    let running = Running::start(&settings.node, Role::Gateway, tls, &mut listeners)?;
    let directory = node::directory(&settings.node)?;
    let source = KeySource {
        key: settings.shared_key.as_ref(),
        file: settings.shared_key_file.as_deref(),
        directory: directory.as_ref(),
    };
    let access = access::open(&settings.access, source, &running.shutdown).await?;
    let relay = relay(settings.relay, directory.as_ref())?;
    let reserved = listeners.reserve(settings.listen).context("listen")?;
    let log = node::open_log(&settings.node, Role::Gateway).await?;
    let also = node::open_also(&settings.node, settings.shards_also, Role::Gateway)?;
    let gateway = start(settings.node.ttl, access, settings.tabs, relay, (&log, also.as_ref()));
    running.extra.hang(gateway.admin_router());
    running.supervisor.watch(gateway.pulse());
    if let Some(caught_up) = running.shutdown.run_until_cancelled(gateway.caught_up()).await {
        caught_up?;
        let served = serve("browsers", reserved, gateway.router(), limits(), running.tls.clone(), &running.shutdown)?;
        running.ready().await;
        running.shutdown.cancelled().await;
        running.draining(settings.node.drain).await;
        let (_cut, ended) = tokio::join!(gateway.drain(settings.node.drain), served.task);
        ended.context("the server")?;
    } else {
        gateway.drain(Duration::ZERO).await;
    }
    if let Some(also) = also {
        also.close().await;
    }
    running.end(&log).await
}

/// The way to the mobile app, where it is switched on.
pub(crate) fn relay(settings: Option<settings::Relay>, directory: Option<&Directory>) -> anyhow::Result<Option<Relay>> {
    let (Some(settings), Some(directory)) = (settings, directory) else { return Ok(None) };
    Relay::start(directory.clone(), settings.ca).map(Some).context("mobile-relay")
}

/// Starts the gateway on its log, and on that of another number of shards.
pub(crate) fn start(
    ttl: Duration,
    access: Access,
    tabs: Tabs,
    relay: Option<Relay>,
    (log, also): (&SharedLog, Option<&SharedLog>),
) -> Gateway {
    let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
    let limits = SessionLimits {
        sessions: node::descriptors().map_or(tabs.sessions, |free| free.min(tabs.sessions)) as usize,
        sessions_per_user: tabs.sessions_per_user as usize,
        sessions_per_address: tabs.sessions_per_address as usize,
        handshakes_per_second: tabs.handshakes_per_second,
    };
    let settings = GatewaySettings {
        ttl_ms,
        access,
        limits,
        trusted_proxies: tabs.trusted_proxies,
        digests: digests(tabs.digests),
        relay,
    };
    Gateway::start(settings, log, also)
}

fn digests(by: Digests) -> Vec<Protocol> {
    let wanted = [(by.v1, Protocol::V1), (by.v2, Protocol::V2), (by.native, Protocol::Native)];
    wanted.into_iter().filter_map(|(wanted, protocol)| wanted.then_some(protocol)).collect()
}

/// What connections of browsers may cost before they are sessions.
pub(crate) fn limits() -> Limits {
    Limits { on_head_timeout: || GATEWAY_HANDSHAKES_REFUSED.count(&["head_timeout"]), ..node::limits(ANSWERS_WITHIN) }
}

/// A server that was let loose.
pub(crate) struct Serving {
    /// Ends after the last answer.
    pub(crate) task: JoinHandle<()>,
    /// Where it listens, with the port that it got.
    pub(crate) address: SocketAddr,
}

/// Lets connections in and serves them until `stop`.
pub(crate) fn serve(
    whom: &'static str,
    reserved: Reserved,
    router: Router,
    limits: Limits,
    tls: Option<Tls>,
    stop: &CancellationToken,
) -> anyhow::Result<Serving> {
    let listener = reserved.listen()?;
    let address = listener.local_addr()?;
    info!(%address, whom, tls = tls.is_some(), "listening");
    let stop = stop.clone();
    let task = tokio::spawn(async move {
        let cut = http::serve(listener, router, limits, tls, stop).await;
        if cut > 0 {
            warn!(connections = cut, "requests did not end in time and were cut");
        }
    });
    Ok(Serving { task, address })
}
