//! Three RabbitMQ nodes, streams on all of them, and the node that leads them is killed.

use std::time::Duration;

use bellwire_testkit::broker::{Cluster, Stream};
use bellwire_testkit::eventually::eventually;
use tokio::time::{Instant, sleep};

use crate::field::{Field, settle};

const NODES: usize = 3;
const USERS: usize = 200;
const PER_SECOND: usize = 400;
const PHASE: Duration = Duration::from_secs(4);

/// For a node that is back to take part in all streams again.
const REJOIN_DEADLINE: Duration = Duration::from_secs(60);

/// The streams, once each has a copy that runs on every node.
async fn replicated(cluster: &Cluster) -> Vec<Stream> {
    eventually("streams on all nodes", REJOIN_DEADLINE, || async {
        let streams = cluster.streams().await?;
        let whole = |stream: &Stream| stream.leader.is_some() && stream.online.len() == NODES;
        Ok((!streams.is_empty() && streams.iter().all(whole)).then_some(streams))
    })
    .await
    .unwrap()
}

fn led_by(streams: &[Stream], node: usize) -> usize {
    streams.iter().filter(|stream| stream.leader == Some(node)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_loses_its_leader_node_under_load_loses_and_repeats_nothing() {
    let cluster = Cluster::start(NODES).await.unwrap();
    let log = cluster.url();
    let mut field = Field::around(cluster, &log, 1, 2).await;
    let streams = replicated(&field.broker).await;
    let leader = (0..NODES).max_by_key(|node| led_by(&streams, *node)).unwrap();
    let tabs = field.tabs(USERS).await;
    field.broker.settle().await.unwrap();
    let stream = field.stream(USERS, PER_SECOND);
    sleep(PHASE).await;
    field.broker.nodes[leader].kill();
    sleep(PHASE).await;
    let restarted = Instant::now();
    field.broker.nodes[leader].restart().await.unwrap();
    let back = restarted.elapsed();
    sleep(PHASE).await;
    let accepted = stream.stop().await;
    let books = settle(&accepted, &tabs.iter().map(|tab| vec![tab]).collect::<Vec<_>>()).await;
    books.print("the leader node of a cluster killed", accepted.len());
    println!("it led {} of {} streams; started again in {back:.1?}", led_by(&streams, leader), streams.len());
    let mut reconnects = 0.0;
    for process in field.ingests.iter().chain(&field.gateways) {
        reconnects += process.metric("bellwire_log_reconnects_total", &[]).await.unwrap();
    }
    println!("{reconnects} connections moved to another node");
    assert!(reconnects > 0.0, "the node that was killed served nobody");
    assert!(tabs.iter().all(|tab| tab.seen().ends.is_empty()), "no tab is disconnected");
    // No gateway is lost and connections stay: nothing excuses a repeat.
    assert_eq!(books.repeated.len(), 0);
    replicated(&field.broker).await;
}
