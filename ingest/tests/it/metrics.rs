//! Each notification is counted once by its result, each refused request once by its reason.

use std::io::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use futures_util::{StreamExt, stream};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tower::ServiceExt;

use bellwire_common::http::Peer;
use bellwire_common::log::AppendError;
use bellwire_ingest::http::BODY_BYTES_MAX;
use bellwire_ingest::{ALERT_USERS_MAX, BATCH_ITEMS_MAX, FAILURES_PER_MINUTE_MAX, Ingest, Tokens, router};
use serde_json::json;

use crate::support::{Act, Bench, post};

fn value(handle: &PrometheusHandle, series: &str) -> u64 {
    let text = handle.render();
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).trim().parse().unwrap()
}

fn result(handle: &PrometheusHandle, result: &str) -> u64 {
    value(handle, &format!("bellwire_ingest_notifications_total{{result=\"{result}\"}}"))
}

fn refused(handle: &PrometheusHandle, reason: &str) -> u64 {
    value(handle, &format!("bellwire_ingest_requests_refused_total{{reason=\"{reason}\"}}"))
}

#[tokio::test]
async fn notifications_are_counted_by_their_result() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let bench = Bench::new();
    let counts = || ["accepted", "stale", "invalid", "unavailable"].map(|label| result(&handle, label));
    bench.post("/v1/notifications", "[]").await;
    assert_eq!(counts(), [0; 4], "all series exist at the start");
    bench.log.act(1, Act::Fail(AppendError::Overloaded));
    let batch = r#"[{"user":"1","title":"t"},{"user":"1","title":"t"},{"user":"2","title":"t"},{"user":"1","title":"t","timestamp":1},{},7,null]"#;
    bench.post("/v1/notifications", batch).await;
    assert_eq!(counts(), [2, 1, 3, 1]);
    assert_eq!(value(&handle, "bellwire_ingest_append_seconds_count"), 1, "what failed took no time to be confirmed");
    bench.post("/message", r#"{"userId":"x"}"#).await;
    bench.post("/message", r#"{"userId":1}"#).await;
    assert_eq!(counts(), [2, 2, 4, 1]);
}

#[tokio::test]
async fn a_sender_that_goes_away_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let bench = Bench::new();
    bench.log.act(2, Act::Hang);
    let mut waiting = Box::pin(bench.post("/v1/notifications", r#"{"user":"7","title":"t"}"#));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(waiting);
    assert_eq!((bench.log.appends(), result(&handle, "unavailable")), (1, 1));
}

#[tokio::test]
async fn refused_requests_are_counted_by_their_reason() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"0123456789abcdef paths=/message").unwrap();
    let bench = Bench::new();
    let locked = Bench::with_tokens(Tokens::load(file.path()).unwrap());
    let mut full = Bench::new();
    full.settings.limits.bodies_bytes_max = 0;
    let mut certified = Bench::new();
    certified.settings.needs_certificate = true;
    const PATH: &str = "/v1/notifications";
    let broken = || Body::from_stream(stream::iter([Err::<&str, _>(std::io::Error::other("gone"))]));
    let slow = Body::from_stream(stream::pending::<std::io::Result<&str>>().boxed());

    bench.answer(Request::get(PATH).body(Body::empty()).unwrap()).await;
    bench.post("/openapi.json", "").await;
    let ingest = Ingest::new(locked.settings.clone(), Arc::clone(&locked.log) as _);
    let stranger = || Request::post(PATH).extension(Peer("192.0.2.1:1".parse().unwrap())).body(Body::empty()).unwrap();
    for _ in 0..=FAILURES_PER_MINUTE_MAX {
        router(ingest.clone()).oneshot(stranger()).await.unwrap();
    }
    let known = post(PATH).header("authorization", "Bearer 0123456789abcdef").body(Body::empty()).unwrap();
    router(ingest).oneshot(known).await.unwrap();
    bench.answer(Request::post(PATH).body(Body::empty()).unwrap()).await;
    bench.answer(post(PATH).header("origin", "null").body(Body::empty()).unwrap()).await;
    bench.answer(post(PATH).header("content-encoding", "br").body(Body::empty()).unwrap()).await;
    certified.post(PATH, "{}").await;
    full.post(PATH, "{}").await;
    bench.post(PATH, "x".repeat(BODY_BYTES_MAX + 1)).await;
    bench.post(PATH, slow).await;
    bench.post(PATH, broken()).await;
    bench.post(PATH, "{").await;
    bench.post(PATH, format!("[{}0]", "0,".repeat(BATCH_ITEMS_MAX))).await;

    let reasons = bellwire_common::metrics::INGEST_REQUESTS_REFUSED.0.labels[0].values;
    assert_eq!(reasons.len(), 14);
    for reason in reasons {
        let expected = match *reason {
            "token" => FAILURES_PER_MINUTE_MAX.into(),
            // Of a path for senders, and of the document.
            "method" => 2,
            _ => 1,
        };
        assert_eq!(refused(&handle, reason), expected, "{reason}");
    }
    assert_eq!(result(&handle, "invalid"), 0, "a refused request has no notifications");
}

/// Too many users are another reason than none.
#[tokio::test]
async fn alerts_that_become_nothing_are_counted_by_why_and_their_sender_is_told() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let bench = Bench::new();
    let crowd = (1..=ALERT_USERS_MAX + 1).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let alerts = |users: &[&str]| {
        let alerts: Vec<_> = users.iter().map(|users| json!({"labels": {"bellwire_user": users}})).collect();
        json!({ "alerts": alerts }).to_string()
    };
    const PATH: &str = "/v1/alertmanager";
    let told = async |path: &str, users: &[&str]| {
        let problem = bench.post(path, alerts(users)).await.assert_problem(400);
        let errors = problem["errors"].as_array().unwrap().iter();
        errors.map(|error| format!("{}: {}", error["field"], error["message"]).replace('"', "")).collect::<Vec<_>>()
    };
    let many = format!("alerts[].labels.bellwire_user: must name at most {ALERT_USERS_MAX} users");
    assert_eq!(told(PATH, &[&crowd]).await, [many.as_str()]);
    let both = told(PATH, &["", &crowd]).await;
    assert!(both.len() == 2 && both[0].contains("must name the user") && both[1] == many, "{both:?}");
    let by_path = told(&format!("{PATH}/{crowd}"), &["7"]).await;
    assert_eq!(by_path, [format!("path: must name at most {ALERT_USERS_MAX} users")]);
    let some = bench.post(PATH, alerts(&["7", &crowd, "", "8"])).await;
    assert_eq!(some.status, 207);
    let (some, ids) = (some.json(), some.json()["results"].as_array().unwrap().len());
    assert_eq!(
        (ids, &some["too_many_users"], &some["without_user"], some.get("left_out")),
        (2, &json!(1), &json!(1), None)
    );

    let dropped =
        |reason: &str| value(&handle, &format!("bellwire_ingest_alerts_dropped_total{{reason=\"{reason}\"}}"));
    assert_eq!(["too_many_users", "no_user", "no_room"].map(dropped), [4, 2, 0]);
}
