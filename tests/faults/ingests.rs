//! An ingest that dies between the append and its answer.

use std::time::Duration;

use bellwire_testkit::http;
use bellwire_testkit::proxy::Proxy;
use serde_json::json;
use tokio::time::sleep;

use crate::field::{Field, settle};

const USERS: usize = 100;
const PER_SECOND: usize = 1_000;
const PHASE: Duration = Duration::from_secs(1);

/// Clients try again with the same ids, at the other one: what was appended before the kill is not shown twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ingest_killed_under_load_loses_and_repeats_nothing() {
    let mut field = Field::start(2, 1).await;
    let tabs = field.tabs(USERS).await;
    let stream = field.stream(USERS, PER_SECOND);
    for turn in 0..6 {
        sleep(PHASE).await;
        let ingest = &mut field.ingests[turn % 2];
        ingest.kill().await.unwrap();
        ingest.restart().await.unwrap();
    }
    let accepted = stream.stop().await;
    let books = settle(&accepted, &tabs.iter().map(|tab| vec![tab]).collect::<Vec<_>>()).await;
    books.print("an ingest killed six times", accepted.len());
    assert_eq!(books.repeated.len(), 0);
    let twice = field.gateways[0].metric("bellwire_gateway_notifications_duplicate_total", &[]).await.unwrap();
    println!("{twice} came twice and were dropped");
}

/// The notification is in the tab, and its sender never gets the answer: it sends it again, elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ingest_killed_between_append_and_answer_repeats_nothing() {
    let mut field = Field::start(2, 1).await;
    let tabs = field.tabs(1).await;
    let proxy = Proxy::start(field.ingests[0].listen).await.unwrap();
    proxy.hold_answers();
    let body = json!({ "id": "once", "user": "1", "kind": "message", "title": "once", "body": "x" });
    let first = tokio::spawn({
        let (address, body) = (proxy.address, body.clone());
        async move { http::post(address, "/v1/notifications", &body).await }
    });
    tabs[0].wait_shown(1).await.unwrap();
    field.ingests[0].kill().await.unwrap();
    drop(proxy);
    assert!(first.await.unwrap().is_err(), "nobody answered");
    let again = http::post(field.ingests[1].listen, "/v1/notifications", &body).await.unwrap();
    assert_eq!(again.status, 202, "{}", again.text());
    let duplicates = "bellwire_gateway_notifications_duplicate_total";
    field.gateways[0].wait_metric(duplicates, &[], 1.0, 30 * PHASE).await.unwrap();
    tabs[0].settle().await.unwrap();
    assert_eq!(tabs[0].titles(), ["once"]);
}
