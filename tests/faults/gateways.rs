//! Gateways that die, stand still, and lose the broker but not their tabs.

use std::time::Duration;

use bellwire_testkit::bellwire::Setup;
use bellwire_testkit::broker::Broker;
use bellwire_testkit::process::Signal;
use bellwire_testkit::proxy::Proxy;
use bellwire_testkit::tab::Tab;
use tokio::time::{Instant, sleep};

use crate::field::{Books, Field, settle};

/// A proof is in the log after this.
const TOLD: Duration = Duration::from_secs(4);

/// What had been read or sent before a fault is shown within this time.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// So long each phase lasts: a fault is no event, it takes time.
const PHASE: Duration = Duration::from_secs(4);

fn users() -> usize {
    if std::env::var_os("BELLWIRE_TEST_FULL").is_some() { 2_000 } else { 500 }
}

/// The load, or in the shorter run half of it.
fn per_second() -> usize {
    if std::env::var_os("BELLWIRE_TEST_FULL").is_some() { 1_000 } else { 500 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_killed_under_load_loses_nothing() {
    let mut field = Field::start(1, 2).await;
    let tabs = field.tabs(users()).await;
    let stream = field.stream(users(), per_second());
    sleep(PHASE).await;
    let killed = Instant::now();
    field.gateways[0].kill().await.unwrap();
    sleep(2 * PHASE).await;
    let accepted = stream.stop().await;
    let books = settle(&accepted, &tabs.iter().map(|tab| vec![tab]).collect::<Vec<_>>()).await;
    books.print("a gateway killed", accepted.len());
    books.repeats_lie_between(killed - TOLD, killed);
}

/// Each browser has a tab on both gateways; the older one on the gateway that fails.
async fn two_tabs_each(field: &Field) -> (Vec<Tab>, Vec<Tab>) {
    let first = field.second_tabs(users(), 0).await;
    let second = field.second_tabs(users(), 1).await;
    (first, second)
}

async fn books(accepted: &[crate::field::Accepted], first: &[Tab], second: &[Tab]) -> Books {
    let tabs: Vec<Vec<&Tab>> = first.iter().zip(second).map(|(first, second)| vec![first, second]).collect();
    settle(accepted, &tabs).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_gateway_is_replaced_and_does_not_repeat_when_it_wakes() {
    let field = Field::start(1, 2).await;
    let (first, second) = two_tabs_each(&field).await;
    let stream = field.stream(users(), per_second());
    sleep(PHASE).await;
    let frozen = Instant::now();
    field.gateways[0].process().signal(Signal::Stop).await.unwrap();
    sleep(2 * PHASE).await;
    field.gateways[0].process().signal(Signal::Continue).await.unwrap();
    sleep(PHASE).await;
    let accepted = stream.stop().await;
    let books = books(&accepted, &first, &second).await;
    books.print("a gateway frozen for 8 s", accepted.len());
    // Who is lost is replaced: nobody waits until it wakes.
    assert!(books.slowest_ms < 7_500.0, "{books:?}");
    // Whoever wakes repeats nothing: only what it had shown before, without a proof.
    books.repeats_lie_between(frozen - TOLD, frozen + ON_ITS_WAY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_cut_off_from_the_broker_is_replaced_though_its_tabs_stay() {
    let broker = Broker::start().await.unwrap();
    let proxy = Proxy::start(([127, 0, 0, 1], broker.port()).into()).await.unwrap();
    let through = format!("amqp://guest:guest@{}", proxy.address);
    let ingests = vec![Setup::new("ingest", &broker.url()).start().await.unwrap()];
    let gateways = vec![
        Setup::new("gateway", &through).start().await.unwrap(),
        Setup::new("gateway", &broker.url()).start().await.unwrap(),
    ];
    let field = Field { broker, ingests, gateways };
    let (first, second) = two_tabs_each(&field).await;
    let stream = field.stream(users(), per_second());
    sleep(PHASE).await;
    let cut = Instant::now();
    proxy.cut();
    sleep(2 * PHASE).await;
    proxy.heal();
    sleep(PHASE).await;
    let accepted = stream.stop().await;
    let books = books(&accepted, &first, &second).await;
    books.print("a gateway cut off from the broker for 8 s", accepted.len());
    assert!(books.slowest_ms < 7_500.0, "{books:?}");
    assert!(first.iter().all(|tab| tab.seen().ends.is_empty()), "its tabs stay");
    books.repeats_lie_between(cut - TOLD, cut + ON_ITS_WAY);
}
