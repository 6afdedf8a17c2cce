//! The admin server: `/metrics`, `/healthz` and `/readyz` on a port of their own.

mod process;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::http::{self, Limits};

/// How often histograms are folded, so that what they hold between two scrapes stays small.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Probes and scrapes: few, and quickly answered.
const LIMITS: Limits = Limits {
    head_bytes_max: 8192,
    headers_max: 64,
    head_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(75),
    connections_max: 64,
    grace: Duration::from_secs(1),
    on_head_timeout: || {},
};

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
    /// The log has been read to its end for the first time. Never taken back: when the log is out of reach later, the
    /// tabs are still best off here.
    pub fn caught_up(&self) {
        self.0.caught_up.store(true, Ordering::Release);
    }

    /// The process has begun to end. Never taken back.
    pub fn draining(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// What stands against giving it work; nothing when it is ready.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if !self.0.caught_up.load(Ordering::Acquire) {
            missing.push("caught_up: the log has not been read to its end yet");
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

/// Serves until `shutdown`, which should come last: probes and scrapes must see the drain.
pub async fn serve(listener: TcpListener, handle: PrometheusHandle, readiness: Readiness, shutdown: CancellationToken) {
    let upkeep = tokio::spawn(upkeep(handle.clone(), shutdown.clone()));
    http::serve(listener, router(handle, readiness), LIMITS, shutdown).await;
    if let Err(error) = upkeep.await {
        error!(%error, "the upkeep of the metrics ended early");
    }
}

/// The routes of the admin server.
pub fn router(handle: PrometheusHandle, readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { ready(&readiness) }))
        .route("/metrics", get(move || render(handle.clone())))
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
    // Reading /proc and folding histograms take longer than a worker of the runtime should stand still.
    let rendered = tokio::task::spawn_blocking(move || {
        process::measure();
        handle.render()
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
        let router = router(handle, readiness.clone());
        assert_eq!(get(&router, "/healthz").await, (StatusCode::OK, "ok\n".into()));
        let (status, body) = get(&router, "/readyz").await;
        assert!(status == StatusCode::SERVICE_UNAVAILABLE && body.contains("caught_up"), "{status} {body}");
        readiness.caught_up();
        assert_eq!(get(&router, "/readyz").await, (StatusCode::OK, "ready\n".into()));
        readiness.draining();
        let (status, body) = get(&router, "/readyz").await;
        assert!(status == StatusCode::SERVICE_UNAVAILABLE && body.contains("draining"), "{status} {body}");
        assert!(!body.contains("caught_up"), "{body}");
        assert_eq!(get(&router, "/healthz").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn metrics_show_the_catalogue_and_the_process() {
        let handle = metrics::install().unwrap();
        GATEWAY_NODES.with(&[]).set(3.0);
        let (status, text) = get(&router(handle, Readiness::default()), "/metrics").await;
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
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - value("process_start_time_seconds");
        assert!((-2.0..3600.0).contains(&age), "{age}");
    }
}
