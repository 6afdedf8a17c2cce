//! A collector of spans: OTLP over HTTP.

use std::sync::{Arc, Mutex};

use anyhow::{Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::tab::PATIENCE;
use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::wire::{self, Span};

type Spans = Arc<Mutex<Vec<Span>>>;

/// It takes all that comes until it is dropped.
pub(crate) struct Collector {
    pub(crate) url: String,
    spans: Spans,
    task: JoinHandle<()>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spans = Spans::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&spans));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, spans, task }
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }

    /// Waits until these are enough.
    pub(crate) async fn wait(&self, what: &str, enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let look = || async {
            let spans = self.spans();
            ensure!(enough(&spans), "{spans:#?}");
            Ok(Some(spans))
        };
        let spans: Result<_> = eventually(what, PATIENCE, look).await;
        spans.unwrap_or_else(|error| panic!("{error:#}"))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(State(spans): State<Spans>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    spans.lock().unwrap().extend(wire::spans(&body));
    StatusCode::OK
}
