//! The admin server: `/metrics`, `/healthz` and `/readyz` on a port of their own, and for this machine only `/trace` and `/revoke`.

mod process;
mod runtime;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tower::Service;
use tracing::error;

use crate::http::{self, Limits, problem};
use crate::ids::UnixMillis;
use crate::local::{self, NotLocal};
use crate::metrics::{
    NODE_DRAIN_END_TIMESTAMP_SECONDS, NODE_DRAINING, NODE_READY, PROCESS_CPU_SECONDS, RUNTIME_BUSY_SECONDS,
};

/// How often histograms are folded, so that what they hold between two scrapes stays small.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Probes and scrapes: few, and quickly answered.
const LIMITS: Limits = Limits {
    head_bytes_max: 8192,
    headers_max: 64,
    head_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(75),
    write_timeout: Duration::from_secs(10),
    connections_max: 64,
    grace: Duration::from_secs(1),
    on_head_timeout: || {},
};

/// Where it is asked what happened to a notification. The answer names users, so that it is for this machine only.
pub const TRACE_PATH: &str = "/trace";

/// Where a user's sessions are ended, by POST. For this machine only.
pub const REVOKE_PATH: &str = "/revoke";

const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether this process should be given work. Clones share one state. Starts as not caught up, not draining.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Conditions>);

#[derive(Default)]
struct Conditions {
    caught_up: AtomicBool,
    draining: AtomicBool,
}

impl Readiness {
    /// Not caught up, not draining; the gauges say so too, so install the recorder before.
    #[must_use]
    pub fn new() -> Self {
        NODE_DRAINING.zero();
        NODE_DRAIN_END_TIMESTAMP_SECONDS.zero();
        let new = Self::default();
        new.tell();
        new
    }

    /// The log has been read to its end for the first time. Never taken back: when the log is out of reach later, the
    /// tabs are still best off here.
    pub fn caught_up(&self) {
        self.0.caught_up.store(true, Ordering::Release);
        self.tell();
    }

    /// The process has begun to end, and means to have ended `within` this time. Never taken back.
    pub fn draining(&self, within: Duration) {
        self.0.draining.store(true, Ordering::Release);
        let end = UnixMillis::now().0 as f64 / 1_000.0 + within.as_secs_f64();
        NODE_DRAIN_END_TIMESTAMP_SECONDS.with(&[]).set(end);
        NODE_DRAINING.with(&[]).set(1.0);
        self.tell();
    }

    fn tell(&self) {
        NODE_READY.with(&[]).set(f64::from(u8::from(self.missing().is_empty())));
    }

    /// What stands against giving it work; nothing when it is ready.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if !self.0.caught_up.load(Ordering::Acquire) {
            missing.push("caught_up: the log has not been reached, or not been read to its end yet");
        }
        if self.0.draining.load(Ordering::Acquire) {
            missing.push("draining: the process is ending");
        }
        missing
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("missing", &self.missing()).finish()
    }
}

/// Routes that a part of the process hangs in when it is there; the server itself starts before.
#[derive(Debug, Clone, Default)]
pub struct Extra(Arc<OnceLock<Router>>);

impl Extra {
    /// Answers [`TRACE_PATH`] and [`REVOKE_PATH`] from now on; the first one counts.
    pub fn hang(&self, router: Router) {
        let _ = self.0.set(router);
    }
}

/// Serves until `shutdown`, which should come last: probes and scrapes must see the drain.
pub async fn serve(
    listener: TcpListener,
    handle: PrometheusHandle,
    readiness: Readiness,
    extra: Extra,
    tls: Option<http::Tls>,
    shutdown: CancellationToken,
) {
    let upkeep = tokio::spawn(upkeep(handle.clone(), shutdown.clone()));
    http::serve(listener, router(handle, readiness, extra), LIMITS, tls, shutdown).await;
    if let Err(error) = upkeep.await {
        error!(%error, "the upkeep of the metrics ended early");
    }
}

/// The routes of the admin server.
pub fn router(handle: PrometheusHandle, readiness: Readiness, extra: Extra) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { ready(&readiness) }))
        .route("/metrics", get(move || render(handle.clone())))
        .route(
            TRACE_PATH,
            any({
                let extra = extra.clone();
                move |request| here_only(extra, request)
            }),
        )
        .route(REVOKE_PATH, any(move |request| here_only(extra, request)))
}

/// Hands on what comes from this machine.
async fn here_only(extra: Extra, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(not_local) = local::check_own(&parts) {
        return problem(StatusCode::FORBIDDEN, &refusal(&not_local));
    }
    let Some(router) = extra.0.get() else {
        let detail =
            "there is no gateway in this process, or not yet: ask a gateway or standalone, or again in a moment";
        return problem(StatusCode::SERVICE_UNAVAILABLE, detail);
    };
    // A `Router` is always ready.
    router.clone().call(Request::from_parts(parts, body)).await.into_response()
}

fn refusal(why: &NotLocal) -> String {
    let why = match why {
        NotLocal::Peer => "this comes from another machine, or from another address of this one".to_owned(),
        NotLocal::Header(name) => format!("this comes through a browser or a proxy (header {name})"),
    };
    format!(
        "{why}; who got which notification is told, and sessions are revoked, only on the node itself: run `bellwire trace` \
         or `bellwire revoke` there, or curl (in Kubernetes: kubectl exec POD -- bellwire trace ...)"
    )
}

async fn upkeep(handle: PrometheusHandle, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        handle.run_upkeep();
    }
}

fn ready(readiness: &Readiness) -> Response {
    let missing = readiness.missing();
    if missing.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{}\n", missing.join("\n"))).into_response()
}

async fn render(handle: PrometheusHandle) -> Response {
    let busy = runtime::measure();
    // Reading /proc and folding histograms take longer than a worker of the runtime should stand still.
    let rendered = tokio::task::spawn_blocking(move || {
        let cpu = process::measure();
        let mut text = handle.render();
        text += &RUNTIME_BUSY_SECONDS.lines(busy);
        text += &cpu.map(|seconds| PROCESS_CPU_SECONDS.lines(seconds)).unwrap_or_default();
        text
    });
    match rendered.await {
        Ok(text) => ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], text).into_response(),
        Err(error) => {
            error!(%error, "cannot render the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tower::ServiceExt;

    use super::*;
    use crate::metrics::{self, GATEWAY_NODES};

    async fn get(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_names_what_is_missing() {
        let readiness = Readiness::default();
        let handle = PrometheusBuilder::new().build_recorder().handle();
        let router = router(handle, readiness.clone(), Extra::default());
        assert_eq!(get(&router, "/healthz").await, (StatusCode::OK, "ok\n".into()));
        let (status, body) = get(&router, "/readyz").await;
        assert!(status == StatusCode::SERVICE_UNAVAILABLE && body.contains("caught_up"), "{status} {body}");
        readiness.caught_up();
        assert_eq!(get(&router, "/readyz").await, (StatusCode::OK, "ready\n".into()));
        readiness.draining(Duration::from_secs(30));
        let (status, body) = get(&router, "/readyz").await;
        assert!(status == StatusCode::SERVICE_UNAVAILABLE && body.contains("draining"), "{status} {body}");
        assert!(!body.contains("caught_up"), "{body}");
        assert_eq!(get(&router, "/healthz").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn metrics_show_the_catalogue_and_the_process() {
        let handle = metrics::install().unwrap();
        GATEWAY_NODES.with(&[]).set(3.0);
        let (status, text) = get(&router(handle, Readiness::default(), Extra::default()), "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.split(' ').next() == Some(name));
            line.unwrap_or_else(|| panic!("{name}: {text}")).rsplit(' ').next().unwrap().parse().unwrap()
        };
        assert!((value("bellwire_gateway_nodes") - 3.0).abs() < f64::EPSILON);
        let megabyte = 1024.0 * 1024.0;
        assert!(value("process_resident_memory_bytes") > megabyte);
        assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
        assert!((3.0..10_000.0).contains(&value("process_open_fds")));
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_cpu_seconds_total") < 3600.0);
        assert!(value("bellwire_runtime_workers") >= 1.0 && value("bellwire_runtime_busy_seconds_total") >= 0.0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - value("process_start_time_seconds");
        assert!((-2.0..3600.0).contains(&age), "{age}");
    }

    #[tokio::test]
    async fn who_got_what_is_told_on_this_machine_only() {
        let handle = PrometheusBuilder::new().build_recorder().handle();
        let extra = Extra::default();
        let router = router(handle, Readiness::default(), extra.clone());
        let ask = async |peer: &str, name: &str, value: &str| {
            let mut request = Request::get("/trace?user=7").body(Body::empty()).unwrap();
            request.extensions_mut().insert(http::Peer(peer.parse().unwrap()));
            request.headers_mut().insert(header::HOST, "localhost:9083".parse().unwrap());
            request.headers_mut().insert(header::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
            let response = router.clone().oneshot(request).await.unwrap();
            let status = response.status();
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        let (status, body) = ask("127.0.0.1:1", "accept", "*/*").await;
        assert!(status == StatusCode::SERVICE_UNAVAILABLE && body.contains("no gateway"), "{status} {body}");
        extra.hang(Router::new().route(TRACE_PATH, axum::routing::get(|| async { "users" })));
        assert_eq!(ask("127.0.0.1:1", "accept", "*/*").await, (StatusCode::OK, "users".into()));
        assert_eq!(ask("[::1]:1", "accept", "*/*").await.0, StatusCode::OK);
        for (peer, name, value) in [
            ("10.0.0.1:1", "accept", "*/*"),
            ("127.0.0.1:1", "origin", "http://localhost"),
            ("127.0.0.1:1", "sec-fetch-site", "none"),
            ("127.0.0.1:1", "forwarded", "for=10.0.0.1"),
            ("127.0.0.1:1", "x-forwarded-for", "127.0.0.1"),
            ("127.0.0.1:1", "host", "bellwire.example.org"),
        ] {
            let (status, body) = ask(peer, name, value).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{peer} {name}");
            assert!(body.contains("bellwire trace") && body.contains("kubectl exec"), "{body}");
        }
        let ask_at = async |own: &str, peer: &str, host: &str| {
            let mut request = Request::get("/trace?user=7").header(header::HOST, host).body(Body::empty()).unwrap();
            request.extensions_mut().insert(http::Peer(peer.parse().unwrap()));
            request.extensions_mut().insert(http::Own(own.parse().unwrap()));
            router.clone().oneshot(request).await.unwrap().status()
        };
        for (own, peer, host, expected) in [
            ("10.0.0.5:9083", "10.0.0.5:1", "10.0.0.5:9083", StatusCode::OK),
            ("[fd00::5]:9083", "[fd00::5]:1", "[fd00::5]:9083", StatusCode::OK),
            ("[::ffff:10.0.0.5]:9083", "[::ffff:10.0.0.5]:1", "10.0.0.5:9083", StatusCode::OK),
            ("10.0.0.5:9083", "10.0.0.6:1", "10.0.0.5:9083", StatusCode::FORBIDDEN),
            ("10.0.0.5:9083", "10.0.0.6:1", "localhost:9083", StatusCode::FORBIDDEN),
            ("10.0.0.5:9083", "10.0.0.5:1", "bellwire.example.org:9083", StatusCode::FORBIDDEN),
            ("10.0.0.5:9083", "10.0.0.5:1", "10.0.0.5:80", StatusCode::FORBIDDEN),
            ("127.0.0.1:9083", "127.0.0.1:1", "bellwire.example.org", StatusCode::FORBIDDEN),
        ] {
            assert_eq!(ask_at(own, peer, host).await, expected, "{own} {peer} {host}");
        }
        let revoke = async |peer: &str| {
            let mut request = Request::post("/revoke?user=7").body(Body::empty()).unwrap();
            request.extensions_mut().insert(http::Peer(peer.parse().unwrap()));
            request.headers_mut().insert(header::HOST, "localhost:9083".parse().unwrap());
            router.clone().oneshot(request).await.unwrap().status()
        };
        // The routes that hang here have no such one.
        assert_eq!(revoke("127.0.0.1:1").await, StatusCode::NOT_FOUND);
        assert_eq!(revoke("10.0.0.1:1").await, StatusCode::FORBIDDEN);
        let without_peer = Request::get("/trace").header(header::HOST, "localhost").body(Body::empty()).unwrap();
        assert_eq!(router.oneshot(without_peer).await.unwrap().status(), StatusCode::FORBIDDEN);
    }
}
