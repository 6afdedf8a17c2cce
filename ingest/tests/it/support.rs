//! A log that remembers, and fails when told to; requests to a router before it.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tower::ServiceExt;

use bellwire_common::http::Peer;
use bellwire_common::ids::{Shard, UnixMillis};
use bellwire_common::log::{AppendError, Log, Reader, Safety, Start};
use bellwire_common::record::{Notify, Record};
use bellwire_ingest::{Ingest, IngestSettings, Limits, Tokens, router};

pub(crate) const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
pub(crate) const TTL_MS: u64 = 600_000;
pub(crate) const LOCAL: &str = "127.0.0.1:50000";

/// What an append does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Fail(AppendError),
    Hang,
}

#[derive(Debug, Default)]
pub(crate) struct TestLog {
    pub(crate) appended: Mutex<Vec<(Shard, Vec<Bytes>)>>,
    pub(crate) acts: Mutex<HashMap<Shard, Act>>,
}

impl TestLog {
    pub(crate) fn act(&self, shard: u16, act: Act) {
        self.acts.lock().unwrap().insert(Shard(shard), act);
    }

    pub(crate) fn appends(&self) -> usize {
        self.appended.lock().unwrap().len()
    }

    pub(crate) fn notifications(&self) -> Vec<Notify> {
        let appended = self.appended.lock().unwrap();
        let records = appended.iter().flat_map(|(_, records)| records);
        let decoded = records.map(|record| match Record::decode(record.clone()).unwrap() {
            Record::Notify(notify) => notify,
            other => panic!("{other:?}"),
        });
        decoded.collect()
    }
}

impl Log for TestLog {
    fn shards(&self) -> u16 {
        4
    }

    fn name(&self, shard: Shard) -> String {
        format!("test.{shard}")
    }

    fn append(&self, shard: Shard, records: Vec<Bytes>, safety: Safety) -> BoxFuture<'static, Result<(), AppendError>> {
        assert_eq!(safety, Safety::Safe);
        self.appended.lock().unwrap().push((shard, records));
        match self.acts.lock().unwrap().get(&shard).cloned() {
            None => async { Ok(()) }.boxed(),
            Some(Act::Fail(error)) => async { Err(error) }.boxed(),
            Some(Act::Hang) => pending().boxed(),
        }
    }

    fn read(&self, _: Shard, _: Start) -> Reader {
        Reader::new(mpsc::channel(1).1)
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}

/// An ingest on a log of its own.
pub(crate) struct Bench {
    pub(crate) log: Arc<TestLog>,
    pub(crate) settings: IngestSettings,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_tokens(Tokens::none())
    }

    pub(crate) fn with_tokens(tokens: Tokens) -> Self {
        let limits = Limits {
            body_timeout: Duration::from_millis(200),
            append_timeout: Duration::from_millis(200),
            ..Limits::default()
        };
        let settings = IngestSettings { limits, clock: || NOW, ..IngestSettings::new(TTL_MS, tokens) };
        Self { log: Arc::default(), settings }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response {
        let ingest = Ingest::new(self.settings.clone(), Arc::clone(&self.log) as _);
        router(ingest).oneshot(request).await.unwrap()
    }

    /// Posts from this machine, as `curl` would.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.answer(post(path).body(body.into()).unwrap()).await
    }

    pub(crate) async fn answer(&self, request: Request<Body>) -> Answer {
        Answer::of(self.send(request).await).await
    }
}

pub(crate) fn post(path: &str) -> axum::http::request::Builder {
    Request::post(path).header("host", "127.0.0.1:8083").extension(Peer(LOCAL.parse().unwrap()))
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status.as_u16(), headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn assert_problem(&self, status: u16) -> serde_json::Value {
        assert_eq!((self.status, self.header("content-type")), (status, "application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(!problem["title"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty());
        problem
    }
}

/// The answer as it stands in a transcript.
impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut head = format!("{}", self.status);
        for name in ["content-type", "retry-after", "allow", "www-authenticate"] {
            if self.headers.contains_key(name) {
                write!(head, "\n{name}: {}", self.header(name))?;
            }
        }
        write!(f, "{head}\n\n{}", self.body)
    }
}
