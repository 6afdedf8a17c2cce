//! An ingest that dies between the append and its answer.

use std::time::Duration;

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
