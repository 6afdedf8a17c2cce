//! Streams on several nodes, one of which fails.

use std::time::Duration;

use bellwire_common::ids::Shard;
use bellwire_common::log::{Log, Safety};
use bellwire_testkit::broker::Cluster;
use bellwire_testkit::eventually::eventually;
use tokio::time::timeout;

use crate::{FIRST, Turn, append_to, log_at, note};

const NODES: usize = 3;
const REPLICATED: Duration = Duration::from_secs(60);

/// Waits until each stream is led by the first node, with a copy that runs on every node.
async fn led_by_the_first(cluster: &Cluster) {
    eventually("streams on all nodes, led by the first", REPLICATED, || async {
        let streams = cluster.streams().await?;
        Ok(streams.iter().all(|stream| stream.leader == Some(0) && stream.online.len() == NODES).then_some(()))
    })
    .await
    .unwrap();
}

/// RabbitMQ 3 sends what a lost leader did not confirm to the new one under the numbers of the channel, where it must use
/// those of the stream on that channel (rabbitmq-server #12236). A channel that two shards share makes them differ, and
/// nothing that was under way is ever confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_outlives_the_leader_of_its_stream() {
    // The other tests measure time, and a cluster takes both cores to start.
    let _turn = Turn::take().await;
    let mut cluster = Cluster::start(NODES).await.unwrap();
    // A stream is led by the node at which it is declared.
    log_at(&cluster.nodes[0].url(), 2).check().await.unwrap();
    led_by_the_first(&cluster).await;
    let log = log_at(&cluster.nodes[1].url(), 2);
    log.check().await.unwrap();
    for turn in 0..5 {
        for shard in [Shard(1), FIRST] {
            append_to(&log, shard, &format!("before-{turn}")).await.unwrap();
        }
    }
    cluster.nodes[0].freeze().await.unwrap();
    let mut append = log.append(FIRST, vec![note("during")], Safety::Safe);
    timeout(Duration::from_millis(500), &mut append).await.expect_err("nobody confirms");
    cluster.nodes[0].kill();
    append.await.unwrap();
    append_to(&log, FIRST, "after").await.unwrap();
}
