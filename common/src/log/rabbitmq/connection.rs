//! One connection that is kept up: made in the background, made again when it is lost, with back-off.

use std::fmt;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::metrics::LOG_RECONNECTS;

use super::settings::{RabbitSettings, shown};
use super::topology::{Topology, TopologyError};

/// For a node to answer: TCP, TLS, login and declaring together.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// Longest pause between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
const BACKOFF_MIN: Duration = Duration::from_millis(50);

/// A connection that stood this long begins its next back-off anew.
const STEADY: Duration = BACKOFF_MAX;

/// What a connection is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Append,
    Read,
}

impl Side {
    fn label(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Read => "read",
        }
    }
}

/// Pauses that double from [`BACKOFF_MIN`] to [`BACKOFF_MAX`], each shortened by up to half at random so that
/// clients do not come back all at once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    pub(super) fn next(&mut self) -> Duration {
        let full = BACKOFF_MIN.saturating_mul(1 << self.attempts.min(16)).min(BACKOFF_MAX);
        self.attempts = self.attempts.saturating_add(1);
        full.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// A connection that stands, with everything declared.
pub(super) struct Live {
    pub(super) connection: Connection,
    socket: Socket,
    given_up: Notify,
}

impl Live {
    /// Ends the connection without asking the broker, which may not answer; a new one is made.
    pub(super) fn give_up(&self) {
        self.socket.shut();
        self.given_up.notify_one();
    }

    async fn lost(&self) {
        let mut events = std::pin::pin!(self.connection.events_listener());
        while self.connection.status().connected() {
            tokio::select! {
                event = events.next() => if event.is_none() { return },
                () = self.given_up.notified() => return,
            }
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
enum State {
    /// The first attempt since the start, or since a loss, is under way.
    Connecting,
    Up(Arc<Live>),
    /// Why the last attempt failed; the next follows after a pause.
    Down(String),
    Closed,
}

/// A handle on the connection, whatever its state is.
#[derive(Debug, Clone)]
pub(super) struct Link {
    state: watch::Receiver<State>,
}

impl Link {
    pub(super) fn start(
        settings: Arc<RabbitSettings>,
        topology: Topology,
        side: Side,
        stop: &CancellationToken,
    ) -> Self {
        let (tell, state) = watch::channel(State::Connecting);
        let keeper = Keeper { settings, topology, side, tell };
        let stop = stop.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled(keeper.keep()).await;
            keeper.tell.send_replace(State::Closed);
        });
        Self { state }
    }

    /// The connection; waits while the outcome of an attempt is open, and fails at once while there is none.
    pub(super) async fn settled(&self) -> Result<Arc<Live>, String> {
        self.wait(|state| !matches!(state, State::Connecting)).await
    }

    /// The connection; waits until there is one, and fails only when the log is closed.
    pub(super) async fn up(&self) -> Result<Arc<Live>, String> {
        self.wait(|state| matches!(state, State::Up(_) | State::Closed)).await
    }

    async fn wait(&self, enough: impl FnMut(&State) -> bool) -> Result<Arc<Live>, String> {
        let closed = || "the log is closed".to_owned();
        let mut state = self.state.clone();
        match &*state.wait_for(enough).await.map_err(|_| closed())? {
            State::Up(live) => Ok(Arc::clone(live)),
            State::Down(reason) => Err(reason.clone()),
            State::Connecting | State::Closed => Err(closed()),
        }
    }
}

/// Keeps one connection up.
struct Keeper {
    settings: Arc<RabbitSettings>,
    topology: Topology,
    side: Side,
    tell: watch::Sender<State>,
}

impl Keeper {
    async fn keep(&self) {
        let mut backoff = Backoff::default();
        let mut connected_before = false;
        let mut last = String::new();
        loop {
            match self.attempt().await {
                Ok(live) => {
                    let since = Instant::now();
                    if connected_before {
                        LOG_RECONNECTS.count(&[self.side.label()]);
                    }
                    connected_before = true;
                    last.clear();
                    info!(side = self.side.label(), "connected to rabbitmq");
                    let live = Arc::new(live);
                    self.tell.send_replace(State::Up(Arc::clone(&live)));
                    live.lost().await;
                    live.socket.shut();
                    warn!(side = self.side.label(), "lost the connection to rabbitmq");
                    self.tell.send_replace(State::Connecting);
                    if since.elapsed() >= STEADY {
                        backoff.reset();
                        continue;
                    }
                }
                Err(Failure { reason, act }) => {
                    // Said once, not at each of the attempts that follow.
                    match (reason == last, act) {
                        (true, _) => debug!(side = self.side.label(), reason, "still not connected to rabbitmq"),
                        (false, true) => error!(side = self.side.label(), reason, "rabbitmq cannot be used as it is"),
                        (false, false) => warn!(side = self.side.label(), reason, "cannot connect to rabbitmq"),
                    }
                    last.clone_from(&reason);
                    self.tell.send_replace(State::Down(reason));
                }
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// Tries each node once. They are equal; a random order spreads the connections over them.
    async fn attempt(&self) -> Result<Live, Failure> {
        let mut nodes: Vec<_> = self.settings.nodes.iter().collect();
        fastrand::shuffle(&mut nodes);
        let mut failure = Failure::default();
        for node in nodes {
            match self.connect(node).await {
                Ok(live) => return Ok(live),
                Err(Failure { reason, act }) => {
                    let gap = if failure.reason.is_empty() { "" } else { "; " };
                    failure.reason.push_str(&format!("{gap}{}: {reason}", shown(node)));
                    failure.act |= act;
                }
            }
        }
        Err(failure)
    }

    async fn connect(&self, node: &AMQPUri) -> Result<Live, Failure> {
        let socket = Socket::default();
        let all = async {
            let connection = self.open(node, &socket).await?;
            self.topology.declare(&connection).await?;
            Ok(connection)
        };
        match timeout(CONNECT_DEADLINE, all).await {
            Ok(Ok(connection)) => Ok(Live { connection, socket, given_up: Notify::new() }),
            Ok(Err(failure)) => {
                socket.shut();
                Err(failure)
            }
            Err(_) => {
                socket.shut();
                Err(Failure { reason: format!("no answer within {CONNECT_DEADLINE:?}"), act: false })
            }
        }
    }

    async fn open(&self, node: &AMQPUri, socket: &Socket) -> Result<Connection, Failure> {
        let name = format!("{} {}", self.settings.name, self.side.label());
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.settings.ca.clone() };
        let socket = socket.clone();
        let runtime = lapin::runtime::default_runtime().map_err(TopologyError::Lost)?;
        let connecting = Connection::connector(
            node.clone(),
            runtime,
            async move |uri: AMQPUri, runtime| {
                let addresses = runtime.to_socket_addrs((uri.authority.host.clone(), uri.authority.port));
                let plain = AsyncTcpStream::connect(&runtime, addresses).await?;
                if let AsyncTcpStream::Plain(stream) = &plain {
                    socket.hold(stream.get_ref())?;
                }
                Ok(match uri.scheme {
                    AMQPScheme::AMQP => plain,
                    AMQPScheme::AMQPS => plain.into_tls(&uri.authority.host, tls.as_ref()).await?,
                })
            },
            properties,
        );
        Ok(connecting.await.map_err(TopologyError::from)?)
    }
}

/// Why a node is of no use; `act`: until somebody changes something.
#[derive(Default)]
struct Failure {
    reason: String,
    act: bool,
}

impl From<TopologyError> for Failure {
    fn from(error: TopologyError) -> Self {
        match error {
            TopologyError::Lost(error) => Self { reason: error.to_string(), act: false },
            TopologyError::Refused(reason) => Self { reason, act: true },
        }
    }
}

/// The connection's socket. The library's thread for a connection lives as long as the socket does, and a frozen
/// broker never ends it; so each connection that is given up has its socket shut.
#[derive(Debug, Clone, Default)]
struct Socket(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    stream: Option<TcpStream>,
    shut: bool,
}

impl Socket {
    fn hold(&self, stream: &impl AsFd) -> io::Result<()> {
        let stream = TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        stream.set_nodelay(true)?;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.shut {
            return Err(io::ErrorKind::TimedOut.into());
        }
        held.stream = Some(stream);
        Ok(())
    }

    fn shut(&self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.shut = true;
        if let Some(stream) = held.stream.take() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..100).map(|_| backoff.next()).collect();
        assert!(pauses[0] <= BACKOFF_MIN);
        assert!(pauses.iter().all(|pause| (BACKOFF_MIN / 2..=BACKOFF_MAX).contains(pause)), "{pauses:?}");
        assert!(pauses[50..].iter().all(|pause| *pause >= BACKOFF_MAX / 2), "{pauses:?}");
        backoff.reset();
        assert!(backoff.next() <= BACKOFF_MIN);
    }
}
