//! The private broker comes, goes and leaves nothing behind.

use std::net::TcpStream;

use bellwire_testkit::broker::{Broker, Cluster};
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::tab::PATIENCE;

#[tokio::test]
async fn it_starts_stops_dies_and_comes_back() {
    let mut broker = Broker::start().await.unwrap();
    assert!(open(&broker));
    broker.kill();
    assert!(!open(&broker));
    broker.restart().await.unwrap();
    assert!(open(&broker));
    assert!(broker.rabbitmqctl(&["list_users", "--quiet"]).await.unwrap().contains("guest"));
    broker.stop().await.unwrap();
    assert!(!open(&broker));
}

fn open(broker: &Broker) -> bool {
    TcpStream::connect(("127.0.0.1", broker.port())).is_ok()
}

#[tokio::test]
async fn nothing_outlives_it() {
    let broker = Broker::start().await.unwrap();
    let name = format!("bellwire-{}@localhost", broker.port());
    assert!(running(&name));
    drop(broker);
    ends(&name).await;
}

#[tokio::test]
async fn a_cluster_loses_a_node_and_takes_it_back() {
    let mut cluster = Cluster::start(3).await.unwrap();
    for node in &cluster.nodes {
        assert_eq!(members(node).await, 3);
    }
    // The one that formed the cluster: the others need neither it nor its port mapper.
    cluster.nodes[0].kill();
    assert!(!open(&cluster.nodes[0]));
    assert_eq!(members(&cluster.nodes[1]).await, 2);
    cluster.nodes[0].restart().await.unwrap();
    assert_eq!(members(&cluster.nodes[0]).await, 3);
    let names = cluster.nodes.iter().map(|node| format!("bellwire-{}@localhost", node.port())).collect::<Vec<_>>();
    drop(cluster);
    for name in names {
        ends(&name).await;
    }
}

/// The nodes that one of them sees.
async fn members(node: &Broker) -> usize {
    node.rabbitmqctl(&["eval", "length(rabbit_nodes:all_running())."]).await.unwrap().trim().parse().unwrap()
}

/// The emulator's own helpers (host lookup, disk monitor) lead sessions of their own and end when their pipes do.
async fn ends(name: &str) {
    eventually("the end of all its processes", PATIENCE, || async { Ok((!running(name)).then_some(())) })
        .await
        .unwrap();
}

/// Whether a process has this node name in its environment.
fn running(name: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        std::fs::read(entry.path().join("environ"))
            .is_ok_and(|environ| String::from_utf8_lossy(&environ).contains(name))
    })
}
