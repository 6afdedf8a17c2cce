//! The same over TLS: what sessions know of their connection must be as true.

use std::sync::Arc;

use bellwire_common::settings::TlsFiles;
use bellwire_testkit::bellwire::KEY;
use bellwire_testkit::certs::{Authority, connect};
use bellwire_testkit::tab::Seen;
use rustls::ClientConfig;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::*;

/// A gateway with a certificate, and a client that trusts it.
async fn start(log: &SharedLog) -> (Node, Arc<ClientConfig>) {
    let (authority, folder) = (Authority::try_new("servers").expect("a CA"), tempfile::tempdir().expect("a folder"));
    let pair = authority.server().expect("a certificate");
    let (cert, key) = pair.write(folder.path(), "server").expect("written");
    // Nothing reads the files again here.
    let (tls, _watch) = Tls::open(&TlsFiles { cert, key, admin: false }, None).expect("TLS");
    (Node::start_over(log, settings(), Some(tls)).await, authority.trusting(None).expect("a client"))
}

fn secure(front: Front, browser: &str, node: &Node, tls: &Arc<ClientConfig>) -> Profile {
    Profile { tls: Some(Arc::clone(tls)), ..profile(front, "7", browser, node) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_browser_shows_each_once_and_in_order() {
    let log = log();
    let (node, tls) = start(&log).await;
    let mut tabs = Vec::new();
    for front in FRONTS {
        tabs.push(secure(front, &format!("{front:?}"), &node, &tls).open().await.expect("a tab"));
    }
    let titles: Vec<String> = (0..50).map(|n| format!("n{n}")).collect();
    for title in &titles {
        send_text(&log, "7", title, &"x".repeat(2048)).await;
    }
    for tab in &tabs {
        tab.wait_shown(titles.len()).await.expect("all of them");
        tab.settle().await.expect("an answer");
        assert_eq!(tab.titles(), titles);
    }
    for tab in tabs {
        tab.close().await.expect("closed");
    }
    assert_eq!(node.drain(Duration::ZERO).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_hang_and_browsers_that_read_nothing_hand_over() {
    let log = log();
    let (node, tls) = start(&log).await;
    for (index, front) in FRONTS.into_iter().enumerate() {
        let browser = format!("{front:?}");
        let (bad, good) = (secure(front, &browser, &node, &tls), secure(front, &browser, &node, &tls));
        let bad = bad.open().await.expect("a tab");
        if index == 0 { bad.mute() } else { bad.hang() }.expect("done");
        let title = format!("to-{browser}");
        send(&log, "7", &title).await;
        if index > 0 {
            bad.wait("a ping answered", |seen| seen.pings > 0).await.expect("the browser lives");
        }
        let good = good.open().await.expect("a tab");
        let enough = |seen: &Seen| seen.shown.iter().any(|shown| shown.title == title);
        good.wait("what the other one did not show", enough).await.expect("it takes over");
        assert!(!bad.titles().contains(&title), "{:?}", bad.titles());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_ends_v2_without_a_close_frame_and_native_with_its_code() {
    let log = log();
    let (node, tls) = start(&log).await;
    let reconnect_after = Duration::from_secs(3600);
    let v2 = Profile { reconnect_after, ..secure(Front::V2, "v2", &node, &tls) }.open().await.expect("a tab");
    let native = secure(Front::Native, "native", &node, &tls).open().await.expect("a tab");
    assert_eq!(node.drain(Duration::from_millis(50)).await, 0);
    let end = |seen: &Seen| !seen.ends.is_empty();
    assert_eq!(v2.wait("its end", end).await.expect("an end").ends, [None]);
    assert_eq!(native.wait("its end", end).await.expect("an end").ends, [Some(4000)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stream_says_what_comes_and_ends_with_a_word() {
    let log = log();
    let (node, tls) = start(&log).await;
    let mut stream = connect(node.address, Some(&tls)).await.expect("connected");
    let head = format!("GET /events?user=7&browser=b HTTP/1.0\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut lines = BufReader::new(stream);
    let mut until = async |word: &str| {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert!(lines.read_line(&mut line).await.expect("a line") > 0, "it ended before {word}");
        }
    };
    until("welcome").await;
    send(&log, "7", "over-tls").await;
    until("over-tls").await;
    node.drain(Duration::from_secs(1)).await;
    // Without the last word of TLS this is an error.
    lines.read_to_end(&mut Vec::new()).await.expect("a last word");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_link_that_moves_is_not_taken_for_a_dead_one() {
    let log = log();
    let (node, tls) = start(&log).await;
    slow::crosses(&log, &node, Some(&tls)).await;
}
