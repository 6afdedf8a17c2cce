//! Nodes that read the logs of two numbers of shards, as while that number changes.

use bellwire_common::record::{EXPORT_STATUS_KEY, Status};
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::http::request;
use bellwire_testkit::tab::PATIENCE;
use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;

use self::replaceable::Replaceable;

#[path = "layouts/replaceable.rs"]
mod replaceable;

/// What the admin server answers, until the node ends.
fn admin(node: &Node) -> SocketAddr {
    let listener = bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let admin = listener.local_addr().expect("bound");
    tokio::spawn(serve(listener, node.gateway.admin_router(), Limits::default(), None, node.stop.clone()));
    admin
}

fn is_in_first(user: &str, log: &SharedLog) -> bool {
    Shard::of(&UserId::try_new(user).expect("a user"), log.shards()) == Shard(0)
}

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

/// One that no version of the client can show.
async fn send_unreadable(log: &SharedLog, user: &str, id: &str) {
    let user = UserId::try_new(user).expect("a user");
    let now = UnixMillis::now();
    let id = NotificationId::try_new(id).expect("an id");
    let shard = Shard::of(&user, log.shards());
    let payload = Bytes::from_static(b"no JSON");
    let notify = Notify { id, user, accepted_at: now, expires_at: now.plus(TTL_MS), payload };
    log.append(shard, vec![Record::Notify(notify).encode()], Safety::Safe).await.expect("appended");
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
    // One whose notifications stand behind the status values.
    let user = (1..).map(|user: u32| user.to_string()).find(|user| is_in_first(user, &also)).expect("a user");
    let tab = profile(Front::V2, &user, "b", &node).open().await.expect("a tab");
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
    // When the second of these has come, the node has done with what stands before the first.
    for mark in ["applied", "told"] {
        settle(&also, &user, mark, &[&tab]).await;
    }
    assert_eq!(told(&tab.seen()), [true], "the same once more");
    tell(&also, 2, "false").await;
    let seen = tab.wait("the next status", |seen| told(seen).last() == Some(&false)).await.expect("told");
    assert_eq!(told(&seen), [true, false]);
    let next = profile(Front::V2, &user, "next", &node).open().await.expect("a tab");
    let seen = next.wait("the status", |seen| !told(seen).is_empty()).await.expect("told");
    assert_eq!(told(&seen), [false], "the later one, and not that of the log that nobody tells any more");
}

/// Its next tab has been sent nothing: what the browser has had counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_browser_had_before_it_came_back_is_not_repeated_from_the_other_log() {
    let (log, also) = (log(), other());
    let node = Node::start_on_both(&log, &also).await;
    for (front, user) in FRONTS.into_iter().zip(["7", "8", "9"]) {
        let browser = profile(front, user, "b", &node);
        let (had, back, end) = (format!("had-{user}"), format!("back-{user}"), format!("end-{user}"));
        let first = browser.open().await.expect("a tab");
        let proofs = first.seen().proofs;
        settle(&log, user, &had, &[&first]).await;
        first.wait("its proof", |seen| seen.proofs > proofs).await.expect("proved");
        first.close().await.expect("closed");
        let next = browser.open().await.expect("its next tab");
        settle(&log, user, &back, &[&next]).await;
        send(&also, user, &had).await;
        settle(&also, user, &end, &[&next]).await;
        assert_eq!(next.titles(), [back, end], "{front:?}");
    }
}

/// What is passed over proves nothing: a page that hangs is passed over itself when its browser opens another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_makes_no_tab_good_again_that_does_not_answer() {
    let (log, also) = (log(), other());
    let node = Node::start_on_both(&log, &also).await;
    let admin = admin(&node);
    let browser = profile(Front::V2, "7", "b", &node);
    let hung = browser.open().await.expect("a tab");
    let proofs = hung.seen().proofs;
    settle(&log, "7", "had", &[&hung]).await;
    hung.wait("its proof", |seen| seen.proofs > proofs).await.expect("proved");
    hung.hang().expect("it hangs");
    let second = browser.open().await.expect("another tab");
    let is_stalled = || async {
        let answer = request(admin, "GET", "/trace?user=7", &[], b"").await?.json()?;
        let of = |user: &str| -> Vec<bool> {
            let tabs = answer[user]["browsers"][0]["tabs"].as_array().into_iter().flatten();
            tabs.filter_map(|tab| tab["stalled"].as_bool()).collect()
        };
        Ok((of("user").contains(&true) && of("user_also").contains(&true)).then_some(()))
    };
    eventually("a stalled tab", PATIENCE, is_stalled).await.expect("stalled in both layouts");
    second.close().await.expect("closed");
    // Nobody else is there: the one that hangs is given what comes.
    let frames = hung.seen().frames;
    send(&also, "7", "had").await;
    send(&also, "7", "sent").await;
    hung.wait("what stands behind the repeat", |seen| seen.frames > frames).await.expect("a frame");
    let third = browser.open().await.expect("a tab that answers");
    settle(&also, "7", "last", &[&third]).await;
    assert_eq!(third.titles(), ["sent", "last"]);
}

/// As with one log: a page that hangs has had nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_shown_counts_as_had_with_the_next_proof_only() {
    let (log, also) = (log(), other());
    let node = Node::start_on_both(&log, &also).await;
    let admin = admin(&node);
    let mut users = (1..).map(|user: u32| user.to_string()).filter(|user| is_in_first(user, &also));
    let mut user = || users.next().expect("a user of the first shard");
    let (hung, lively) = (user(), user());
    let (page, tab) = (profile(Front::V2, &hung, "b", &node), profile(Front::V2, &lively, "b", &node));
    let (page, tab) = (page.open().await.expect("a tab"), tab.open().await.expect("a tab"));
    page.hang().expect("it hangs");
    send_unreadable(&also, &hung, "hangs").await;
    send_unreadable(&also, &lively, "lives").await;
    let state = async |id: &str| {
        let answer = request(admin, "GET", &format!("/trace?id={id}"), &[], b"").await.expect("an answer");
        answer.json().expect("JSON")["notifications"][0]["state"].as_str().map(str::to_owned)
    };
    for id in ["lives", "mark"] {
        let is_had = || async { Ok((state(id).await.as_deref() == Some("delivered")).then_some(())) };
        eventually("a proof", PATIENCE, is_had).await.expect("delivered");
        if id == "lives" {
            // A proof that is told behind what the other page might have been said to have.
            settle(&also, &lively, "mark", &[&tab]).await;
        }
    }
    assert_eq!(state("hangs").await.as_deref(), Some("waiting"));
}

/// Positions in the log that is gone are beyond everything in the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_log_that_was_replaced_nothing_is_lost_or_repeated() {
    let (log, replaceable) = (log(), Replaceable::new(other()));
    let also: SharedLog = replaceable.clone();
    let node = Node::start_on_both(&log, &also).await;
    let tabs = tabs(&node).await;
    let all: Vec<&Tab> = tabs.iter().collect();
    for n in 0..20 {
        send(&also, "7", &format!("b{n}")).await;
    }
    settle_both(&log, &also, "first", &tabs).await;
    let new = other();
    send(&new, "7", "n1").await;
    replaceable.replace(new);
    for tab in &all {
        tab.wait("n1", |seen| seen.shown.iter().any(|shown| shown.title == "n1")).await.expect("of the new log");
    }
    send(&log, "7", "n1").await;
    settle(&log, "7", "n2", &all).await;
    send(&also, "7", "n2").await;
    settle_both(&log, &also, "end", &tabs).await;
    for tab in &tabs {
        assert_eq!(titles(tab, 'n'), ["n1", "n2"]);
    }
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
