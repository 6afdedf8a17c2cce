//! Nodes that read the logs of two numbers of shards, as while that number changes.

use bellwire_common::record::{EXPORT_STATUS_KEY, Status};
use bellwire_testkit::eventually::eventually;
use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;

const FRONTS: [Front; 3] = [Front::V1, Front::V2, Front::Native];

fn other() -> SharedLog {
    MemoryLog::new(3)
}

async fn tabs(node: &Node) -> Vec<Tab> {
    let mut tabs = Vec::new();
    for front in FRONTS {
        let mut profile = profile(front, "7", &format!("{front:?}"), node);
        profile.reconnect_after = Duration::from_secs(3600);
        tabs.push(profile.open().await.expect("a tab"));
    }
    tabs
}

/// All tabs have shown this from either log.
async fn settle_both(log: &SharedLog, also: &SharedLog, mark: &str, tabs: &[Tab]) {
    let tabs: Vec<&Tab> = tabs.iter().collect();
    settle(log, "7", &format!("{mark}-log"), &tabs).await;
    settle(also, "7", &format!("{mark}-also"), &tabs).await;
}

/// Titles without those of marks; those of either log, which begin with its letter.
fn titles(tab: &Tab, letter: char) -> Vec<String> {
    tab.titles().into_iter().filter(|title| title.starts_with(letter)).collect()
}

fn numbered(letter: char) -> Vec<String> {
    (0..20).map(|n| format!("{letter}{n}")).collect()
}

/// One node has been given the numbers one way round, the other one the other way: both are on the way from one to the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_either_log_has_is_shown_once_and_is_not_repeated_elsewhere() {
    let (log, also) = (log(), other());
    let (one, two) = (Node::start_on_both(&log, &also).await, Node::start_on_both(&also, &log).await);
    let first = tabs(&one).await;
    settle_both(&log, &also, "first", &first).await;
    let second = tabs(&two).await;
    for n in 0..20 {
        send(&log, "7", &format!("a{n}")).await;
        send(&also, "7", &format!("b{n}")).await;
    }
    settle_both(&log, &also, "end", &first).await;
    for tab in &first {
        assert_eq!((titles(tab, 'a'), titles(tab, 'b')), (numbered('a'), numbered('b')), "each log in its order");
    }
    assert!(second.iter().all(|tab| tab.titles().is_empty()), "the older tabs show it");
    // They prove what they have before they are sent away.
    assert_eq!(one.drain(Duration::ZERO).await, 0);
    settle_both(&log, &also, "last", &second).await;
    for tab in &second {
        assert_eq!(tab.titles(), ["last-log", "last-also"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_nodes_that_read_one_log_nothing_is_lost_or_repeated() {
    let (log, also) = (log(), other());
    let (old, both) = (Node::start(&log).await, Node::start_on_both(&log, &also).await);
    let first = tabs(&old).await;
    settle(&log, "7", "first", &first.iter().collect::<Vec<_>>()).await;
    let second = tabs(&both).await;
    for n in 0..20 {
        send(&log, "7", &format!("a{n}")).await;
    }
    settle(&log, "7", "end", &first.iter().collect::<Vec<_>>()).await;
    assert!(first.iter().all(|tab| titles(tab, 'a') == numbered('a')));
    assert_eq!(old.drain(Duration::ZERO).await, 0);
    settle_both(&log, &also, "moved", &second).await;
    assert!(second.iter().all(|tab| tab.titles() == ["moved-log", "moved-also"]));
    // And on to the new ones.
    let new = Node::start(&also).await;
    let third = tabs(&new).await;
    send(&also, "7", "b0").await;
    for tab in &second {
        tab.wait("b0", |seen| seen.shown.iter().any(|shown| shown.title == "b0")).await.expect("b0");
    }
    assert!(third.iter().all(|tab| tab.titles().is_empty()), "the older tabs show it");
    assert_eq!(both.drain(Duration::ZERO).await, 0);
    settle(&also, "7", "last", &third.iter().collect::<Vec<_>>()).await;
    assert!(third.iter().all(|tab| tab.titles() == ["last"]));
}

/// A sender tried twice, and its ingest moved in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_went_to_both_logs_is_shown_once() {
    let (log, also) = (log(), other());
    let node = Node::start_on_both(&log, &also).await;
    let tabs = tabs(&node).await;
    let all: Vec<&Tab> = tabs.iter().collect();
    settle(&log, "7", "n1", &all).await;
    send(&also, "7", "n1").await;
    settle(&also, "7", "n2", &all).await;
    send(&log, "7", "n2").await;
    settle(&log, "7", "n3", &all).await;
    for tab in &tabs {
        assert_eq!(tab.titles(), ["n1", "n2", "n3"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_both_logs_have_is_told_once() {
    let (log, also) = (log(), other());
    let node = Node::start_on_both(&log, &also).await;
    let tab = profile(Front::V2, "7", "b", &node).open().await.expect("a tab");
    let tell = async |log: &SharedLog, version: u64, value: &'static str| {
        let status =
            Status::try_new(EXPORT_STATUS_KEY, version, Bytes::from_static(value.as_bytes())).expect("a status");
        log.append(Shard(0), vec![Record::Status(status).encode()], Safety::Safe).await.expect("appended");
    };
    let told = |seen: &bellwire_testkit::tab::Seen| -> Vec<bool> {
        let of_export = seen.others.iter().filter(|frame| frame["type"] == "ExportStatus");
        of_export.filter_map(|frame| frame["payload"].as_bool()).collect()
    };
    tell(&log, 1, "true").await;
    tab.wait("the status", |seen| told(seen) == [true]).await.expect("told");
    // The ingest has moved, and tells it again; then it is over.
    tell(&also, 1, "true").await;
    tell(&also, 2, "false").await;
    let seen = tab.wait("the next status", |seen| told(seen).last() == Some(&false)).await.expect("told");
    assert_eq!(told(&seen), [true, false]);
    let next = profile(Front::V2, "8", "b", &node).open().await.expect("a tab");
    let seen = next.wait("the status", |seen| !told(seen).is_empty()).await.expect("told");
    assert_eq!(told(&seen), [false], "the later one, and not that of the log that nobody tells any more");
}

/// Each log is told of it.
#[tokio::test]
async fn a_session_counts_once() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let counted = |name: &str| -> Vec<String> {
        let text = handle.render();
        let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix("_total"));
        let mut counted: Vec<_> = lines.filter(|line| !line.ends_with(" 0")).map(str::to_owned).collect();
        counted.sort();
        counted
    };
    let (log, also) = (log(), other());
    let node = Node::start_on_both(&log, &also).await;
    let first = profile(Front::V2, "7", "b", &node).open().await.expect("a tab");
    // What a tab is sent of a log, it has been announced in.
    settle(&log, "7", "n1", &[&first]).await;
    settle(&also, "7", "n2", &[&first]).await;
    assert_eq!(counted("bellwire_gateway_announcements"), ["{browser=\"new\"} 1"]);
    let second = profile(Front::V2, "7", "b", &node).open().await.expect("a tab");
    let open = || async { Ok((counted("bellwire_gateway_announcements").len() == 2).then_some(())) };
    eventually("the second one is announced", Duration::from_secs(30), open).await.expect("announced");
    first.close().await.expect("closed");
    settle(&log, "7", "n3", &[&second]).await;
    settle(&also, "7", "n4", &[&second]).await;
    assert_eq!(counted("bellwire_gateway_takeovers"), ["{reason=\"closed\"} 1"]);
    assert_eq!(counted("bellwire_gateway_announcements"), ["{browser=\"new\"} 1", "{browser=\"open\"} 1"]);
}
