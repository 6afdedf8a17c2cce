//! `bellwire trace`: what happened to a notification, as the command prints it and the admin server answers it.

use std::net::SocketAddr;
use std::process::Output;

use bellwire_testkit::bellwire::{Bellwire, Setup};
use bellwire_testkit::broker::Broker;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::tab::Front;
use bellwire_testkit::{http, ports};
use serde_json::{Value, json};

use crate::support::{PATIENCE, open, program, send_all, standalone};

fn notification(id: &str, user: &str, ttl: u64) -> Value {
    json!({ "id": id, "user": user, "kind": "message", "title": format!("secret title of {id}"), "ttl": ttl })
}

async fn run(admin: SocketAddr, args: &[&str]) -> Output {
    program("bellwire").args(["trace", "--admin", &admin.to_string()]).args(args).output().await.unwrap()
}

/// What the command prints once this is enough.
async fn trace(node: &Bellwire, args: &[&str], enough: impl Fn(&str) -> bool) -> String {
    let ask = || async {
        let output = run(node.admin, args).await;
        let text = String::from_utf8(output.stdout)?;
        anyhow::ensure!(enough(&text), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0));
        Ok(Some(text))
    };
    eventually(&format!("trace {args:?}"), PATIENCE, ask).await.unwrap_or_else(|error| panic!("{error:#}"))
}

fn has_all(words: &[&str]) -> impl Fn(&str) -> bool {
    move |text| words.iter().all(|word| text.contains(word))
}

#[tokio::test]
async fn a_shown_notification_is_sent_and_confirmed() {
    let node = standalone("memory:").await;
    let tab = open(Front::V2, "7", "the-browser", node.listen).await;
    send_all(node.listen, &notification("shown", "7", 600)).await;
    tab.wait_shown(1).await.unwrap();
    let words = [
        "notification shown for user 7: DELIVERED to 1 of 1 browsers",
        "accepted, lives until",
        "appended to shard 2 at ",
        "browser the-browser: confirmed",
        "sent by this node (session 1, v2)",
        "confirmed by session 1 on this node",
    ];
    let is_well = |text: &str| has_all(&words)(text) && !text.contains("NOTHING AT PRESENT");
    let text = trace(&node, &["shown"], is_well).await;
    assert!(!text.contains("secret title"), "{text}");
    let text = trace(&node, &["7"], has_all(&words)).await;
    assert!(text.contains("browser the-browser: has all up to") && text.contains("shows what comes"), "{text}");
    let output = run(node.admin, &["--json", "--user", "7", "--id", "shown"]).await;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["notifications"][0]["state"], "delivered");
    assert_eq!(answer["notifications"][0]["browsers"][0]["confirmed"]["session"], 1);
    assert_eq!(answer["user"]["browsers"][0]["tabs"][0]["owner"], true);
}

/// The trace once said that such a browser had confirmed it.
#[tokio::test]
async fn what_ended_while_a_browser_was_away_is_not_confirmed_by_it() {
    let node = standalone("memory:").await;
    let here = open(Front::V2, "7", "here", node.listen).await;
    let away = open(Front::V2, "7", "away", node.listen).await;
    trace(&node, &["7"], has_all(&["browser here:", "browser away:"])).await;
    away.close().await.unwrap();
    trace(&node, &["7"], has_all(&["no tab since"])).await;
    send_all(node.listen, &notification("short", "7", 5)).await;
    here.wait_shown(1).await.unwrap();
    trace(&node, &["short"], has_all(&["DELIVERED to 1 of 2 browsers", "ended, expired", "(some browser had it)"]))
        .await;
    let back = open(Front::V2, "7", "away", node.listen).await;
    send_all(node.listen, &notification("next", "7", 600)).await;
    back.wait_shown(1).await.unwrap();
    trace(&node, &["next"], has_all(&["DELIVERED to 2 of 2 browsers"])).await;
    let words =
        ["DELIVERED to 1 of 2 browsers", "browser here: confirmed", "browser away: ended before this browser's proof"];
    trace(&node, &["short"], has_all(&words)).await;
}

#[tokio::test]
async fn one_without_a_tab_waits_and_expires() {
    let node = standalone("memory:").await;
    send_all(node.listen, &notification("waits", "7", 600)).await;
    trace(&node, &["waits"], has_all(&["WAITING", "it goes to the first that opens"])).await;
    send_all(node.listen, &notification("late", "8", 1)).await;
    trace(&node, &["late"], has_all(&["DROPPED, expired", "nobody had confirmed it"])).await;
    let text = trace(&node, &["8"], has_all(&["notification late for user 8: DROPPED"])).await;
    assert!(!text.contains("waits"), "{text}");
}

#[tokio::test]
async fn a_repeat_is_told() {
    let node = standalone("memory:").await;
    for _ in 0..2 {
        send_all(node.listen, &notification("twice", "7", 600)).await;
    }
    trace(&node, &["--id", "twice"], has_all(&["accepted again, a repeat: dropped at"])).await;
}

#[tokio::test]
async fn each_gateway_knows_what_the_other_confirmed() {
    let broker = Broker::start().await.unwrap();
    let url = broker.url();
    let start = |role: &'static str| Setup::new(role, &url).start();
    let (ingest, here, there) = tokio::join!(start("ingest"), start("gateway"), start("gateway"));
    let (ingest, here, there) = (ingest.unwrap(), here.unwrap(), there.unwrap());
    let tab = open(Front::V2, "7", "the-browser", there.listen).await;
    send_all(ingest.listen, &notification("elsewhere", "7", 600)).await;
    tab.wait_shown(1).await.unwrap();
    let words = ["DELIVERED to 1 of 1", "browser the-browser: confirmed", "confirmed by session 1 on node "];
    let text = trace(&here, &["elsewhere"], has_all(&words)).await;
    assert!(!text.contains("sent by this node"), "{text}");
    assert!(text.contains("For the sending times of another node run this command on that one."), "{text}");
    trace(&there, &["elsewhere"], has_all(&["sent by this node (session 1, v2)", "session 1 on this node"])).await;

    let output = run(ingest.admin, &["elsewhere"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("ask a gateway"), "{said}");
}

#[tokio::test]
async fn what_is_not_known_or_not_there_says_what_to_do() {
    let node = standalone("memory:").await;
    let output = run(node.admin, &["nobody"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("did ingest answer with 202"), "{said}");
    let output = run(node.admin, &["--json", "--user", "nobody"]).await;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && answer["notifications"] == json!([]), "{answer}");
    let dead = ports::free();
    let output = run(dead, &["7"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains(&dead.to_string()) && said.contains("--admin"), "{said}");
    for wrong in [&[][..], &["7", "--user", "7"], &["--user", "a b"], &["7", "--admin", "x"]] {
        let output = program("bellwire").arg("trace").args(wrong).output().await.unwrap();
        assert_eq!(output.status.code(), Some(64), "{wrong:?}");
        assert!(!output.stderr.is_empty());
    }
    let admin = node.admin.to_string();
    let output = program("bellwire").args(["trace", "nobody"]).env("BELLWIRE_ADMIN_LISTEN", &admin).output().await;
    assert!(String::from_utf8(output.unwrap().stderr).unwrap().contains(&admin));
}

#[tokio::test]
async fn only_this_machine_is_answered() {
    let node = standalone("memory:").await;
    let get = async |path: &str, headers: &[(&str, &str)]| {
        http::request(node.admin, "GET", path, headers, b"").await.unwrap()
    };
    assert_eq!(get("/trace?user=7", &[]).await.status, 200);
    for header in [("origin", "http://localhost"), ("x-forwarded-for", "127.0.0.1"), ("host", "bellwire.example.org")] {
        let answer = get("/trace?user=7", &[header]).await;
        assert_eq!(answer.status, 403, "{header:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(answer.text().contains("bellwire trace"), "{}", answer.text());
        assert_eq!(get("/metrics", &[header]).await.status, 200, "that is for everybody");
    }
    for path in ["/trace", "/trace?user=", "/trace?users=7", "/trace?user=7&user=8"] {
        assert_eq!(get(path, &[]).await.status, 400, "{path}");
    }
    let answer = http::request(node.admin, "POST", "/trace?user=7", &[], b"").await.unwrap();
    assert_eq!(answer.status, 405);
}
