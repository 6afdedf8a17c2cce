//! The Erlang port mapper, through which the nodes of a cluster and their tools find each other.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::group::Group;

const READY: &str = "port mapper: ready";
const START_DEADLINE: Duration = Duration::from_secs(30);

const SCRIPT: &str = r#"
epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 </dev/null &
until epmd -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1; do kill -0 $! || kill -KILL 0; done
echo "$READY"
while read -r _; do :; done
kill -KILL 0
"#;

/// A port mapper of its own: it stays while nodes come and go. Without it a node would start one that outlives it.
#[derive(Debug)]
pub(super) struct PortMapper {
    port: u16,
    _group: Group,
}

impl PortMapper {
    pub(super) async fn start(port: u16) -> Result<Self> {
        let mut shell = Command::new("bash");
        shell.env_clear().env("PATH", super::place::search_path());
        shell.env("ERL_EPMD_PORT", port.to_string()).env("READY", READY);
        let group = Group::start(shell, SCRIPT, READY, START_DEADLINE).await.context("epmd (eaddrinuse?)")?;
        Ok(Self { port, _group: group })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::super::place::free_ports;
    use super::*;

    #[tokio::test]
    async fn it_ends_when_it_is_dropped() {
        let port = free_ports(1).unwrap()[0];
        let mapper = PortMapper::start(port).await.unwrap();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        drop(mapper);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}
