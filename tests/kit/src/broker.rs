//! A private RabbitMQ node for a test, from the installed Debian package.
//!
//! Everything is its own: node name, ports, Erlang port mapper, cookie, data and log folder, plugins file.
//! It runs as the calling user (the package's own wrapper would switch to `rabbitmq`, whose rights do not reach
//! a temporary folder).
//!
//! A small supervising shell leads the node's process group and kills the whole group as soon as its standard
//! input closes. So nothing outlives the test, whether the [`Broker`] is dropped, is kept in a static, the
//! test panics, or the test process is killed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::eventually::eventually;

/// A running, stopped or killed private node. Dropping it kills the node and removes its data.
#[derive(Debug)]
pub struct Broker {
    place: Place,
    node: Option<Node>,
}

/// A start takes 5 to 8 s on an idle machine; tests share theirs.
const START_DEADLINE: Duration = Duration::from_secs(120);
const SETTLE_DEADLINE: Duration = Duration::from_secs(30);
const COORDINATOR: &[u8] = b"rabbit_stream_coordinator";
const STOP_DEADLINE: Duration = Duration::from_secs(60);
const SIGNAL_DEADLINE: Duration = Duration::from_secs(10);
/// Another process may take a port between its choice and its use.
const START_ATTEMPTS: u32 = 3;

impl Broker {
    /// Starts a node with empty data and waits until it serves AMQP.
    ///
    /// # Errors
    /// Names the Debian package that is missing, or shows the last lines that the node wrote.
    pub async fn start() -> Result<Self> {
        let mut attempt = 1;
        loop {
            let place = Place::new()?;
            match Node::start(&place).await {
                Ok(node) => return Ok(Self { place, node: Some(node) }),
                Err(error) if attempt < START_ATTEMPTS && format!("{error:#}").contains("eaddrinuse") => attempt += 1,
                Err(error) => return Err(error),
            }
        }
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

    /// Stops the node in good order (SIGTERM), and its port mapper. Nothing to do when it does not run.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut node) = self.node.take() else { return Ok(()) };
        // A quick server is gone before the supervisor can say that it has sent the signal.
        let _ = node.signal("TERM").await;
        node.wait(|state| state == State::Ended, STOP_DEADLINE).await.context("rabbitmq does not stop")
    }

    /// Makes sure that the node would find its streams again after [`Broker::kill`]; there must be a stream by now.
    ///
    /// RabbitMQ writes its table of queues up to two seconds late, and the name of the process that looks after all streams
    /// up to half a second after the first declaration ever (Ra's `names.dets`, `auto_save`). Killed before, it never
    /// finds the stream again, and nothing of ours can change that.
    pub async fn settle(&self) -> Result<()> {
        self.rabbitmqctl(&["eval", "mnesia:sync_log()."]).await?;
        let node = format!("bellwire-{}@localhost", self.place.amqp_port);
        let names =
            self.place.dir.path().join("mnesia").join(&node).join("coordination").join(&node).join("names.dets");
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
        self.node = Some(Node::start(&self.place).await?);
        Ok(())
    }

    /// Freezes the node (SIGSTOP): connections stay open and nothing answers.
    pub async fn freeze(&mut self) -> Result<()> {
        self.node.as_mut().context("rabbitmq does not run")?.signal("STOP").await
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

/// What a node owns and keeps over restarts.
#[derive(Debug)]
struct Place {
    dir: TempDir,
    amqp_port: u16,
    dist_port: u16,
    epmd_port: u16,
}

impl Place {
    fn new() -> Result<Self> {
        let [amqp_port, dist_port, epmd_port] = free_ports()?;
        let dir = tempfile::Builder::new().prefix("bellwire-rabbitmq-").tempdir()?;
        let config = format!("listeners.tcp.1 = 127.0.0.1:{amqp_port}\ndisk_free_limit.absolute = 50MB\n");
        fs::write(dir.path().join("rabbitmq.conf"), config)?;
        fs::write(dir.path().join("enabled_plugins"), "[].\n")?;
        fs::write(dir.path().join("env.conf"), "")?;
        Ok(Self { dir, amqp_port, dist_port, epmd_port })
    }

    fn command(&self, program: &Path) -> Command {
        let path = |name: &str| self.dir.path().join(name);
        let mut command = Command::new(program);
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into()));
        // Erlang writes nothing but warnings about latin1 without it.
        command.env("LANG", "C.UTF-8");
        command.env("HOME", self.dir.path());
        command.env("RABBITMQ_NODENAME", format!("bellwire-{}@localhost", self.amqp_port));
        command.env("RABBITMQ_NODE_PORT", self.amqp_port.to_string());
        command.env("RABBITMQ_DIST_PORT", self.dist_port.to_string());
        command.env("ERL_EPMD_PORT", self.epmd_port.to_string());
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

    fn pid_file(&self) -> PathBuf {
        self.dir.path().join("pid")
    }
}

/// Ports that nobody uses and that lie below those which the kernel gives to outgoing connections, so that a port is
/// still free when the node comes back to it.
fn free_ports() -> Result<[u16; 3]> {
    const FIRST: u16 = 15_000;
    const PORTS: u64 = 16_000;
    const STEP: u64 = 7919;
    const TRIES: u64 = 200;
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    // They differ, because the step and the number of ports have no factor in common. None is held until the node takes
    // it: a process that is being started at the same moment would inherit the socket.
    let mut found = Vec::new();
    for i in 0..TRIES {
        let port = FIRST + u16::try_from((seed.wrapping_add(i * STEP)) % PORTS)?;
        found.extend(TcpListener::bind(("127.0.0.1", port)).map(|_| port));
        if let [amqp, dist, epmd] = found[..] {
            return Ok([amqp, dist, epmd]);
        }
    }
    bail!("no three free ports from {FIRST} on")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Ready,
    Ended,
}

/// The processes of a running node: supervisor, port mapper, server.
#[derive(Debug)]
struct Node {
    supervisor: Child,
    orders: Option<ChildStdin>,
    watch: Option<JoinHandle<()>>,
    state: watch::Receiver<State>,
    signalled: watch::Receiver<()>,
    output: Arc<Mutex<Vec<String>>>,
}

/// What the supervisor says after each signal.
const SENT: &str = "supervisor: signal sent";

/// Closes what it inherited beyond the standard three (a caller's lock must not live on in a broker), then serves
/// orders: each line is a signal for the server. The end of the server or of the orders ends the whole group.
const SUPERVISOR: &str = r#"
exec 2>&1
for fd in /proc/self/fd/*; do fd=${fd##*/}; [ "$fd" -gt 2 ] && eval "exec $fd>&-"; done 2>/dev/null
epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 </dev/null &
until epmd -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1; do kill -0 $! || kill -KILL 0; done
{ "$SERVER" </dev/null; kill -KILL 0; } &
while read -r signal; do kill -"$signal" "$(cat "$RABBITMQ_PID_FILE")"; echo "$SENT"; done
kill -KILL 0
"#;

impl Node {
    async fn start(place: &Place) -> Result<Self> {
        let server = scripts()?.join("rabbitmq-server");
        let _ = fs::remove_file(place.pid_file());
        let mut command = place.command(Path::new("bash"));
        command.args(["-c", SUPERVISOR]).env("SERVER", server).env("SENT", SENT).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut supervisor = command.spawn().context("cannot start bash (Debian package `bash`)")?;
        let (tell, state) = watch::channel(State::Starting);
        let (sent, signalled) = watch::channel(());
        let output = Arc::new(Mutex::new(Vec::new()));
        let stdout = supervisor.stdout.take().context("no standard output")?;
        let watch = thread::spawn({
            let output = Arc::clone(&output);
            move || {
                drain(stdout, &output, |line| {
                    if line.contains("completed with") {
                        tell.send_replace(State::Ready);
                    } else if line == SENT {
                        sent.send_replace(());
                    }
                });
                tell.send_replace(State::Ended);
            }
        });
        let mut node =
            Self { orders: supervisor.stdin.take(), supervisor, watch: Some(watch), state, signalled, output };
        node.wait(|state| state != State::Starting, START_DEADLINE).await.with_context(|| node.last_words())?;
        ensure!(*node.state.borrow() == State::Ready, "rabbitmq ended while starting\n{}", node.last_words());
        let port = place.amqp_port;
        tokio::task::spawn_blocking(move || answers_amqp(port)).await?.with_context(|| node.last_words())?;
        Ok(node)
    }

    async fn wait(&mut self, what: impl Fn(State) -> bool, deadline: Duration) -> Result<()> {
        timeout(deadline, self.state.wait_for(|state| what(*state))).await.context("rabbitmq takes too long")??;
        Ok(())
    }

    /// Sends the server a signal and waits until it is sent.
    async fn signal(&mut self, signal: &str) -> Result<()> {
        let orders = self.orders.as_mut().context("the supervisor is gone")?;
        writeln!(orders, "{signal}")?;
        timeout(SIGNAL_DEADLINE, self.signalled.changed()).await.context("the supervisor does not answer")??;
        Ok(())
    }

    fn last_words(&self) -> String {
        self.output.lock().map(|lines| lines.join("\n")).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.supervisor.wait();
        // The pipe ends with the last process of the group. Wait for it: the data folder goes next, or the next
        // start needs the ports.
        if let Some(watch) = self.watch.take() {
            let _ = watch.join();
        }
    }
}

/// Reads to the end and keeps the last lines.
fn drain(pipe: impl Read, keep: &Mutex<Vec<String>>, mut seen: impl FnMut(&str)) {
    const LINES_KEPT: usize = 60;
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        seen(&text);
        if let Ok(mut lines) = keep.lock() {
            lines.push(text);
            if lines.len() > LINES_KEPT {
                lines.remove(0);
            }
        }
    }
}

fn answers_amqp(port: u16) -> Result<()> {
    const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), ANSWER_DEADLINE)?;
    stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
    stream.write_all(b"AMQP\x00\x00\x09\x01")?;
    let mut frame = [0; 11];
    stream.read_exact(&mut frame).context("no answer to the AMQP header")?;
    // A method frame on channel 0 with connection.start.
    ensure!(frame[..3] == [1, 0, 0] && frame[7..] == [0, 10, 0, 10], "port {port} does not speak AMQP 0.9.1");
    Ok(())
}

/// The folder with the server's own scripts.
fn scripts() -> Result<PathBuf> {
    let dir = PathBuf::from("/usr/lib/rabbitmq/bin");
    ensure!(
        dir.join("rabbitmq-server").exists(),
        "RabbitMQ is not installed: no {}/rabbitmq-server; install the Debian package `rabbitmq-server`",
        dir.display()
    );
    Ok(dir)
}
