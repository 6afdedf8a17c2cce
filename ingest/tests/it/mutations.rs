//! Bodies that are nearly right: every answer is one that is documented, and what was accepted can be read.
//!
//! The seeds are the bodies of the transcripts. `PROPTEST_CASES` makes it run longer.

use std::sync::Arc;

use axum::body::Body;
use futures_util::FutureExt;
use proptest::prelude::*;
use tower::ServiceExt;

use bellwire_common::notification::Notification;
use bellwire_common::notification::limits::FRAME_BYTES_MAX;
use bellwire_ingest::{Ingest, router};

use crate::support::{Answer, Bench, post};

const SEEDS: [&str; 3] = [
    include_str!("../../testdata/v1.txt"),
    include_str!("../../testdata/message.txt"),
    include_str!("../../testdata/alertmanager.txt"),
];

/// Where they go, with the good answers and the others.
const PATHS: [(&str, &[u16], &[u16]); 4] = [
    ("/v1/notifications", &[202, 207], &[400, 422]),
    ("/message", &[200, 202], &[400]),
    ("/v1/alertmanager", &[202, 207], &[400]),
    ("/v1/alertmanager/7", &[202, 207], &[400]),
];

/// Pieces that are special to JSON, to Unicode or to a limit.
const PIECES: [&[u8]; 18] = [
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud83d\\ude00",
    b"\\udce9",
    b"\\uD83D",
    b"\\n",
    b"{",
    b"]",
    b",null",
    b"-1",
    b"1e400",
    b"99999999999999999999",
    b"\xff",
    b"\xe2\x82",
    b"\"user\":",
    b"\x00",
    b"   ",
];

fn bodies() -> Vec<Vec<u8>> {
    let requests = SEEDS.iter().flat_map(|file| file.split("\n==== ").skip(1));
    let bodies =
        requests.filter_map(|case| case.split("\n---- ").next()?.split_once("\n\n").map(|(_, body)| body.into()));
    bodies.collect()
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), 0usize..4, prop::sample::select(PIECES.to_vec()));
    (prop::sample::select(bodies()), proptest::collection::vec(edit, 0..4)).prop_map(|(mut body, edits)| {
        for (at, removed, piece) in edits {
            let at = at.index(body.len() + 1);
            let end = (at + removed).min(body.len());
            body.splice(at..end, piece.iter().copied());
        }
        body
    })
}

proptest! {
    #[test]
    fn every_answer_is_documented(body in mutated(), to in prop::sample::select(&PATHS[..])) {
        let bench = Bench::new();
        let ingest = Ingest::new(bench.settings.clone(), Arc::clone(&bench.log) as _);
        let (path, good, known) = to;
        let request = post(path).body(Body::from(body)).unwrap();
        // Neither this log nor a body in one piece ever waits.
        let answer = async { Answer::of(router(ingest).oneshot(request).await.unwrap()).await };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _guard = runtime.enter();
        let answer = answer.now_or_never().expect("an answer at once");
        if good.contains(&answer.status) {
            prop_assert_eq!(answer.header("content-type"), "application/json");
            serde_json::from_str::<serde_json::Value>(&answer.body).unwrap();
        } else {
            prop_assert!(known.contains(&answer.status), "{:?}", answer);
            answer.assert_problem(answer.status);
        }
        for notify in bench.log.notifications() {
            let notification: Notification = serde_json::from_slice(&notify.payload).unwrap();
            prop_assert!(!notification.title.is_empty() && notify.payload.len() <= FRAME_BYTES_MAX);
        }
    }
}
