//! How many tabs come in, how fast, and how fast they may speak.

use bellwire_testkit::bellwire::KEY;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::http::{self, Opened};
use bellwire_testkit::tab::PATIENCE;
use tokio::time::Instant;

use super::*;

/// What a V2 tab of the user is answered with: the head, and what stands behind it unless it is let in.
async fn handshake(node: &Node, user: &str) -> String {
    forwarded(node, user, "").await.0
}

/// The same with more header lines; the connection stays as long as it is held.
async fn forwarded(node: &Node, user: &str, lines: &str) -> (String, Option<Opened>) {
    let request = format!(
        "GET /push_notifications?userId={user}&browserUuid=b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
         Connection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: access_token, {KEY}\r\n{lines}\r\n"
    );
    let opened = http::open(node.address, &request).await.expect("a head");
    let head = opened.head.clone();
    if opened.status == 101 {
        return (head, Some(opened));
    }
    (head + &opened.rest().await.expect("an end"), None)
}

async fn refused(node: &Node, user: &str, status: &str, words: &str) {
    let answer = handshake(node, user).await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(words), "{answer}");
}

#[tokio::test]
async fn a_user_has_so_many_tabs_and_gets_a_place_back() {
    let log = log();
    let node = Node::start_with(&log, SessionLimits { sessions_per_user: 2, ..LIMITS }).await;
    let first = profile(Front::V1, "7", "a", &node).open().await.expect("the first");
    let _second = profile(Front::Native, "7", "b", &node).open().await.expect("the second");
    refused(&node, "7", "429", "this user").await;
    for (front, code) in [(Front::V1, 1008), (Front::Native, 4104)] {
        let tab = profile(front, "7", "c", &node).start();
        tab.wait("its end", |seen| seen.ends.contains(&Some(code))).await.expect("refused when it says whose it is");
    }
    let _other = profile(Front::V2, "8", "a", &node).open().await.expect("another user");
    first.close().await.expect("closed");
    let third = profile(Front::V2, "7", "c", &node).open().await.expect("in the place of the first");
    settle(&log, "7", "mark", &[&third]).await;
}

#[tokio::test]
async fn an_address_and_a_node_have_so_many_tabs() {
    let log = log();
    let node = Node::start_with(&log, SessionLimits { sessions_per_address: 1, ..LIMITS }).await;
    let tab = profile(Front::V2, "1", "a", &node).open().await.expect("the first");
    refused(&node, "2", "429", "this address").await;
    tab.close().await.expect("closed");
    let free = || async { Ok((node.gateway.sessions() == 0).then_some(())) };
    eventually("the end of the session", PATIENCE, free).await.expect("ended");
    assert!(handshake(&node, "2").await.starts_with("HTTP/1.1 101"));

    let node = Node::start_with(&log, SessionLimits { sessions: 1, ..LIMITS }).await;
    let _tab = profile(Front::V2, "1", "a", &node).open().await.expect("the first");
    refused(&node, "2", "503", "this node").await;
}

#[tokio::test]
async fn the_address_that_a_trusted_proxy_names_counts() {
    let limits = SessionLimits { sessions_per_address: 1, ..LIMITS };
    let node = Node::start_behind(&log(), limits, vec!["127.0.0.0/8".parse().expect("a network")]).await;
    let mut held = Vec::new();
    for (lines, status) in [
        ("X-Forwarded-For: 192.0.2.7\r\n", "101"),
        ("X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n", "429"),
        ("X-Forwarded-For: 192.0.2.8\r\n", "101"),
        ("", "101"),
        ("", "101"),
    ] {
        let (answer, stream) = forwarded(&node, "7", lines).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{lines}: {answer}");
        held.push(stream);
    }
}

#[tokio::test]
async fn tabs_that_come_in_step_are_held_and_all_get_in() {
    let node = Node::start_with(&log(), SessionLimits { handshakes_per_second: 20, ..LIMITS }).await;
    let begin = Instant::now();
    let tabs: Vec<Tab> = (1..=32).map(|user: u32| profile(Front::V2, &user.to_string(), "b", &node).start()).collect();
    for tab in &tabs {
        tab.wait("a greeting", |seen| seen.greeted > 0).await.expect("let in");
    }
    // Two pass at once, thirty at twenty a second.
    assert!(begin.elapsed() > Duration::from_millis(1_400), "{:?}", begin.elapsed());
    assert!(tabs.iter().all(|tab| tab.seen().ends.is_empty()), "none was refused");
}

#[tokio::test]
async fn a_tab_that_says_too_much_is_read_slowly_and_stays() {
    let log = log();
    let node = Node::start(&log).await;
    let tab = profile(Front::V2, "7", "b", &node).open().await.expect("open");
    let before = tab.seen().others.len();
    let begin = Instant::now();
    for _ in 0..2_248 {
        tab.send(r#"{"type":"KeepAlive","message":"KeepAlive"}"#).expect("sent");
    }
    let seen = tab.wait("all answers", |seen| seen.others.len() >= before + 2_248).await.expect("answered");
    // 2,048 at once, and the rest at a hundred a second.
    assert!(begin.elapsed() > Duration::from_millis(1_500), "{:?}", begin.elapsed());
    assert!(seen.ends.is_empty());
    settle(&log, "7", "mark", &[&tab]).await;
}
