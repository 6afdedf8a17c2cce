//! Beside openITCOCKPIT's database: names, users, and the state of its export.

use std::time::{SystemTime, UNIX_EPOCH};

use bellwire_testkit::bellwire::{Bellwire, Setup};
use bellwire_testkit::broker::Broker;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::http;
use bellwire_testkit::mariadb::MariaDb;
use bellwire_testkit::tab::{Front, Tab};
use serde_json::{Value, json};

use crate::support::{PATIENCE, expect_once, message, open, send_all};

const HOST: &str = "cd13d22e-acd4-4a67-997b-6e120e0d3153";
const SERVICE: &str = "c23255b7-5b1a-40b4-b614-17837dc376af";
const TEMPLATE_SERVICE: &str = "74fd8f59-1348-4e16-85f0-4a5c57c7dd62";
const UNSEEN: &str = "11111111-1111-4111-8111-111111111111";

async fn database() -> MariaDb {
    let database = MariaDb::start().await.unwrap();
    database.seed(HOST, SERVICE, TEMPLATE_SERVICE, "a-key-of-openitcockpit").await.unwrap();
    database
}

async fn beside(database: &MariaDb, check: &str) -> Bellwire {
    let setup = Setup::new("standalone", "memory:").env("BELLWIRE_MYSQL_FILE", database.cnf().display().to_string());
    setup.env("BELLWIRE_USER_CHECK", check).start().await.unwrap()
}

/// What openITCOCKPIT's commands send.
fn alert(user: u64, kind: &str, host: &str, service: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({
        "timestamp": now, "userId": user, "type": kind, "hostUuid": host, "serviceUuid": service, "state": 1,
        "notificationtype": "PROBLEM", "output": "o",
    })
}

async fn status_of(node: &Bellwire, path: &str, body: &Value) -> (u16, Value) {
    let answer = http::post(node.listen, path, body).await.unwrap();
    (answer.status, answer.json().unwrap())
}

#[tokio::test]
async fn tabs_show_names_whatever_the_database_does() {
    let mut database = database().await;
    let node = beside(&database, "exists").await;
    let tabs = [open(Front::V1, "7", "b1", node.listen).await, open(Front::V2, "7", "b2", node.listen).await];
    let alerts = [
        ("Host", HOST.to_uppercase(), "", "PROBLEM: web-01 is DOWN!"),
        ("service", HOST.to_owned(), SERVICE, "PROBLEM: web-01/Disk / is WARNING!"),
        ("service", HOST.to_owned(), TEMPLATE_SERVICE, "PROBLEM: web-01/Ping is WARNING!"),
    ];
    for (kind, host, service, _) in &alerts {
        let (status, answer) = status_of(&node, "/message", &alert(7, kind, host, service)).await;
        assert_eq!(status, 200, "{answer}");
    }
    let mut titles = alerts.map(|(_, _, _, title)| title.to_owned()).to_vec();
    // A name that was given stays, also where the database has another.
    let named = json!({"user": "7", "type": "PROBLEM", "state": 1, "host": {"id": HOST, "name": "mine"}});
    send_all(node.listen, &named).await;
    titles.push("PROBLEM: mine is DOWN!".to_owned());

    database.kill().await.unwrap();
    for (host, title) in [(UNSEEN, UNSEEN.to_owned()), (HOST, "web-01".to_owned())] {
        let (status, answer) = status_of(&node, "/message", &alert(7, "host", host, SERVICE)).await;
        assert_eq!(status, 200, "{answer}");
        titles.push(format!("PROBLEM: {title} is DOWN!"));
    }
    // Nobody can say that there is no such user.
    let (status, answer) = status_of(&node, "/message", &alert(4711, "host", HOST, "")).await;
    assert_eq!(status, 200, "{answer}");
    let lookups = |result: &'static str| node.metric("bellwire_directory_lookups_total", &["what=\"host\"", result]);
    assert!(lookups("result=\"away\"").await.unwrap() >= 1.0);
    assert!(lookups("result=\"found\"").await.unwrap() >= 1.0);
    assert!(node.metric("bellwire_directory_up", &[]).await.unwrap() < 0.5);
    for tab in &tabs {
        // The first message of a storm is one of six.
        tab.wait_shown(5).await.unwrap();
        assert_eq!(tab.titles()[..5], titles[..5]);
    }
    database.restart().await.unwrap();
    let back = || async { Ok((node.metric("bellwire_directory_up", &[]).await? > 0.5).then_some(())) };
    eventually("the database is back", PATIENCE, back).await.unwrap();
}

#[tokio::test]
async fn only_who_may_be_notified_is() {
    let database = database().await;
    let node = beside(&database, "push").await;
    let field = |answer: &Value| answer["errors"][0]["field"].as_str().map(str::to_owned);
    for (user, kind, expected) in [
        (7, "host", 200),
        (7, "service", 200),
        (8, "host", 200),
        (8, "service", 400),
        (9, "host", 400),
        (10, "host", 400),
    ] {
        let (status, answer) = status_of(&node, "/message", &alert(user, kind, HOST, SERVICE)).await;
        assert_eq!(status, expected, "{user} {kind}: {answer}");
        assert_eq!(field(&answer).as_deref(), (expected == 400).then_some("userId"), "{answer}");
    }
    let batch = json!([message("7", "a"), message("alice", "b"), message("bellwire.check", "c")]);
    let (status, answer) = status_of(&node, "/v1/notifications", &batch).await;
    assert_eq!(status, 207, "{answer}");
    let results: Vec<_> = answer["results"].as_array().unwrap().iter().map(|result| result["status"].clone()).collect();
    assert_eq!(results, ["accepted", "invalid", "accepted"]);
    let (status, answer) = status_of(&node, "/v1/notifications", &message("10", "a")).await;
    assert_eq!((status, field(&answer).as_deref()), (400, Some("user")), "{answer}");
}

/// Values of `ExportStatus` that a tab was told.
fn exports(tab: &Tab) -> Vec<Value> {
    let others = tab.seen().others;
    others.iter().filter(|frame| frame["type"] == "ExportStatus").map(|frame| frame["payload"].clone()).collect()
}

async fn wait_exports(tab: &Tab, expected: &[bool]) {
    let what = format!("ExportStatus {expected:?}");
    eventually(&what, PATIENCE, || async { Ok((exports(tab).len() >= expected.len()).then_some(())) }).await.unwrap();
    tab.settle().await.unwrap();
    assert_eq!(exports(tab), expected);
}

#[tokio::test]
async fn every_tab_knows_whether_an_export_runs_and_is_told_once() {
    let (database, broker) = tokio::join!(database(), Broker::start());
    let broker = broker.unwrap();
    let gateway = Setup::new("gateway", &broker.url()).start().await.unwrap();
    let mut senders = Vec::new();
    for _ in 0..2 {
        let setup =
            Setup::new("ingest", &broker.url()).env("BELLWIRE_MYSQL_FILE", database.cnf().display().to_string());
        senders.push(setup.start().await.unwrap());
    }
    let told = async |count: f64| {
        for sender in &senders {
            let (name, labels) = ("bellwire_ingest_export_status_total", ["result=\"told\""]);
            sender.wait_metric(name, &labels, count, PATIENCE).await.unwrap();
        }
    };
    let first = open(Front::V2, "7", "b1", gateway.listen).await;
    let start = "DELETE FROM exports;\nINSERT INTO exports (task) VALUES ('export_started')";
    database.run(start).await.unwrap();
    told(1.0).await;
    wait_exports(&first, &[true]).await;
    let second = open(Front::V2, "7", "b2", gateway.listen).await;
    wait_exports(&second, &[true]).await;
    database.run("UPDATE exports SET finished = 1, successfully = 1").await.unwrap();
    told(2.0).await;
    wait_exports(&first, &[true, false]).await;
    wait_exports(&second, &[true, false]).await;
    // A gateway that starts now reads it back from the log.
    let late = Setup::new("gateway", &broker.url()).start().await.unwrap();
    wait_exports(&open(Front::V2, "8", "b3", late.listen).await, &[false]).await;
    database.run(start).await.unwrap();
    told(3.0).await;
    wait_exports(&first, &[true, false, true]).await;
    expect_once(&[&first], &[]).await;
}
