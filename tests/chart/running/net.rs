//! What a cluster's network does: an address for each pod and each Service, and the way from a Service to its pods.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::{JoinHandle, JoinSet};

/// The test's own end of the bridge.
const GATE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Both ranges are for documentation: they are nobody's, and leave this namespace nowhere.
const PODS: [u8; 3] = [192, 0, 2];
const SERVICES: [u8; 3] = [198, 51, 100];

/// Addresses that were given out. Each is somebody's once, so that nothing of an earlier cluster is in the way.
static GIVEN_TO_PODS: AtomicU8 = AtomicU8::new(10);
static GIVEN_TO_SERVICES: AtomicU8 = AtomicU8::new(10);

/// A bridge in the network namespace of the test, which must be its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network(());

/// A pod, as Services see it.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    pub(super) ready: Arc<AtomicBool>,
}

/// A port of a Service. Ends with its connections when it is dropped.
#[derive(Debug)]
pub(super) struct ServicePort(JoinHandle<()>);

/// Runs a command that must succeed.
pub(super) async fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().await?;
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    ensure!(output.status.success(), "{program} {}: {out}{err}", args.join(" "));
    Ok(out)
}

async fn ip(args: &str) -> Result<()> {
    run("ip", &args.split(' ').collect::<Vec<_>>()).await.map(drop)
}

// === impl Network ===

impl Network {
    pub(super) async fn open() -> Result<Self> {
        ip("link add cluster type bridge").await?;
        ip(&format!("addr add {GATE}/24 dev cluster")).await?;
        ip("link set cluster up").await?;
        Ok(Self(()))
    }

    /// An address for a pod that is to come.
    pub(super) fn pod(self) -> Ipv4Addr {
        let [a, b, c] = PODS;
        Ipv4Addr::new(a, b, c, GIVEN_TO_PODS.fetch_add(1, Ordering::Relaxed))
    }

    /// An address for a Service, or for a host outside.
    pub(super) async fn service(self) -> Result<Ipv4Addr> {
        let [a, b, c] = SERVICES;
        let address = Ipv4Addr::new(a, b, c, GIVEN_TO_SERVICES.fetch_add(1, Ordering::Relaxed));
        ip(&format!("addr add {address}/32 dev lo")).await?;
        Ok(address)
    }

    /// Gives this address to the namespace of a process.
    pub(super) async fn join(pid: u32, address: Ipv4Addr) -> Result<()> {
        let port = format!("pod{}", address.octets()[3]);
        // The kernel takes its time with what an ended pod leaves behind.
        let _ = ip(&format!("link del {port}")).await;
        ip(&format!("link add {port} type veth peer name eth0 netns {pid}")).await?;
        ip(&format!("link set {port} master cluster up")).await?;
        let inside = format!(
            "ip link set lo up; ip addr add {address}/24 dev eth0; ip link set eth0 up; ip route add default via {GATE}"
        );
        run("nsenter", &["--net", "--target", &pid.to_string(), "/bin/sh", "-euc", &inside]).await.map(drop)
    }
}

// === impl ServicePort ===

impl ServicePort {
    /// Carries each connection to the next endpoint that is ready; ends it at once when none is.
    pub(super) async fn open(address: SocketAddr, endpoints: Vec<Endpoint>) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let next = AtomicUsize::new(0);
        Ok(Self(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let ready: Vec<_> = endpoints.iter().filter(|e| e.ready.load(Ordering::Acquire)).collect();
                let turn = next.fetch_add(1, Ordering::Relaxed);
                let Some(to) = ready.get(turn % ready.len().max(1)).map(|endpoint| endpoint.address) else { continue };
                connections.spawn(async move {
                    if let Ok(mut pod) = TcpStream::connect(to).await {
                        let _ = copy_bidirectional(&mut client, &mut pod).await;
                    }
                });
            }
        })))
    }
}

impl Drop for ServicePort {
    fn drop(&mut self) {
        self.0.abort();
    }
}
