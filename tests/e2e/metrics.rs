//! Every ended session and every dropped notification counts exactly one reason.

use std::path::Path;

use bellwire_common::metrics;
use bellwire_testkit::bellwire::{KEY, Setup};
use bellwire_testkit::certs::Authority;
use bellwire_testkit::tab::{Front, Profile};
use bellwire_testkit::{http, ports};
use serde_json::json;

use crate::support::{PATIENCE, open, send, send_all, standalone};

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

/// A standalone with every setting that brings metrics of its own. Its database need not be there.
fn everything(folder: &Path) -> Setup {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let authority = Authority::try_new("everything").unwrap();
    let (cert, key) = authority.server().unwrap().write(folder, "server").unwrap();
    let keys = r#"{"keys":[{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}]}"#;
    let database = ports::free();
    let (host, port) = (database.ip(), database.port());
    let mysql = format!("[client]\ndatabase=d\nuser=u\npassword=p\nhost={host}\nport={port}\n");
    let set = [
        ("LOG", "memory:".to_owned()),
        ("SHARED_KEY_FILE", file("key", KEY)),
        ("SESSION_CHECK", "key-only".to_owned()),
        ("MYSQL_FILE", file("mysql.cnf", &mysql)),
        ("MOBILE_RELAY", "on".to_owned()),
        ("RELAY_CA_FILE", file("ca.pem", authority.pem())),
        ("JWT_KEYS_FILE", file("keys.json", keys)),
        ("JWT_AUDIENCE", "bellwire".to_owned()),
        ("TLS_CERT_FILE", cert.display().to_string()),
        ("TLS_KEY_FILE", key.display().to_string()),
        ("INGEST_CLIENT_CA_FILE", folder.join("ca.pem").display().to_string()),
        ("INGEST_TOKENS_FILE", file("tokens", "a-token-that-is-long-enough\n")),
    ];
    let setup = Setup::default().arg("standalone");
    set.into_iter().fold(setup, |setup, (name, value)| setup.env(&format!("BELLWIRE_{name}"), value))
}

/// What appears only with its first event has no rate at it.
#[tokio::test]
async fn every_series_is_there_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let everything = everything(folder.path()).start().await.unwrap();
    // RabbitMQ's own are there before RabbitMQ is.
    let ingest = Setup::new("ingest", &format!("amqp://{}", ports::free())).start().await.unwrap();
    let mut pages = String::new();
    for node in [&everything, &ingest] {
        pages += &http::get(node.admin, "/metrics").await.unwrap().text();
    }
    let mut missing = Vec::new();
    for (_, description, buckets) in metrics::all() {
        let name = if buckets.is_empty() { description.name.to_owned() } else { format!("{}_count", description.name) };
        let series: Vec<&str> = pages.lines().filter(|line| line.split(['{', ' ']).next() == Some(&name)).collect();
        if series.is_empty() {
            missing.push(name.clone());
        }
        // What `build_info` tells is known only at run time.
        for label in description.labels.iter().filter(|_| description.name != metrics::BUILD_INFO.0.name) {
            let texts = label.values.iter().map(|value| format!("{}=\"{value}\"", label.name));
            missing.extend(
                texts
                    .filter(|text| !series.iter().any(|line| line.contains(text.as_str())))
                    .map(|text| format!("{name}{{{text}}}")),
            );
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
