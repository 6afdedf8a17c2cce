//! The server that is measured: started as a child in one of its shapes, or given.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bellwire_testkit::broker::Broker;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::process::{Usage, usage};

/// Which server.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Standalone, its log in memory only.
    Memory { program: PathBuf },
    /// Standalone with the embedded log on disk.
    Durable { program: PathBuf, data: PathBuf },
    /// One ingest and two gateways around a private broker.
    RabbitMq { program: PathBuf },
    /// The bare partner.
    Floor { program: PathBuf },
    /// One that runs already.
    Given { gateways: Vec<SocketAddr>, ingest: SocketAddr, pids: Vec<u32>, key: String },
}

/// A server that answers. Dropping it kills what was started for it.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where tabs connect; more than one is used in turn.
    pub(crate) gateways: Vec<SocketAddr>,
    /// Where notifications are published.
    pub(crate) ingest: SocketAddr,
    /// What tabs show as the shared key.
    pub(crate) key: String,
    pids: Vec<u32>,
    children: Vec<Child>,
    // Removed and stopped after the children that use them: fields are dropped in this order.
    _data: Option<TempDir>,
    _broker: Option<Broker>,
}

const START_DEADLINE: Duration = Duration::from_secs(30);
const START_POLL: Duration = Duration::from_millis(20);
/// A server is idle when its processor time stands still for so long.
const IDLE_POLL: Duration = Duration::from_millis(250);
const IDLE_DEADLINE: Duration = Duration::from_secs(15);
/// Gateways of the RabbitMQ shape.
const GATEWAYS: usize = 2;

impl Shape {
    /// Its name in the report.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Memory { .. } => "memory",
            Self::Durable { .. } => "durable",
            Self::RabbitMq { .. } => "rabbitmq",
            Self::Floor { .. } => "floor",
            Self::Given { .. } => "given",
        }
    }

    /// Starts the server and waits until it is ready.
    pub(crate) async fn start(&self) -> anyhow::Result<Server> {
        match self {
            Self::Memory { program } => standalone(program, "memory:", None).await,
            Self::Durable { program, data } => {
                fs::create_dir_all(data).with_context(|| format!("--data {}", data.display()))?;
                let data = tempfile::tempdir_in(data)?;
                standalone(program, &format!("embedded:{}", data.path().display()), Some(data)).await
            }
            Self::RabbitMq { program } => cluster(program).await,
            Self::Floor { program } => floor(program).await,
            Self::Given { gateways, ingest, pids, key } => Ok(Server {
                gateways: gateways.clone(),
                ingest: *ingest,
                key: key.clone(),
                pids: pids.clone(),
                children: Vec::new(),
                _data: None,
                _broker: None,
            }),
        }
    }
}

impl Server {
    fn empty() -> Self {
        Self {
            gateways: Vec::new(),
            ingest: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            key: format!("{:016x}{:016x}", random(), random()),
            pids: Vec::new(),
            children: Vec::new(),
            _data: None,
            _broker: None,
        }
    }

    /// What the server's processes have used so far; zero for a given server without `--pid`.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        usage(&self.pids)
    }

    /// Waits until the server has finished what it was doing, by its processor time; at most 15 s.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        let mut ticks = interval(IDLE_POLL);
        let waiting = async {
            let mut last = None;
            loop {
                ticks.tick().await;
                let now = self.usage()?.cpu;
                if last == Some(now) {
                    return anyhow::Ok(());
                }
                last = Some(now);
            }
        };
        // A server that never rests is measured as it is.
        timeout(IDLE_DEADLINE, waiting).await.unwrap_or(Ok(()))
    }

    fn run(&mut self, program: &Path, args: &[String]) -> anyhow::Result<()> {
        let child = Command::new(program)
            .args(args)
            // Not as an argument: arguments are for everybody to read.
            .env("BELLWIRE_SHARED_KEY", &self.key)
            .env("BELLWIRE_SESSION_CHECK", "key-only")
            .env("BELLWIRE_LOG_LEVEL", "warn")
            .stdin(Stdio::null())
            // stdout is the report's.
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        self.pids.push(child.id().context("the server ended at once")?);
        self.children.push(child);
        Ok(())
    }

    async fn ready(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let mut ticks = interval(START_POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let waiting = async {
            loop {
                ticks.tick().await;
                for child in &mut self.children {
                    if let Some(status) = child.try_wait()? {
                        bail!("the server ended: {status}");
                    }
                }
                if answers(address).await.unwrap_or(false) {
                    return Ok(());
                }
            }
        };
        timeout(START_DEADLINE, waiting).await.with_context(|| format!("{address} is not ready in time"))?
    }
}

async fn standalone(program: &Path, log: &str, data: Option<TempDir>) -> anyhow::Result<Server> {
    let [listen, admin] = free_addresses()?;
    let mut server = Server { gateways: vec![listen], ingest: listen, _data: data, ..Server::empty() };
    server.run(program, &[arguments("standalone", log, listen, admin), unbounded()].concat())?;
    server.ready(admin).await?;
    Ok(server)
}

async fn cluster(program: &Path) -> anyhow::Result<Server> {
    let broker = Broker::start().await?;
    let log = broker.url();
    let mut server = Server { _broker: Some(broker), ..Server::empty() };
    let [ingest, ingest_admin] = free_addresses()?;
    server.ingest = ingest;
    server.run(program, &arguments("ingest", &log, ingest, ingest_admin))?;
    let mut admins = vec![ingest_admin];
    for _ in 0..GATEWAYS {
        let [listen, admin] = free_addresses()?;
        server.run(program, &[arguments("gateway", &log, listen, admin), unbounded()].concat())?;
        server.gateways.push(listen);
        admins.push(admin);
    }
    for admin in admins {
        server.ready(admin).await?;
    }
    Ok(server)
}

async fn floor(program: &Path) -> anyhow::Result<Server> {
    let [listen] = free_addresses()?;
    let mut server = Server { gateways: vec![listen], ingest: listen, ..Server::empty() };
    server.run(program, &[listen.to_string()])?;
    server.ready(listen).await?;
    Ok(server)
}

fn arguments(command: &str, log: &str, listen: SocketAddr, admin: SocketAddr) -> Vec<String> {
    let (listen, admin) = (listen.to_string(), admin.to_string());
    [command, "--log", log, "--listen", &listen, "--admin-listen", &admin].map(str::to_owned).to_vec()
}

/// What is measured is how fast tabs can come in, and how many, not how fast and how many may.
fn unbounded() -> Vec<String> {
    ["--max-handshakes-per-second", "1000000", "--max-sessions-per-user", "1000000"].map(str::to_owned).to_vec()
}

/// Whether `/readyz` says yes. The floor answers anything with a success as soon as it listens.
async fn answers(address: SocketAddr) -> anyhow::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; 12];
    timeout(START_DEADLINE, stream.read_exact(&mut status)).await??;
    Ok(status.starts_with(b"HTTP/1.1 20"))
}

/// Addresses that were free a moment ago. Held together until all are known, so that they differ.
fn free_addresses<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let mut held = Vec::with_capacity(N);
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        let listener = TcpListener::bind(*address)?;
        *address = listener.local_addr()?;
        held.push(listener);
    }
    ensure!(held.len() == N, "no free ports");
    Ok(addresses)
}

/// Different at every call and in every process.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
