//! A new version is rolled out: three gateways under many tabs are drained and started again, one after the other.

use std::time::Duration;

use bellwire_testkit::bellwire::Setup;
use bellwire_testkit::broker::Broker;
use bellwire_testkit::tab::Tab;
use tokio::time::Instant;

use crate::field::{Field, settle};

const TABS: usize = 10_000;
const PER_SECOND: usize = 300;
const GATEWAYS: usize = 3;
const DRAIN_SECONDS: usize = 8;
/// The last gateway has them all, and sends away an eighth of them in a second; others meet one that is away, and try
/// the next one 3 s later.
const IN_A_SECOND_MAX: usize = 3 * TABS / DRAIN_SECONDS;

async fn field() -> Field {
    let broker = Broker::start().await.unwrap();
    let ingests = vec![Setup::new("ingest", &broker.url()).start().await.unwrap()];
    let mut gateways = Vec::new();
    for _ in 0..GATEWAYS {
        let setup = Setup::new("gateway", &broker.url()).arg("--drain-seconds").arg(DRAIN_SECONDS.to_string());
        gateways.push(setup.start().await.unwrap());
    }
    Field { broker, ingests, gateways }
}

/// Most connections in a second after `begin`.
fn busiest_second(tabs: &[Tab], begin: Instant) -> usize {
    let mut at: Vec<Instant> = tabs.iter().flat_map(|tab| tab.seen().connected_at).filter(|at| *at > begin).collect();
    at.sort();
    let within = |first: usize| at.partition_point(|other| *other < at[first] + Duration::from_secs(1)) - first;
    (0..at.len()).map(within).max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_and_repeats_nothing_and_spreads_the_tabs() {
    let mut field = field().await;
    let tabs = field.tabs(TABS).await;
    let stream = field.stream(TABS, PER_SECOND);
    let begin = Instant::now();
    for gateway in &mut field.gateways {
        assert!(gateway.stop().await.unwrap().success(), "every session ended in time");
        gateway.restart().await.unwrap();
    }
    let took = begin.elapsed();
    let accepted = stream.stop().await;
    let books = settle(&accepted, &tabs.iter().map(|tab| vec![tab]).collect::<Vec<_>>()).await;
    books.print("a rolling restart of three gateways", accepted.len());
    let most = busiest_second(&tabs, begin);
    let moved: usize = tabs.iter().map(|tab| tab.seen().ends.len()).sum();
    println!("{TABS} tabs were moved {moved} times in {took:.0?}, {most} came back in the busiest second");
    assert_eq!(books.repeated.len(), 0);
    assert!(tabs.iter().all(|tab| tab.seen().ends.iter().all(Option::is_none)), "a close frame silences a V2 tab");
    assert!(most < IN_A_SECOND_MAX, "{most} in a second");
}
