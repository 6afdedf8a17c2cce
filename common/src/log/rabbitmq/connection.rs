//! One connection that is kept up: made in the background, made again when it is lost, with back-off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::backoff::{Backoff, LOG_PAUSE_MAX};
use crate::metrics::LOG_RECONNECTS;

use super::dial::{Attempt, Socket, dial};
use super::live::{Live, answers};
use super::settings::{RabbitSettings, shown};
use super::topology::{Topology, TopologyError};
use super::up::Up;

/// For a node to answer: TCP, TLS and login together. Declaring has its own ([`Topology::deadline`]).
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// A connection that stood this long begins its next back-off anew.
const STEADY: Duration = LOG_PAUSE_MAX;

/// What is missing in the broker is declared anew at most this often.
const MEND_EVERY: Duration = Duration::from_secs(5);

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Append,
    Read,
}

impl Side {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Read => "read",
        }
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
        let keeper = Keeper { settings, topology, side, up: Up::new(side), tell };
        let stop = stop.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled(keeper.keep()).await;
            keeper.tell(State::Closed);
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
    up: Up,
    tell: watch::Sender<State>,
}

/// A new connection, and what its users find missing.
type Made = (Live, mpsc::Receiver<String>);

impl Keeper {
    fn tell(&self, state: State) {
        self.up.set(matches!(state, State::Up(_)));
        self.tell.send_replace(state);
    }

    async fn keep(&self) {
        let side = self.side.label();
        let mut backoff = Backoff::log();
        let mut connected_before = false;
        let mut last = String::new();
        loop {
            match self.attempt(connected_before).await {
                Ok((live, wishes)) => {
                    let since = Instant::now();
                    if connected_before {
                        LOG_RECONNECTS.count(&[side]);
                    }
                    connected_before = true;
                    last.clear();
                    info!(side, "connected to rabbitmq");
                    let live = Arc::new(live);
                    self.tell(State::Up(Arc::clone(&live)));
                    let reason = self.attend(&live, wishes).await;
                    warn!(side, reason, "lost the connection to rabbitmq");
                    self.tell(State::Connecting);
                    if since.elapsed() >= STEADY {
                        backoff.reset();
                        continue;
                    }
                }
                Err(Failure { reason, act }) => {
                    // Said once, not at each of the attempts that follow.
                    match (reason == last, act) {
                        (true, _) => debug!(side, reason, "still not connected to rabbitmq"),
                        (false, true) => error!(side, reason, "rabbitmq cannot be used as it is"),
                        (false, false) => warn!(side, reason, "cannot connect to rabbitmq"),
                    }
                    last.clone_from(&reason);
                    self.tell(State::Down(reason));
                }
            }
            backoff.wait().await;
        }
    }

    /// Declares anew what its users miss, until the connection is lost. Returns why it was.
    async fn attend(&self, live: &Live, mut wishes: mpsc::Receiver<String>) -> String {
        let mut lost = std::pin::pin!(live.lost());
        let mut last = String::new();
        loop {
            let missing = tokio::select! {
                reason = &mut lost => return reason,
                Some(missing) = wishes.recv() => missing,
            };
            tokio::select! {
                reason = &mut lost => return reason,
                outcome = self.mend(live, &missing) => {
                    let side = self.side.label();
                    match outcome {
                        Ok(()) => info!(side, missing, "something was missing in rabbitmq; it was declared anew"),
                        Err(reason) if reason != last => {
                            error!(side, missing, reason, "something is missing in rabbitmq; part of the log does not work");
                            last = reason;
                        }
                        Err(reason) => debug!(side, missing, reason, "something is still missing in rabbitmq"),
                    }
                }
            }
            tokio::select! {
                reason = &mut lost => return reason,
                () = tokio::time::sleep(MEND_EVERY) => {}
            }
        }
    }

    async fn mend(&self, live: &Live, missing: &str) -> Result<(), String> {
        debug!(side = self.side.label(), missing, "declaring anew");
        self.declare(&live.connection).await.map_err(|failure| failure.reason)
    }

    /// Tries each node once. They are equal; a random order spreads the connections over them.
    async fn attempt(&self, connected_before: bool) -> Result<Made, Failure> {
        let mut nodes: Vec<_> = self.settings.nodes.iter().collect();
        fastrand::shuffle(&mut nodes);
        let mut failure = Failure::default();
        for node in nodes {
            match self.connect(node, connected_before).await {
                Ok(made) => return Ok(made),
                Err(Failure { reason, act }) => {
                    let gap = if failure.reason.is_empty() { "" } else { "; " };
                    failure.reason.push_str(&format!("{gap}{}: {reason}", shown(node)));
                    failure.act |= act;
                }
            }
        }
        Err(failure)
    }

    /// The first connection must find or make everything, or it would hide a broker that is set up wrongly. A later one
    /// serves the streams that are there: one that is not must not take the others away.
    async fn connect(&self, node: &AMQPUri, connected_before: bool) -> Result<Made, Failure> {
        let socket = Socket::default();
        let attempt = Attempt::new(socket.clone());
        let opened = timeout(CONNECT_DEADLINE, self.open(node, &socket)).await;
        let connection = opened.map_err(|_| Failure::silent(CONNECT_DEADLINE))??;
        match self.declare(&connection).await {
            Err(Failure { reason, act }) if connected_before && (act || answers(&connection).await) => {
                error!(side = self.side.label(), reason, "part of the log does not work");
            }
            declared => declared?,
        }
        attempt.keep();
        Ok(Live::new(connection, socket))
    }

    async fn declare(&self, connection: &Connection) -> Result<(), Failure> {
        let deadline = self.topology.deadline();
        let declared = timeout(deadline, self.topology.declare(connection, self.side)).await;
        Ok(declared.map_err(|_| Failure::silent(deadline))??)
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
                let AMQPUri { authority, scheme, .. } = uri;
                let dialing = async {
                    let connect = async |address| AsyncTcpStream::connect(&runtime, address).await;
                    let plain = dial(&authority.host, authority.port, connect).await?;
                    if let AsyncTcpStream::Plain(stream) = &plain {
                        socket.hold(stream.get_ref())?;
                    }
                    Ok(match scheme {
                        AMQPScheme::AMQP => plain,
                        AMQPScheme::AMQPS => plain.into_tls(&authority.host, tls.as_ref()).await?,
                    })
                };
                tokio::select! {
                    biased;
                    () = socket.is_shut() => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
                    stream = dialing => stream,
                }
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

impl Failure {
    fn silent(deadline: Duration) -> Self {
        Self { reason: format!("no answer within {deadline:?}"), act: false }
    }
}

impl From<TopologyError> for Failure {
    fn from(error: TopologyError) -> Self {
        match error {
            TopologyError::Lost(error) => Self { reason: error.to_string(), act: false },
            TopologyError::Refused(reason) => Self { reason, act: true },
        }
    }
}
