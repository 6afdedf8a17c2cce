//! Prometheus Alertmanager, which speaks HTTP itself.

use std::net::SocketAddr;
use std::path::Path;

use bellwire_testkit::bellwire::{Bellwire, Setup};
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::process::Process;
use bellwire_testkit::tab::{Front, Tab};
use bellwire_testkit::{http, ports};
use serde_json::{Value, json};
use tokio::process::Command;

use super::block;
use crate::support::{PATIENCE, embedded, open};

const PROGRAM: &str = "/usr/bin/prometheus-alertmanager";
const TOKEN: &str = "0123456789abcdef";

/// The documented configuration, for this node; groups have their turn each second.
fn configuration(folder: &Path, node: SocketAddr) -> String {
    let token = folder.join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let mut text = block("alertmanager.md", "alertmanager.yml");
    for (documented, ours) in [
        ("127.0.0.1:8083", node.to_string()),
        ("/etc/prometheus/bellwire.token", token.display().to_string()),
        ("group_wait: 5s", "group_wait: 0s".to_owned()),
        ("group_interval: 1m", "group_interval: 1s".to_owned()),
    ] {
        assert!(text.contains(documented), "{documented}");
        text = text.replace(documented, &ours);
    }
    text
}

async fn start(folder: &Path, node: SocketAddr) -> (Process, SocketAddr) {
    let (file, address) = (folder.join("alertmanager.yml"), ports::free());
    std::fs::write(&file, configuration(folder, node)).unwrap();
    let mut command = Command::new(PROGRAM);
    command.env_clear().arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.path={}", folder.join("data").display()));
    command.arg(format!("--web.listen-address={address}")).arg("--cluster.listen-address=");
    let process = Process::spawn("alertmanager", command).unwrap();
    let ready = || async { Ok((http::get(address, "/-/ready").await?.status == 200).then_some(())) };
    eventually("Alertmanager", PATIENCE, ready).await.unwrap_or_else(|error| panic!("{error}\n{}", process.output()));
    (process, address)
}

async fn node(folder: &tempfile::TempDir) -> Bellwire {
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, format!("alertmanager:{TOKEN} users=7 paths=/v1/alertmanager\n")).unwrap();
    let setup = Setup::new("standalone", &embedded(folder));
    setup.env("BELLWIRE_INGEST_TOKENS_FILE", tokens.display().to_string()).start().await.unwrap()
}

async fn raise(alertmanager: SocketAddr, name: &str, more: Value) {
    let mut alert = json!({
        "labels": {"alertname": name, "instance": "web-1:9100", "severity": "critical", "bellwire_user": "7"},
        "annotations": {"summary": format!("{name} of web-1"), "description": "It has been too much for 5 minutes."},
        "generatorURL": "http://prometheus.example.org/graph",
    });
    alert.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = http::post(alertmanager, "/api/v2/alerts", &json!([alert])).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn shows(tab: &Tab, titles: &[&str], alertmanager: &Process) {
    let shown = tab.wait_shown(titles.len()).await;
    let shown = shown.unwrap_or_else(|error| panic!("{error:#}\n{}", alertmanager.output()));
    assert_eq!(shown.iter().map(|shown| shown.title.as_str()).collect::<Vec<_>>(), titles);
}

#[tokio::test]
async fn an_alert_is_shown_and_its_end_too() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(&folder).await;
    let (process, alertmanager) = start(folder.path(), node.listen).await;
    let tabs = [(Front::V2, "a"), (Front::Native, "b")].map(|(front, browser)| open(front, "7", browser, node.listen));
    let tabs = futures_util::future::join_all(tabs).await;
    raise(alertmanager, "Load", json!({})).await;
    for tab in &tabs {
        shows(tab, &["Load of web-1"], &process).await;
    }
    let since = http::get(alertmanager, "/api/v2/alerts").await.unwrap().json().unwrap()[0]["startsAt"].clone();
    raise(alertmanager, "Load", json!({"startsAt": since, "endsAt": since})).await;
    for tab in &tabs {
        shows(tab, &["Load of web-1", "Resolved: Load of web-1"], &process).await;
    }
    let native = tabs[1].seen().shown;
    assert_eq!(native[0].body, "It has been too much for 5 minutes.");
    assert_eq!((&native[0].frame["state"], &native[1].frame["state"]), (&json!(2), &json!(0)));
    assert_eq!(native[0].frame["service"], native[1].frame["service"]);
    assert_eq!(native[0].frame["url"], "http://prometheus.example.org/graph");
}

#[tokio::test]
async fn what_is_raised_while_ingest_is_away_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = node(&folder).await;
    let (process, alertmanager) = start(folder.path(), node.listen).await;
    node.stop().await.unwrap();
    raise(alertmanager, "Load", json!({})).await;
    let tried = || async {
        let metrics = http::get(alertmanager, "/metrics").await?.text();
        let failed = "alertmanager_notification_requests_failed_total{integration=\"webhook\"} ";
        let count = metrics.lines().find_map(|line| line.strip_prefix(failed)?.parse::<f64>().ok());
        Ok(count.is_some_and(|count| count > 0.0).then_some(()))
    };
    eventually("an attempt that failed", PATIENCE, tried).await.unwrap();
    node.restart().await.unwrap();
    let tab = open(Front::Native, "7", "browser", node.listen).await;
    shows(&tab, &["Load of web-1"], &process).await;
}
