//! Every ended session and every dropped notification counts exactly one reason.

use bellwire_testkit::http;
use bellwire_testkit::tab::{Front, Profile};
use serde_json::json;

use crate::support::{PATIENCE, open, send, send_all, standalone};

mod cluster;
mod page;
mod ways;

const CLOSED: &str = "bellwire_gateway_sessions_closed_total";

#[tokio::test]
async fn ended_sessions_count_one_reason_each() {
    let node = standalone("memory:").await;
    let open = |front| async move { open(front, "1", "browser", node.listen).await };
    let node = &node;
    let closed = |protocol: &'static str, initiator: &'static str, reason: &'static str| async move {
        let labels = [protocol, initiator, reason].map(|label| label.to_owned());
        let labels: Vec<_> = ["protocol", "initiator", "reason"]
            .iter()
            .zip(&labels)
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        node.wait_metric(CLOSED, &labels, 1.0, PATIENCE).await.unwrap();
    };

    open(Front::V1).await.close().await.unwrap();
    closed("v1", "client", "closed").await;

    open(Front::V2).await.cut().await;
    closed("v2", "network", "eof").await;

    let tab = open(Front::V2).await;
    tab.send("this is not JSON").unwrap();
    let seen = tab.wait("an end", |seen| !seen.ends.is_empty()).await.unwrap();
    assert_eq!(seen.ends, [None], "a close frame would silence a V2 tab for good");
    drop(tab);
    closed("v2", "server", "bad_message").await;

    let tab = open(Front::Native).await;
    tab.send(&json!({ "op": "test", "title": "x".repeat(9000) }).to_string()).unwrap();
    let seen = tab.wait("an end", |seen| !seen.ends.is_empty()).await.unwrap();
    assert_eq!(seen.ends, [Some(4301)]);
    closed("native", "server", "too_large").await;

    let mut thief = Profile::new(Front::V1, "1", "browser", node.listen);
    thief.key = "another-key-that-is-as-long-as-the-right-one".to_owned();
    let tab = thief.start();
    tab.wait("an end", |seen| !seen.ends.is_empty()).await.unwrap();
    closed("v1", "server", "bad_key").await;

    drop(tab);
    let sessions = || async { node.metric("bellwire_gateway_sessions", &[]).await };
    let gone = || async { Ok((sessions().await? == 0.0).then_some(())) };
    bellwire_testkit::eventually::eventually("no session", PATIENCE, gone).await.unwrap();
    let opened = node.metric("bellwire_gateway_sessions_opened_total", &[]).await.unwrap();
    assert_eq!(node.metric(CLOSED, &[]).await.unwrap(), opened, "one reason for each session");
}

#[tokio::test]
async fn an_expired_notification_is_dropped_and_counted() {
    let node = standalone("memory:").await;
    send_all(node.listen, &json!({ "user": "1", "kind": "message", "title": "late", "ttl": 1 })).await;
    let dropped = "bellwire_gateway_notifications_dropped_total";
    node.wait_metric(dropped, &["reason=\"expired\""], 1.0, PATIENCE).await.unwrap();
    let tab = open(Front::V2, "1", "browser", node.listen).await;
    send(node.listen, "1", "in time").await;
    tab.wait_shown(1).await.unwrap();
    assert_eq!(tab.titles(), ["in time"]);
    node.wait_metric("bellwire_gateway_notifications_delivered_total", &[], 1.0, PATIENCE).await.unwrap();
    assert_eq!(node.metric(dropped, &[]).await.unwrap(), 1.0);
}

#[tokio::test]
async fn ingest_counts_what_became_of_each() {
    let node = standalone("memory:").await;
    let ingest = "bellwire_ingest_notifications_total";
    send(node.listen, "1", "good").await;
    let old = json!({ "user": "1", "kind": "message", "title": "old", "timestamp": 1_000_000_000 });
    http::post(node.listen, "/v1/notifications", &old).await.unwrap();
    let bad = json!({ "user": "", "kind": "message", "title": "bad" });
    http::post(node.listen, "/v1/notifications", &bad).await.unwrap();
    for result in ["accepted", "stale", "invalid"] {
        assert_eq!(node.metric(ingest, &[&format!("result=\"{result}\"")]).await.unwrap(), 1.0, "{result}");
    }
    let page = http::get(node.admin, "/metrics").await.unwrap().text();
    assert!(page.contains("bellwire_build_info{") && page.contains("role=\"standalone\""), "{page}");
    assert_eq!(http::get(node.admin, "/healthz").await.unwrap().status, 200);
}
