//! RabbitMQ restarted in good order, and killed.

use std::time::Duration;

use tokio::time::sleep;

use crate::field::{Field, settle};

const USERS: usize = 200;
const PER_SECOND: usize = 500;
const PHASE: Duration = Duration::from_secs(3);

async fn outage(kill: bool) {
    let mut field = Field::start(1, 2).await;
    let tabs = field.tabs(USERS).await;
    field.broker.settle().await.unwrap();
    let stream = field.stream(USERS, PER_SECOND);
    sleep(PHASE).await;
    if kill {
        field.broker.kill();
    }
    field.broker.restart().await.unwrap();
    sleep(PHASE).await;
    let accepted = stream.stop().await;
    let books = settle(&accepted, &tabs.iter().map(|tab| vec![tab]).collect::<Vec<_>>()).await;
    books.print(if kill { "rabbitmq killed" } else { "rabbitmq restarted" }, accepted.len());
    // Connections of tabs outlive the outage, and a connection is never sent the same twice.
    assert!(tabs.iter().all(|tab| tab.seen().ends.is_empty()), "no tab is disconnected");
    assert_eq!(books.repeated.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_under_load_loses_and_repeats_nothing() {
    outage(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_under_load_loses_and_repeats_nothing() {
    outage(true).await;
}
