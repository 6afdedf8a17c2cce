//! Transcripts: requests, the answers to them and the records they leave, byte for byte. `BLESS=1` writes them anew.

use std::fmt::Write;
use std::path::Path;

use axum::body::Body;
use axum::http::Request;

use bellwire_common::http::Peer;
use bellwire_common::log::AppendError;

use crate::support::{Act, Bench, LOCAL};

const SEPARATOR: &str = "\n==== ";

/// A file is a series of `==== name`, the request, `---- answer` and what came of it. A request whose name ends with
/// "(log down)" meets a log that takes nothing.
async fn replay(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file);
    let golden = std::fs::read_to_string(&path).unwrap();
    let (head, cases) = golden.split_once(SEPARATOR).unwrap();
    let mut ours = head.to_owned();
    for case in cases.split(SEPARATOR) {
        let (name, rest) = case.split_once('\n').unwrap();
        let request = rest.split("\n---- ").next().unwrap().trim_end();
        write!(ours, "{SEPARATOR}{name}\n{request}\n---- {}", run(name, request).await).unwrap();
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &ours).unwrap();
    }
    assert_eq!(ours, std::fs::read_to_string(&path).unwrap());
    assert!(cases.split(SEPARATOR).count() > 3);
}

async fn run(name: &str, request: &str) -> String {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut lines = head.lines();
    let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
    let mut builder = Request::builder().method(method).uri(path).extension(Peer(LOCAL.parse().unwrap()));
    for (header, value) in lines.map(|line| line.split_once(": ").unwrap()) {
        builder = builder.header(header, value);
    }
    let bench = Bench::new();
    if name.ends_with("(log down)") {
        (0..4).for_each(|shard| bench.log.act(shard, Act::Fail(AppendError::Unavailable("down".into()))));
    }
    let answer = bench.answer(builder.body(Body::from(body.to_owned())).unwrap()).await;
    let mut out = format!("{answer}\n");
    for notify in bench.log.notifications().iter().filter(|_| !name.ends_with("(log down)")) {
        let payload = String::from_utf8_lossy(&notify.payload);
        writeln!(out, "---- record {} for {} until {}\n{payload}", notify.id, notify.user, notify.expires_at.0)
            .unwrap();
    }
    out
}

#[tokio::test]
async fn v1_transcripts() {
    replay("v1.txt").await;
}

#[tokio::test]
async fn message_transcripts() {
    replay("message.txt").await;
}

#[tokio::test]
async fn alertmanager_transcripts() {
    replay("alertmanager.txt").await;
}
