//! A private RabbitMQ node for a test, or a cluster of them ([`Cluster`]), from the installed Debian package.
//!
//! Everything is its own: node name, ports, Erlang port mapper, cookie, data and log folder, plugins file. The nodes of a
//! cluster share the mapper and the cookie. All listen on 127.0.0.1 only; but where streams are replicated, each copy waits
//! on all addresses for its leader's one connection, which RabbitMQ cannot be told otherwise.
//!
//! It runs as the calling user (the package's own wrapper would switch to `rabbitmq`, whose rights do not reach
//! a temporary folder).
//!
//! A small supervising shell leads the node's process group and kills the whole group as soon as its standard
//! input closes. So nothing outlives the test, whether the [`Broker`] is dropped, is kept in a static, the
//! test panics, or the test process is killed.

mod cluster;
mod group;
mod mapper;
mod place;
mod server;

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::eventually::eventually;

pub use cluster::{Cluster, Stream};
use group::Group;
use place::{PORTS, Place, Realm, free_ports, scripts};

/// A running, stopped or killed private node. Dropping it kills the node and removes its data.
#[derive(Debug)]
pub struct Broker {
    /// Before the place: it must end before its data and its mapper go.
    node: Option<Group>,
    place: Place,
}

const SETTLE_DEADLINE: Duration = Duration::from_secs(30);
const COORDINATOR: &[u8] = b"rabbit_stream_coordinator";
const STOP_DEADLINE: Duration = Duration::from_secs(60);
/// Another process may take a port between its choice and its use.
const START_ATTEMPTS: u32 = 3;

impl Broker {
    /// Starts a node with empty data and waits until it serves AMQP.
    ///
    /// # Errors
    /// Names the Debian package that is missing, or shows the last lines that the node wrote.
    pub async fn start() -> Result<Self> {
        on_free_ports(async || {
            let ports = free_ports(1 + PORTS)?;
            let realm = Realm::new(ports[0]).await?;
            Self::start_at(Place::new(&realm, [ports[1], ports[2]], None)?).await
        })
        .await
    }

    async fn start_at(place: Place) -> Result<Self> {
        Ok(Self { node: Some(server::start(&place).await?), place })
    }

    /// Whether it was started and not stopped or killed since.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.node.is_some()
    }

    /// Address for clients, with the node's user `guest`. Stays the same over restarts.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_as("guest", "guest")
    }

    /// Address for clients with another user (see [`Broker::rabbitmqctl`]).
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str) -> String {
        format!("amqp://{user}:{password}@127.0.0.1:{}", self.place.amqp_port)
    }

    /// The AMQP port on 127.0.0.1. Stays the same over restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.place.amqp_port
    }

    /// Stops the node in good order (SIGTERM). Nothing to do when it does not run.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut node) = self.node.take() else { return Ok(()) };
        // A quick server is gone before the supervisor can say that it has sent the signal.
        let _ = node.signal("TERM").await;
        node.ended(STOP_DEADLINE).await.context("rabbitmq does not stop")
    }

    /// Makes sure that the node would find its streams again after [`Broker::kill`]; there must be a stream by now.
    ///
    /// RabbitMQ writes its table of queues up to two seconds late, and the name of the process that looks after all streams
    /// up to half a second after the first declaration ever (Ra's `names.dets`, `auto_save`). Killed before, it never
    /// finds the stream again, and nothing of ours can change that.
    pub async fn settle(&self) -> Result<()> {
        self.rabbitmqctl(&["eval", "mnesia:sync_log()."]).await?;
        let names = self.place.names_file();
        eventually("the name of the stream coordinator on disk", SETTLE_DEADLINE, || async {
            let saved = fs::read(&names).with_context(|| names.display().to_string())?;
            Ok(saved.windows(COORDINATOR.len()).any(|window| window == COORDINATOR).then_some(()))
        })
        .await
    }

    /// Kills the node (SIGKILL) and waits until it is gone; Erlang's helpers follow by themselves a moment later.
    /// Nothing to do when it does not run.
    pub fn kill(&mut self) {
        self.node = None;
    }

    /// Starts the node again with its data; stops it before if it runs.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.node = Some(server::start(&self.place).await?);
        Ok(())
    }

    /// Freezes the node (SIGSTOP): connections stay open and nothing answers.
    pub async fn freeze(&mut self) -> Result<()> {
        let node = self.node.as_mut().context("rabbitmq does not run")?;
        node.signal("STOP").await?;
        node.stopped("beam.smp").await
    }

    /// Ends [`Broker::freeze`].
    pub async fn thaw(&mut self) -> Result<()> {
        self.node.as_mut().context("rabbitmq does not run")?.signal("CONT").await
    }

    /// Runs `rabbitmqctl` on the node and returns what it printed. Takes seconds of CPU: it starts an Erlang machine.
    pub async fn rabbitmqctl(&self, args: &[&str]) -> Result<String> {
        let mut command = self.place.command(&scripts()?.join("rabbitmqctl"));
        command.args(args).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "rabbitmqctl {args:?}: {said}{complaint}");
        Ok(said)
    }
}

/// Starts something on ports that were free a moment ago.
async fn on_free_ports<T>(start: impl AsyncFn() -> Result<T>) -> Result<T> {
    let mut attempt = 1;
    loop {
        match start().await {
            Err(error) if attempt < START_ATTEMPTS && format!("{error:#}").contains("eaddrinuse") => attempt += 1,
            outcome => return outcome,
        }
    }
}
