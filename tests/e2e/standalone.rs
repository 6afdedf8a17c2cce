//! One process with everything in it.

use bellwire_testkit::bellwire::Setup;
use bellwire_testkit::http;
use bellwire_testkit::tab::{Front, Profile};
use serde_json::{Value, json};

use crate::support::{FRONTS, embedded, expect_once, message, open, send, send_all, standalone};

#[tokio::test]
async fn each_browser_gets_each_notification_once_in_memory() {
    each_browser_gets_each_notification_once("memory:").await;
}

#[tokio::test]
async fn each_browser_gets_each_notification_once_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    each_browser_gets_each_notification_once(&embedded(&dir)).await;
}

/// Two users; for the first one three browsers with two tabs each, one browser per front end.
async fn each_browser_gets_each_notification_once(log: &str) {
    let node = standalone(log).await;
    let mut tabs = Vec::new();
    for front in FRONTS {
        let browser = format!("{front:?}-browser");
        tabs.push([open(front, "1", &browser, node.listen).await, open(front, "1", &browser, node.listen).await]);
    }
    let other = open(Front::V2, "2", "V2-browser", node.listen).await;
    let titles: Vec<String> = (0..60).map(|i| format!("number {i}")).collect();
    for (i, title) in titles.iter().enumerate().take(20) {
        send(node.listen, "1", title).await;
        send(node.listen, "2", &format!("other {i}")).await;
    }
    let batch: Vec<Value> = titles[20..].iter().map(|title| message("1", title)).collect();
    send_all(node.listen, &Value::Array(batch)).await;
    for pair in &tabs {
        expect_once(&[&pair[0], &pair[1]], &titles).await;
        assert_eq!(pair[1].titles(), Vec::<String>::new(), "the older tab of a browser shows");
    }
    expect_once(&[&other], &(0..20).map(|i| format!("other {i}")).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn the_next_tab_of_a_browser_takes_over() {
    let node = standalone("memory:").await;
    for (i, front) in FRONTS.into_iter().enumerate() {
        let user = (i + 1).to_string();
        let first = open(front, &user, "browser", node.listen).await;
        let second = open(front, &user, "browser", node.listen).await;
        send(node.listen, &user, "to the first").await;
        first.wait_shown(1).await.unwrap();
        let proofs = if front == Front::Native { 1 } else { 2 };
        first.wait("its proof", |seen| seen.proofs >= proofs).await.unwrap();
        first.settle().await.unwrap();
        first.close().await.unwrap();
        send(node.listen, &user, "to the second").await;
        expect_once(&[&second], &["to the second".to_owned()]).await;
    }
}

#[tokio::test]
async fn what_came_while_nobody_was_there_goes_to_the_first_browser_that_opens() {
    let node = standalone("memory:").await;
    for (i, front) in FRONTS.into_iter().enumerate() {
        let user = (i + 1).to_string();
        send(node.listen, &user, "before").await;
        let tab = open(front, &user, "browser", node.listen).await;
        send(node.listen, &user, "after").await;
        expect_once(&[&tab], &["before".to_owned(), "after".to_owned()]).await;
    }
}

#[tokio::test]
async fn the_same_id_is_shown_once() {
    let node = standalone("memory:").await;
    let tab = open(Front::Native, "1", "browser", node.listen).await;
    let twice = json!({ "id": "the-same", "user": "1", "kind": "message", "title": "once" });
    for _ in 0..3 {
        send_all(node.listen, &twice).await;
    }
    send(node.listen, "1", "last").await;
    expect_once(&[&tab], &["once".to_owned(), "last".to_owned()]).await;
    let duplicates = "bellwire_gateway_notifications_duplicate_total";
    node.wait_metric(duplicates, &[], 2.0, crate::support::PATIENCE).await.unwrap();
}

#[tokio::test]
async fn frames_are_those_of_openitcockpit() {
    let node = standalone("memory:").await;
    let v1 = open(Front::V1, "7", "one", node.listen).await;
    let v2 = open(Front::V2, "7", "two", node.listen).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // The body that openITCOCKPIT's own command posts.
    let body = json!({
        "timestamp": now, "userId": 7, "type": "service", "hostUuid": "h-uuid", "serviceUuid": "s-uuid", "icon": "",
        "state": 2, "notificationtype": "PROBLEM", "output": "disk full", "ackauthor": "", "ackcomment": "",
    });
    let answer = http::post(node.listen, "/message", &body).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let icon = "/img/push_notifications/wh/ServicePushIconCRITICAL.png";
    let shown = v1.wait_shown(1).await.unwrap().remove(0).frame;
    assert_eq!(shown["message"], "disk full");
    let data = &shown["data"];
    assert_eq!((&data["timestamp"], &data["userId"]), (&json!(now), &json!(7)));
    assert_eq!((&data["hostUuid"], &data["serviceUuid"]), (&json!("h-uuid"), &json!("s-uuid")));
    assert_eq!((&data["type"], &data["icon"]), (&json!("service"), &json!(icon)));
    let shown = v2.wait_shown(1).await.unwrap().remove(0).frame;
    assert_eq!(shown["message"], "disk full");
    assert_eq!(shown["payload"]["icon"], icon);
    assert_eq!(shown["payload"]["hostUuid"], "h-uuid");
    assert_eq!(shown["payload"]["title"], data["title"]);
}

#[tokio::test]
async fn tests_from_tabs_are_shown() {
    let node = standalone("memory:").await;
    let v1 = open(Front::V1, "1", "one", node.listen).await;
    let uuid = v1.seen().others[0]["data"]["uuid"].as_str().unwrap().to_owned();
    let data = json!({ "title": "Test", "message": "a test", "icon": "/img/x.png" });
    let key = bellwire_testkit::bellwire::KEY;
    v1.send(&json!({ "task": "testMessage", "key": key, "uuid": uuid, "data": data }).to_string()).unwrap();
    assert_eq!(v1.wait_shown(1).await.unwrap()[0].title, "Test");
    let v2 = open(Front::V2, "2", "two", node.listen).await;
    let payload = json!({ "title": "Test", "icon": "/img/x.png" });
    v2.send(&json!({ "type": "TestPushNotification", "message": "m", "payload": payload }).to_string()).unwrap();
    assert_eq!(v2.wait_shown(1).await.unwrap()[0].title, "Test");
    let native = open(Front::Native, "3", "three", node.listen).await;
    native.send(&json!({ "op": "test", "title": "Test" }).to_string()).unwrap();
    assert_eq!(native.wait_shown(1).await.unwrap()[0].title, "Test");
}

#[tokio::test]
async fn a_wrong_key_gets_nothing() {
    let node = standalone("memory:").await;
    for front in FRONTS {
        let mut profile = Profile::new(front, "1", "thief", node.listen);
        profile.key = "another-key-that-is-as-long-as-the-right-one".to_owned();
        let tab = profile.start();
        tab.wait("an end", |seen| !seen.ends.is_empty()).await.unwrap();
    }
    let tab = open(Front::V2, "1", "owner", node.listen).await;
    send(node.listen, "1", "for the owner").await;
    expect_once(&[&tab], &["for the owner".to_owned()]).await;
}

#[tokio::test]
async fn a_second_process_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = standalone(&embedded(&dir)).await;
    let error = Setup::new("standalone", &embedded(&dir)).start().await.unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains("ended while starting"), "{said}");
    assert!(said.contains(dir.path().to_str().unwrap()), "the error names the directory: {said}");
    send(first.listen, "1", "still alive").await;
}
