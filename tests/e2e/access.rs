//! Who may listen, by the settings of a real node: what is refused is counted, and no secret is in its log.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use bellwire_testkit::bellwire::{Bellwire, KEY, Setup};
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::http;
use bellwire_testkit::login::{Login, Mood};
use bellwire_testkit::mariadb::MariaDb;
use bellwire_testkit::ports;
use bellwire_testkit::tab::{Front, Profile};

use crate::support::{PATIENCE, program};

const COOKIE: &str = "PHPSESSID=a-login-that-nobody-else-has";
const OTHER_KEY: &str = "another-key-of-more-than-thirty-two-characters";
const REFUSED: &str = "bellwire_gateway_handshakes_refused_total";

fn profile(node: &Bellwire, front: Front, user: &str) -> Profile {
    Profile::new(front, user, &format!("{front:?}"), node.listen).header("cookie", COOKIE)
}

/// The status that the handshake of a V2 tab is answered with.
async fn handshake(address: SocketAddr, user: &str, key: &str, headers: &[(&str, &str)]) -> u16 {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "GET /push_notifications?userId={user}&browserUuid=b HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: access_token, {key}\r\n{lines}\r\n"
    );
    http::open(address, &request).await.unwrap().status
}

async fn refused(node: &Bellwire, user: &str, key: &str, headers: &[(&str, &str)], status: u16, reason: &str) {
    let label = format!("reason=\"{reason}\"");
    let before = node.metric(REFUSED, &[&label]).await.unwrap();
    assert_eq!(handshake(node.listen, user, key, headers).await, status, "{reason}");
    assert_eq!(node.metric(REFUSED, &[&label]).await.unwrap(), before + 1.0, "{reason}");
}

async fn beside(login: &Login, key_file: &Path) -> Bellwire {
    fs::write(key_file, KEY).unwrap();
    // A key in the environment would win over the file.
    let setup = Setup::default().arg("standalone").env("BELLWIRE_LOG", "memory:");
    let setup = setup.env("BELLWIRE_OPENITCOCKPIT_URL", login.url());
    setup.env("BELLWIRE_SHARED_KEY_FILE", key_file.display().to_string()).start().await.unwrap()
}

#[tokio::test]
async fn every_refusal_is_counted_and_no_secret_is_logged() {
    let login = Login::start().await.unwrap();
    login.log_in(COOKIE, 7);
    let folder = tempfile::tempdir().unwrap();
    let mut node = beside(&login, &folder.path().join("key")).await;
    assert_eq!(node.metric("bellwire_gateway_access_mode", &["mode=\"required\""]).await.unwrap(), 1.0);
    let cookie = ("cookie", COOKIE);
    let tab = profile(&node, Front::V2, "7").open().await.unwrap();
    refused(&node, "8", KEY, &[cookie], 401, "session").await;
    refused(&node, "7", "wrong-key", &[cookie], 401, "key").await;
    refused(&node, "7", KEY, &[cookie, ("origin", "https://evil.example")], 403, "origin").await;
    login.set(Mood::Away);
    refused(&node, "7", KEY, &[("cookie", "PHPSESSID=new")], 503, "session_away").await;
    assert_eq!(node.metric("bellwire_gateway_openitcockpit_away", &[]).await.unwrap(), 1.0);
    login.set(Mood::Fine);
    let revoke = async |args: &[&str]| {
        let admin = node.admin.to_string();
        let output = program("bellwire").args(["revoke", "--admin", &admin]).args(args).output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let none = "no session of browser another of user 7 was open on this node\n";
    assert_eq!(revoke(&["7", "--browser", "another"]).await, (Some(0), none.to_owned()));
    assert_eq!(revoke(&["7"]).await, (Some(0), "1 session of user 7 was ended on this node\n".to_owned()));
    let (code, said) = revoke(&["--json", "7"]).await;
    assert_eq!((code, said.as_str()), (Some(0), "{\"sessions\":0,\"user\":\"7\"}\n"));
    assert_eq!(revoke(&["not an id"]).await, (Some(64), String::new()));
    let nobody = ports::free().to_string();
    let output = program("bellwire").args(["revoke", "7", "--admin", &nobody]).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("no node answers at"), "{said}");
    tab.wait("its end", |seen| seen.ends == [None]).await.unwrap();
    let closed = ["protocol=\"v2\"", "initiator=\"server\"", "reason=\"revoked\""];
    node.wait_metric("bellwire_gateway_sessions_closed_total", &closed, 1.0, PATIENCE).await.unwrap();
    node.stop().await.unwrap();
    let output = node.process().output();
    assert!(output.contains("sessions revoked"), "{output}");
    for secret in [KEY, "wrong-key", "PHPSESSID", "a-login-that-nobody-else-has"] {
        assert!(!output.contains(secret), "{secret} is in the log:\n{output}");
    }
}

#[tokio::test]
async fn a_v1_tab_that_nobody_can_be_asked_about_counts_one_reason() {
    let login = Login::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let node = beside(&login, &folder.path().join("key")).await;
    login.set(Mood::Away);
    let tab = profile(&node, Front::V1, "7").start();
    tab.wait("its end", |seen| seen.ends == [Some(1008)]).await.unwrap();
    let closed = ["protocol=\"v1\"", "initiator=\"server\"", "reason=\"session_away\""];
    node.wait_metric("bellwire_gateway_sessions_closed_total", &closed, 1.0, PATIENCE).await.unwrap();
    assert_eq!(node.metric("bellwire_gateway_sessions_closed_total", &[]).await.unwrap(), 1.0);
    assert_eq!(node.metric(REFUSED, &[]).await.unwrap(), 0.0, "it had become a session");
}

#[tokio::test]
async fn only_a_key_that_was_shown_counts_as_enough() {
    let node = Setup::new("standalone", "memory:").start().await.unwrap();
    let unchecked = async || node.metric("bellwire_gateway_sessions_unchecked_total", &["key_only"]).await.unwrap();
    let wrong = Profile { key: OTHER_KEY.to_owned(), ..profile(&node, Front::V1, "7") };
    wrong.start().wait("its end", |seen| seen.ends == [Some(1008)]).await.unwrap();
    assert_eq!(unchecked().await, 0.0);
    for (front, count) in [(Front::V1, 1.0), (Front::V2, 2.0), (Front::Native, 3.0)] {
        let tab = profile(&node, front, "7").open().await.unwrap();
        tab.settle().await.unwrap();
        assert_eq!(unchecked().await, count, "{front:?}");
    }
}

#[tokio::test]
async fn a_changed_key_counts_without_a_restart() {
    let login = Login::start().await.unwrap();
    login.log_in(COOKIE, 7);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let node = beside(&login, &path).await;
    let cookie = [("cookie", COOKIE)];
    let old = profile(&node, Front::V1, "7").open().await.unwrap();
    assert_eq!(handshake(node.listen, "7", KEY, &cookie).await, 101, "it is the key that counts");
    fs::write(&path, OTHER_KEY).unwrap();
    let gone = || async { Ok((handshake(node.listen, "7", KEY, &cookie).await == 401).then_some(())) };
    eventually("the old key counts no longer", PATIENCE, gone).await.unwrap();
    refused(&node, "7", KEY, &cookie, 401, "key").await;
    let new = Profile { key: OTHER_KEY.to_owned(), ..profile(&node, Front::V2, "7") };
    new.open().await.unwrap();
    old.settle().await.unwrap();
    assert!(old.seen().ends.is_empty());
}

#[tokio::test]
async fn the_key_comes_from_openitcockpits_database() {
    let login = Login::start().await.unwrap();
    login.log_in(COOKIE, 7);
    let database = MariaDb::start().await.unwrap();
    let uuid = |n: u8| format!("{n}{n}{n}{n}{n}{n}{n}{n}-5b1a-40b4-b614-17837dc376af");
    database.seed(&uuid(1), &uuid(2), &uuid(3), KEY).await.unwrap();
    let setup = Setup::default().arg("standalone").env("BELLWIRE_LOG", "memory:");
    let setup = setup.env("BELLWIRE_OPENITCOCKPIT_URL", login.url());
    let node = setup.env("BELLWIRE_MYSQL_FILE", database.cnf().display().to_string()).start().await.unwrap();
    let tab = profile(&node, Front::V2, "7").open().await.unwrap();
    database.set_key(OTHER_KEY).await.unwrap();
    node.wait_metric("bellwire_gateway_shared_key_reads_total", &["changed"], 1.0, PATIENCE).await.unwrap();
    Profile { key: OTHER_KEY.to_owned(), ..profile(&node, Front::V2, "7") }.open().await.unwrap();
    database.set_key("UNSAVE_DEFAULT_CHANGE_ASAP").await.unwrap();
    node.wait_metric("bellwire_gateway_shared_key_reads_total", &["refused"], 1.0, PATIENCE).await.unwrap();
    let default = handshake(node.listen, "7", "UNSAVE_DEFAULT_CHANGE_ASAP", &[("cookie", COOKIE)]).await;
    assert_eq!(default, 401);
    assert!(tab.seen().ends.is_empty());
}
