//! A private cluster of RabbitMQ nodes.

use std::fmt::Debug;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use serde_json::Value;

use super::Broker;
use super::place::{PORTS, Place, Realm, free_ports};

/// Nodes that form one broker. Each can be stopped, killed and started again like one that is alone.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes; the first one formed the cluster.
    pub nodes: Vec<Broker>,
}

/// A stream, and the nodes (by their place in [`Cluster::nodes`]) that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// The queue's name.
    pub name: String,
    /// Who takes what is appended.
    pub leader: Option<usize>,
    /// Who has a copy that runs, the leader included.
    pub online: Vec<usize>,
}

impl Cluster {
    /// Starts so many nodes with empty data, and waits until all of them are one cluster and serve AMQP.
    ///
    /// # Errors
    /// As for [`Broker::start`].
    pub async fn start(nodes: usize) -> Result<Self> {
        super::on_free_ports(async || Self::form(nodes).await).await
    }

    async fn form(nodes: usize) -> Result<Self> {
        let ports = free_ports(1 + nodes * PORTS)?;
        let realm = Realm::new(ports[0]).await?;
        let (ports, _) = ports[1..].as_chunks::<PORTS>();
        let (first, others) = ports.split_first().context("a cluster has a node")?;
        // Whoever starts while nobody else runs is a cluster of its own, so the others wait until there is one to join.
        let first = Broker::start_at(Place::new(&realm, *first, None)?).await?;
        let seed = first.place.node_name();
        let join = async |ports| Broker::start_at(Place::new(&realm, ports, Some(&seed))?).await;
        let others = try_join_all(others.iter().map(|ports| join(*ports))).await?;
        Ok(Self { nodes: std::iter::once(first).chain(others).collect() })
    }

    /// The address of each node, as a comma list.
    #[must_use]
    pub fn url(&self) -> String {
        self.nodes.iter().map(Broker::url).collect::<Vec<_>>().join(",")
    }

    /// [`Broker::settle`] for each node.
    pub async fn settle(&self) -> Result<()> {
        try_join_all(self.nodes.iter().map(Broker::settle)).await?;
        Ok(())
    }

    /// All streams, as a node that runs sees them. Takes seconds, like [`Broker::rabbitmqctl`].
    pub async fn streams(&self) -> Result<Vec<Stream>> {
        let node = self.nodes.iter().find(|node| node.is_running()).context("no node runs")?;
        let said =
            node.rabbitmqctl(&["list_queues", "--quiet", "--formatter", "json", "name", "leader", "online"]).await?;
        let rows: Vec<Value> = serde_json::from_str(&said).with_context(|| said.clone())?;
        Ok(rows.iter().map(|row| self.stream(row)).collect())
    }

    fn stream(&self, row: &Value) -> Stream {
        let place = |name: &Value| self.nodes.iter().position(|node| *name == node.place.node_name().as_str());
        let online = row["online"].as_array().into_iter().flatten().filter_map(place).collect();
        Stream { name: row["name"].as_str().unwrap_or_default().to_owned(), leader: place(&row["leader"]), online }
    }
}
