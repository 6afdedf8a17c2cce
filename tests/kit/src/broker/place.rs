//! What a node owns and keeps over restarts.

use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use tempfile::TempDir;

use super::mapper::PortMapper;

/// Ports that a node needs beside its mapper's.
pub(super) const PORTS: usize = 2;

#[derive(Debug)]
pub(super) struct Place {
    dir: TempDir,
    pub(super) amqp_port: u16,
    dist_port: u16,
    mapper: Arc<PortMapper>,
}

/// What the nodes of a cluster have in common.
#[derive(Debug, Clone)]
pub(super) struct Realm {
    pub(super) mapper: Arc<PortMapper>,
    cookie: String,
}

impl Realm {
    pub(super) async fn new(mapper_port: u16) -> Result<Self> {
        let chance = || RandomState::new().hash_one(mapper_port);
        let cookie = format!("{:016x}{:016x}", chance(), chance());
        Ok(Self { mapper: Arc::new(PortMapper::start(mapper_port).await?), cookie })
    }
}

impl Place {
    /// A place for a node that joins the node `seed` at its first start, or stays alone.
    pub(super) fn new(realm: &Realm, ports: [u16; PORTS], seed: Option<&str>) -> Result<Self> {
        let [amqp_port, dist_port] = ports;
        let dir = tempfile::Builder::new().prefix("bellwire-rabbitmq-").tempdir()?;
        let mut config = format!("listeners.tcp.1 = 127.0.0.1:{amqp_port}\ndisk_free_limit.absolute = 50MB\n");
        if let Some(seed) = seed {
            // The node itself must be in the list, or RabbitMQ warns.
            config.push_str(&format!(
                "cluster_formation.peer_discovery_backend = classic_config\n\
                 cluster_formation.classic_config.nodes.1 = {seed}\n\
                 cluster_formation.classic_config.nodes.2 = {}\n",
                node_name(amqp_port)
            ));
        }
        fs::write(dir.path().join("rabbitmq.conf"), config)?;
        fs::write(dir.path().join("enabled_plugins"), "[].\n")?;
        fs::write(dir.path().join("env.conf"), "")?;
        // Erlang takes no cookie that others could read.
        let cookie = dir.path().join(".erlang.cookie");
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(cookie)?
            .write_all(realm.cookie.as_bytes())?;
        Ok(Self { dir, amqp_port, dist_port, mapper: Arc::clone(&realm.mapper) })
    }

    pub(super) fn node_name(&self) -> String {
        node_name(self.amqp_port)
    }

    pub(super) fn command(&self, program: &Path) -> Command {
        let path = |name: &str| self.dir.path().join(name);
        let mut command = Command::new(program);
        command.env_clear();
        command.env("PATH", search_path());
        // Erlang writes nothing but warnings about latin1 without it.
        command.env("LANG", "C.UTF-8");
        command.env("HOME", self.dir.path());
        command.env("RABBITMQ_NODENAME", self.node_name());
        command.env("RABBITMQ_NODE_PORT", self.amqp_port.to_string());
        command.env("RABBITMQ_DIST_PORT", self.dist_port.to_string());
        command.env("ERL_EPMD_PORT", self.mapper.port().to_string());
        command.env("ERL_EPMD_ADDRESS", "127.0.0.1");
        command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
        command.env("RABBITMQ_CONF_ENV_FILE", path("env.conf"));
        command.env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"));
        command.env("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins"));
        command.env("RABBITMQ_MNESIA_BASE", path("mnesia"));
        command.env("RABBITMQ_LOG_BASE", path("log"));
        command.env("RABBITMQ_PID_FILE", self.pid_file());
        command
    }

    pub(super) fn pid_file(&self) -> PathBuf {
        self.dir.path().join("pid")
    }

    /// The table of names of the node's Ra servers.
    pub(super) fn names_file(&self) -> PathBuf {
        let node = self.node_name();
        self.dir.path().join("mnesia").join(&node).join("coordination").join(&node).join("names.dets")
    }
}

fn node_name(amqp_port: u16) -> String {
    format!("bellwire-{amqp_port}@localhost")
}

pub(super) fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into())
}

/// Ports that nobody uses and that lie below those which the kernel gives to outgoing connections, so that a port is
/// still free when the node comes back to it.
pub(super) fn free_ports(count: usize) -> Result<Vec<u16>> {
    const FIRST: u16 = 15_000;
    const PORTS: u64 = 16_000;
    const STEP: u64 = 7919;
    const TRIES: u64 = 200;
    let seed = RandomState::new().hash_one(std::process::id());
    // They differ, because the step and the number of ports have no factor in common. None is held until the node takes
    // it: a process that is being started at the same moment would inherit the socket.
    let mut found = Vec::new();
    for i in 0..TRIES {
        let port = FIRST + u16::try_from((seed.wrapping_add(i * STEP)) % PORTS)?;
        found.extend(TcpListener::bind(("127.0.0.1", port)).map(|_| port));
        if found.len() == count {
            return Ok(found);
        }
    }
    bail!("no {count} free ports from {FIRST} on")
}

/// The folder with the server's own scripts.
pub(super) fn scripts() -> Result<PathBuf> {
    let dir = PathBuf::from("/usr/lib/rabbitmq/bin");
    ensure!(
        dir.join("rabbitmq-server").exists(),
        "RabbitMQ is not installed: no {}/rabbitmq-server; install the Debian package `rabbitmq-server`",
        dir.display()
    );
    Ok(dir)
}
