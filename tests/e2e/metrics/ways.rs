//! What the metrics say of a notification's way, of tabs that come and go, and of a node that ends.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bellwire_testkit::bellwire::{Bellwire, Setup};
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::http;
use bellwire_testkit::process::Signal;
use bellwire_testkit::tab::Front;

use crate::support::{FRONTS, PATIENCE, open, send, standalone};

const TIMED: &str = "bellwire_gateway_delivery_seconds_count";
const WAITING: &str = "bellwire_gateway_notifications_waiting";
const ANNOUNCED: &str = "bellwire_gateway_announcements_total";
const TOOK_OVER: &str = "bellwire_gateway_takeovers_total";

/// Waits until a metric is exactly this.
pub(super) async fn becomes(node: &Bellwire, name: &str, labels: &[&str], value: f64) {
    let is = || async { Ok((node.metric(name, labels).await? == value).then_some(())) };
    eventually(&format!("{name}{labels:?} {value}"), PATIENCE, is).await.unwrap();
}

#[tokio::test]
async fn a_notification_is_timed_from_ingest_to_the_page() {
    let node = standalone("memory:").await;
    let mut tabs = Vec::new();
    for (front, user) in FRONTS.into_iter().zip(["1", "2", "3"]) {
        let tab = open(front, user, "browser", node.listen).await;
        send(node.listen, user, "now").await;
        tab.wait_shown(1).await.unwrap();
        tabs.push(tab);
    }
    for proof in ["proof=\"link\"", "proof=\"page\""] {
        becomes(&node, TIMED, &[proof, "tab=\"open\""], 3.0).await;
    }
    becomes(&node, WAITING, &[], 0.0).await;
    // This one waits for somebody to come: no fault of the server's.
    send(node.listen, "4", "early").await;
    becomes(&node, WAITING, &[], 1.0).await;
    let held = node.metric("bellwire_gateway_notifications_held_bytes", &[]).await.unwrap();
    assert!(held > 0.0, "all four are held until they expire");
    tabs.push(open(Front::V2, "4", "browser", node.listen).await);
    becomes(&node, TIMED, &["proof=\"page\"", "tab=\"opened_later\""], 1.0).await;
    becomes(&node, WAITING, &[], 0.0).await;
    for (name, expected) in [
        (TIMED, 8.0),
        ("bellwire_ingest_accept_seconds_count", 4.0),
        ("bellwire_ingest_append_seconds_count", 4.0),
        ("bellwire_gateway_write_seconds_count", 3.0),
        ("bellwire_gateway_frames_sent_total", 4.0),
        ("bellwire_gateway_users", 4.0),
        ("bellwire_gateway_browsers", 4.0),
    ] {
        becomes(&node, name, &[], expected).await;
    }
    let seconds = node.metric("bellwire_gateway_delivery_seconds_sum", &["tab=\"open\""]).await.unwrap();
    assert!((0.0..60.0).contains(&seconds), "six of them took {seconds} s");
    drop(tabs);
    becomes(&node, "bellwire_gateway_browsers", &[], 0.0).await;
    becomes(&node, "bellwire_gateway_users", &[], 0.0).await;
}

/// Waits until the cluster knows that the user's browser has no tab.
async fn away(node: &Bellwire) {
    let is_away = || async {
        let answer = http::get(node.admin, "/trace?user=1").await?.json()?;
        Ok(answer["user"]["browsers"][0]["away_since"].is_number().then_some(()))
    };
    eventually("the browser is away", PATIENCE, is_away).await.unwrap();
}

#[tokio::test]
async fn sessions_that_come_back_and_take_over_are_counted() {
    let node = standalone("memory:").await;
    let tab = || open(Front::V2, "1", "browser", node.listen);
    let first = tab().await;
    becomes(&node, ANNOUNCED, &["browser=\"new\""], 1.0).await;
    let second = tab().await;
    becomes(&node, ANNOUNCED, &["browser=\"open\""], 1.0).await;
    assert_eq!(node.metric("bellwire_gateway_browsers", &[]).await.unwrap(), 1.0);
    first.close().await.unwrap();
    becomes(&node, TOOK_OVER, &["reason=\"closed\""], 1.0).await;
    second.close().await.unwrap();
    away(&node).await;
    let third = tab().await;
    becomes(&node, ANNOUNCED, &["browser=\"returned\""], 1.0).await;
    // Another tab has it prove that it lives, which it cannot.
    third.hang().unwrap();
    let _fourth = tab().await;
    becomes(&node, TOOK_OVER, &["reason=\"stalled\""], 1.0).await;
    assert_eq!(node.metric(TOOK_OVER, &[]).await.unwrap(), 2.0);
    assert_eq!(node.metric(ANNOUNCED, &[]).await.unwrap(), 4.0);
}

#[tokio::test]
async fn a_node_that_ends_says_so() {
    const DRAIN_SECONDS: u64 = 20;
    let setup = Setup::new("standalone", "memory:").arg("--drain-seconds").arg(DRAIN_SECONDS.to_string());
    let node = setup.start().await.unwrap();
    // Tabs of this kind go last, at the end of the time.
    let _tab = open(Front::V1, "1", "browser", node.listen).await;
    for (name, expected) in [("ready", 1.0), ("draining", 0.0), ("drain_end_timestamp_seconds", 0.0)] {
        assert_eq!(node.metric(&format!("bellwire_node_{name}"), &[]).await.unwrap(), expected, "{name}");
    }
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let before = now();
    node.process().signal(Signal::Term).await.unwrap();
    becomes(&node, "bellwire_node_draining", &[], 1.0).await;
    becomes(&node, "bellwire_node_ready", &[], 0.0).await;
    let end = Duration::from_secs_f64(node.metric("bellwire_node_drain_end_timestamp_seconds", &[]).await.unwrap());
    let drain = Duration::from_secs(DRAIN_SECONDS);
    // Its clock is read to the millisecond.
    assert!(end + Duration::from_millis(1) >= before + drain && end <= now() + drain, "{end:?} {before:?}");
    assert_eq!(node.metric("bellwire_gateway_sessions", &[]).await.unwrap(), 1.0, "it has its time");
}
