//! A node of Bellwire: its own ports, its own environment, ready before it is handed out.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::ClientConfig;
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::{Process, Signal};
use crate::{eventually, http, ports, process};

/// The shared key of every node that the kit starts.
pub const KEY: &str = "a-key-for-tests-of-160-hexadecimal-characters-at-most";

/// A start reads the log back first; the machine may be building something else.
const START_DEADLINE: Duration = Duration::from_secs(60);
const END_DEADLINE: Duration = Duration::from_secs(60);

/// How a node is to be started.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    args: Vec<String>,
    env: Vec<(String, String)>,
    socket: Option<Arc<TcpListener>>,
    admin_tls: Option<Arc<ClientConfig>>,
}

/// A running (or killed) node. Dropping it kills it.
#[derive(Debug)]
pub struct Bellwire {
    setup: Setup,
    home: TempDir,
    process: Process,
    /// Where ingest and tabs connect.
    pub listen: SocketAddr,
    /// Where metrics and probes are.
    pub admin: SocketAddr,
}

// === impl Setup ===

impl Setup {
    /// `bellwire ROLE` on a log, with the shared key [`KEY`], and nothing else, where tabs come. Secrets go through the environment.
    #[must_use]
    pub fn new(role: &str, log: &str) -> Self {
        let setup = Self::default().arg(role).env("BELLWIRE_LOG", log);
        if role == "ingest" {
            setup
        } else {
            setup.env("BELLWIRE_SHARED_KEY", KEY).env("BELLWIRE_SESSION_CHECK", "key-only")
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// One more environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Each of its processes inherits `socket` and listens there, as under systemd's socket activation.
    #[must_use]
    pub fn socket(mut self, socket: TcpListener) -> Self {
        self.socket = Some(Arc::new(socket));
        self
    }

    /// Its admin server speaks TLS, and is asked by this client.
    #[must_use]
    pub fn admin_tls(mut self, client: Arc<ClientConfig>) -> Self {
        self.admin_tls = Some(client);
        self
    }

    /// Starts it, on free ports unless it inherits one, and waits until it is ready.
    pub async fn start(self) -> Result<Bellwire> {
        let mut node = self.begin()?;
        node.wait_ready().await?;
        Ok(node)
    }

    /// Starts it and waits for nothing: for one that cannot become ready.
    pub fn begin(self) -> Result<Bellwire> {
        let admin = ports::free();
        let listen = self.socket.as_ref().map_or_else(|| Ok(ports::free()), |socket| socket.local_addr())?;
        let home = tempfile::Builder::new().prefix("bellwire-home-").tempdir()?;
        let process = self.spawn(home.path(), listen, admin)?;
        Ok(Bellwire { setup: self, home, process, listen, admin })
    }

    async fn ask(&self, admin: SocketAddr, path: &str) -> Result<http::Response> {
        http::request_over(self.admin_tls.as_ref(), admin, "GET", path, &[], b"").await
    }

    fn spawn(&self, home: &Path, listen: SocketAddr, admin: SocketAddr) -> Result<Process> {
        let program = process::binary("bellwire");
        let mut command = if self.socket.is_some() { process::activated(&program) } else { Command::new(program) };
        // Nothing of the caller's environment may change what is tested.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.args(["--listen", &listen.to_string(), "--admin-listen", &admin.to_string()]);
        let role = self.args.first().map_or("bellwire", String::as_str);
        let name = format!("{role} on {listen}");
        match &self.socket {
            None => Process::spawn(&name, command),
            Some(socket) => Process::spawn_with_socket(&name, command, socket),
        }
    }
}

// === impl Bellwire ===

impl Bellwire {
    /// Kills it (SIGKILL) and waits until it is gone.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.process.signal(Signal::Term).await?;
        self.process.wait(END_DEADLINE).await
    }

    /// Starts it again after its end, with the same settings and ports, and waits until it is ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.process = self.setup.spawn(self.home.path(), self.listen, self.admin)?;
        self.wait_ready().await
    }

    /// One more environment variable, or another value of one, for its next start.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.setup.env.push((name.to_owned(), value.into()));
    }

    /// The process itself.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The sum of a metric's series whose line contains all of `labels` (such as `protocol="v1"`); 0 if none does.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let page = self.setup.ask(self.admin, "/metrics").await?.text();
        Ok(sum(&page, name, labels))
    }

    /// Waits until [`Bellwire::metric`] is at least `value`.
    pub async fn wait_metric(&self, name: &str, labels: &[&str], value: f64, deadline: Duration) -> Result<()> {
        eventually::eventually(&format!("{name}{labels:?} of at least {value}"), deadline, || async {
            Ok((self.metric(name, labels).await? >= value).then_some(()))
        })
        .await
        .with_context(|| self.process.output())
    }

    async fn wait_ready(&mut self) -> Result<()> {
        let (setup, admin) = (self.setup.clone(), self.admin);
        let ready = eventually::eventually("readiness", START_DEADLINE, || async {
            Ok((setup.ask(admin, "/readyz").await?.status == 200).then_some(()))
        });
        tokio::select! {
            ready = ready => ready.with_context(|| self.process.output()),
            ended = self.process.wait(START_DEADLINE * 2) => {
                let status = ended?;
                anyhow::bail!("ended while starting ({status}):\n{}", self.process.output())
            }
        }
    }
}

/// See [`Bellwire::metric`]; `admin` is where a process has its metrics.
pub async fn metric(admin: SocketAddr, name: &str, labels: &[&str]) -> Result<f64> {
    let page = http::get(admin, "/metrics").await?.text();
    Ok(sum(&page, name, labels))
}

fn sum(page: &str, name: &str, labels: &[&str]) -> f64 {
    let series = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels_here, value) = rest.rsplit_once(' ')?;
        let same = labels_here.is_empty() || labels_here.starts_with('{');
        (same && labels.iter().all(|label| labels_here.contains(label))).then_some(value)
    });
    series.filter_map(|value| value.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn metrics_are_summed_over_the_series_asked_for() {
        let page =
            "# HELP a_total x\na_total{p=\"v1\",r=\"eof\"} 2\na_total{p=\"v2\",r=\"eof\"} 3\na_total_more 7\nb 1\n";
        assert_eq!(sum(page, "a_total", &[]), 5.0);
        assert_eq!(sum(page, "a_total", &["p=\"v2\"", "r=\"eof\""]), 3.0);
        assert_eq!(sum(page, "b", &[]), 1.0);
        assert_eq!(sum(page, "c", &[]), 0.0);
    }
}
