//! What the tests say often.

use std::net::SocketAddr;

use bellwire_testkit::bellwire::{Bellwire, Setup};
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::http;
use bellwire_testkit::tab::{Front, Profile, Shown, Tab};
use serde_json::{Value, json};
use tokio::process::Command;

/// Long enough for anything on a machine that builds something else at the same time.
pub(crate) use bellwire_testkit::tab::{FRONTS, PATIENCE};

/// How often a test with chance in it is repeated.
pub(crate) fn rounds() -> usize {
    if std::env::var_os("BELLWIRE_TEST_FULL").is_some() { 20 } else { 2 }
}

pub(crate) async fn standalone(log: &str) -> Bellwire {
    Setup::new("standalone", log).start().await.unwrap()
}

/// A log on disk below a folder that lives as long as the test.
pub(crate) fn embedded(dir: &tempfile::TempDir) -> String {
    format!("embedded:{}", dir.path().join("log").display())
}

pub(crate) fn message(user: &str, title: &str) -> Value {
    json!({ "user": user, "kind": "message", "title": title, "body": format!("text of {title}") })
}

/// Sends a message; it is accepted.
pub(crate) async fn send(address: SocketAddr, user: &str, title: &str) {
    send_all(address, &message(user, title)).await;
}

/// Sends one notification or an array of them; all are accepted.
pub(crate) async fn send_all(address: SocketAddr, body: &Value) {
    let answer = http::post(address, "/v1/notifications", body).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
}

pub(crate) async fn open(front: Front, user: &str, browser: &str, address: SocketAddr) -> Tab {
    Profile::new(front, user, browser, address).open().await.unwrap()
}

/// Waits until the tabs of one browser have shown so many notifications together, and for what may come too much;
/// all of them in the order of showing.
pub(crate) async fn shown_once(tabs: &[&Tab], count: usize) -> Vec<Shown> {
    let all = || tabs.iter().flat_map(|tab| tab.seen().shown).collect::<Vec<_>>();
    let enough = || async { Ok((all().len() >= count).then_some(())) };
    eventually(&format!("{count} notifications"), PATIENCE, enough).await.unwrap_or_else(|error| {
        panic!("{error}: {:#?}", tabs.iter().map(|tab| tab.seen()).collect::<Vec<_>>());
    });
    // What was sent twice would have come before the answer to a keep-alive.
    for tab in tabs {
        tab.settle().await.unwrap();
    }
    let mut shown = all();
    shown.sort_by_key(|shown| shown.at);
    shown
}

/// The tabs of one browser show exactly these titles together, each once and in this order.
pub(crate) async fn expect_once(tabs: &[&Tab], expected: &[String]) {
    let titles: Vec<_> = shown_once(tabs, expected.len()).await.into_iter().map(|shown| shown.title).collect();
    assert_eq!(titles, expected);
}

/// Runs a program of this build with arguments as given.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(bellwire_testkit::process::binary(name));
    command.env_clear().kill_on_drop(true);
    command
}
