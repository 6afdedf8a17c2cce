//! What the metrics of a cluster say of a gateway that is killed, and of RabbitMQ that is away.

use bellwire_testkit::bellwire::Setup;
use bellwire_testkit::broker::Broker;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::tab::Front;

use super::page::{is_well, missing, needs_a_setting, page_of};
use super::ways::becomes;
use crate::support::{PATIENCE, open};

const UP: &str = "bellwire_log_up";
const SENDING: &str = "bellwire_gateway_shards_sending";

#[tokio::test]
async fn a_killed_gateway_and_a_broker_that_is_away_are_seen() {
    let mut broker = Broker::start().await.unwrap();
    let url = broker.url();
    let start = |role: &'static str| Setup::new(role, &url).start();
    let (ingest, dies, stays) = tokio::join!(start("ingest"), start("gateway"), start("gateway"));
    let (ingest, mut dies, stays) = (ingest.unwrap(), dies.unwrap(), stays.unwrap());
    for node in [&ingest, &dies, &stays] {
        is_well(&page_of(node).await).await;
    }
    let gateways = |name: &str| !name.starts_with("bellwire_ingest_") && !needs_a_setting(name);
    assert_eq!(missing(&page_of(&stays).await, gateways), Vec::<String>::new());

    let first = open(Front::V2, "1", "browser", dies.listen).await;
    becomes(&dies, "bellwire_gateway_announcements_total", &["browser=\"new\""], 1.0).await;
    let second = open(Front::V2, "1", "browser", stays.listen).await;
    becomes(&stays, "bellwire_gateway_announcements_total", &["browser=\"open\""], 1.0).await;
    becomes(&stays, "bellwire_gateway_nodes", &[], 2.0).await;
    dies.kill().await.unwrap();
    // At least: a machine that is too busy takes a gateway for lost that lives.
    stays.wait_metric("bellwire_gateway_takeovers_total", &["reason=\"node_lost\""], 1.0, PATIENCE).await.unwrap();
    becomes(&stays, "bellwire_gateway_nodes", &[], 1.0).await;
    drop(first);

    let shards = stays.metric("bellwire_gateway_shards", &[]).await.unwrap();
    becomes(&stays, SENDING, &[], shards).await;
    let read_back = || stays.metric("bellwire_gateway_report_read_timestamp_seconds", &[]);
    broker.settle().await.unwrap();
    broker.kill();
    for node in [&ingest, &stays] {
        becomes(node, UP, &[], 0.0).await;
    }
    let last = read_back().await.unwrap();
    assert!(last > 0.0);
    broker.restart().await.unwrap();
    for node in [&ingest, &stays] {
        becomes(node, UP, &[], 2.0).await;
    }
    // Whichever is noticed first: that the connection is gone, or that nothing of its own is read.
    let barriers = || async {
        let of = async |reason: &str| stays.metric("bellwire_gateway_barriers_total", &[reason]).await;
        let both = of("reason=\"reattached\"").await? + of("reason=\"unseen\"").await?;
        Ok((both >= shards).then_some(()))
    };
    eventually("a barrier of each shard", PATIENCE, barriers).await.unwrap();
    becomes(&stays, SENDING, &[], shards).await;
    assert!(read_back().await.unwrap() > last, "it sends because it has read of itself");
    assert_eq!(stays.metric("bellwire_gateway_sessions", &[]).await.unwrap(), 1.0, "the tab stays");
    drop(second);
}
