//! A browser that answers pings proves only that its connection lives; the page has to prove that it handled.

use bellwire_testkit::bellwire::Bellwire;
use bellwire_testkit::tab::{Front, Tab};

use crate::support::{FRONTS, PATIENCE, expect_once, open, send, standalone};

const CONFIRMED: &str = "bellwire_gateway_confirm_seconds_count";
const LINK: &str = "proof=\"link\"";
const PAGE: &str = "proof=\"page\"";

#[tokio::test]
async fn a_hung_page_confirms_nothing() {
    for front in FRONTS {
        let node = standalone("memory:").await;
        let tab = open(front, "1", "browser", node.listen).await;
        tab.hang().unwrap();
        let frames = tab.seen().frames;
        send(node.listen, "1", "seen by the browser, not by the page").await;
        tab.wait("a frame and a ping", |seen| seen.frames > frames && seen.pings > 0).await.unwrap();
        node.wait_metric(CONFIRMED, &[LINK], 1.0, PATIENCE).await.unwrap();
        assert_eq!(node.metric(CONFIRMED, &[PAGE]).await.unwrap(), 0.0, "{front:?}");
        assert!(tab.titles().is_empty());
        gone(&node, tab).await;
        let next = open(front, "1", "browser", node.listen).await;
        expect_once(&[&next], &["seen by the browser, not by the page".to_owned()]).await;
    }
}

#[tokio::test]
async fn a_lively_page_confirms() {
    for front in FRONTS {
        let node = standalone("memory:").await;
        let tab = open(front, "1", "browser", node.listen).await;
        send(node.listen, "1", "handled").await;
        node.wait_metric(CONFIRMED, &[PAGE], 1.0, PATIENCE).await.unwrap();
        assert_eq!(tab.titles(), ["handled"]);
        gone(&node, tab).await;
        let next = open(front, "1", "browser", node.listen).await;
        send(node.listen, "1", "next").await;
        expect_once(&[&next], &["next".to_owned()]).await;
    }
}

/// Unmodified pages prove it by registering again with the id of a repeated greeting.
#[tokio::test]
async fn pages_of_openitcockpit_are_greeted_again() {
    let node = standalone("memory:").await;
    for (front, user) in [(Front::V1, "1"), (Front::V2, "2")] {
        let tab = open(front, user, "browser", node.listen).await;
        assert_eq!(tab.seen().greeted, 1);
        send(node.listen, user, "one").await;
        let seen = tab.wait("a second greeting", |seen| seen.greeted == 2).await.unwrap();
        let ids: Vec<_> = seen.others.iter().filter_map(greeting_id).collect();
        assert_eq!(ids.len(), 2);
        assert_ne!(ids[0], ids[1], "the second id stands for what was shown");
    }
}

fn greeting_id(frame: &serde_json::Value) -> Option<String> {
    frame["data"]["uuid"].as_str().or(frame["payload"]["clientUuid"].as_str()).map(str::to_owned)
}

/// Cuts a tab and waits until the node knows.
async fn gone(node: &Bellwire, tab: Tab) {
    tab.cut().await;
    node.wait_metric("bellwire_gateway_sessions_closed_total", &[], 1.0, PATIENCE).await.unwrap();
}
