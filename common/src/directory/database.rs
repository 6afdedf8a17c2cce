//! The way to the database: few connections, nothing that waits long, and nothing at all while it is away.
//!
//! It connects with the first question. When one gets no answer, the database counts as away: from then on nobody waits,
//! while one task tries on with pauses, until it answers. The file with the credentials is read again at each attempt, so
//! that a changed password needs no restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, OptsBuilder, Pool, PoolConstraints, PoolOpts};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use super::DirectoryError;
use super::credentials::{Credentials, CredentialsError, FILE_BYTES_MAX, Host};
use crate::backoff::Backoff;
use crate::metrics::{self, CounterSeries, GaugeSeries, HistogramSeries};
use crate::watched::read_bounded;

/// Most connections of a process.
pub const CONNECTIONS_MAX: usize = 4;

/// A connection that nobody used is closed after this.
const IDLE: Duration = Duration::from_secs(60);

const KEEPALIVE: Duration = Duration::from_secs(30);

/// When a server closes a connection that nobody used, unless it is told otherwise (`wait_timeout`): long after [`IDLE`].
const SERVER_IDLE_SECONDS: usize = 8 * 3600;

/// Largest packet, in bytes: a query of the most questions, and its answer.
const PACKET_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Pauses of the task that tries on.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Most different refusals that are said.
const REFUSALS_MAX: usize = 16;

/// Where servers of Debian, Ubuntu and Red Hat have their socket.
const SOCKETS: [&str; 3] = ["/run/mysqld/mysqld.sock", "/var/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock"];

/// What a server says that is going, is full, or cuts the connection: it is as good as away.
const AWAY: [u16; 9] = [1040, 1053, 1080, 1129, 1152, 1184, 1203, 1927, 4031];

/// See the module. Clones share everything.
#[derive(Clone)]
pub(super) struct Database(Arc<Inner>);

struct Inner {
    path: PathBuf,
    turns: Semaphore,
    state: Mutex<State>,
    up: GaugeSeries,
    seconds: HistogramSeries,
    answered: CounterSeries,
    refused: CounterSeries,
    away: CounterSeries,
}

struct State {
    credentials: Credentials,
    pool: Option<Pool>,
    is_up: bool,
    /// What was refused, and that was said.
    refused: Vec<String>,
}

impl Database {
    /// Reads the file; connects to nothing.
    pub(super) fn open(path: &Path) -> Result<Self, CredentialsError> {
        let credentials = read(path)?;
        metrics::DIRECTORY_QUERIES.zero();
        let state = State { credentials, pool: None, is_up: true, refused: Vec::new() };
        let up = metrics::DIRECTORY_UP.with(&[]);
        up.set(1.0);
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            turns: Semaphore::new(CONNECTIONS_MAX),
            state: Mutex::new(state),
            up,
            seconds: metrics::DIRECTORY_QUERY_SECONDS.with(&[]),
            answered: metrics::DIRECTORY_QUERIES.with(&["answered"]),
            refused: metrics::DIRECTORY_QUERIES.with(&["refused"]),
            away: metrics::DIRECTORY_QUERIES.with(&["away"]),
        })))
    }

    /// Whether a question makes sense now.
    pub(super) fn is_up(&self) -> bool {
        self.state().is_up
    }

    /// Asks: waits for a connection within `limit`, and then for the answer within `limit`. Fails at once while the database
    /// is away.
    pub(super) async fn run<T>(
        &self,
        limit: Duration,
        ask: impl AsyncFnOnce(&mut Conn) -> Result<T, Error>,
    ) -> Result<T, DirectoryError> {
        if !self.is_up() {
            return Err(DirectoryError::Away);
        }
        // Whoever finds all connections taken says nothing about the database, and whoever waited for one has its full time.
        let turn = timeout(limit, self.0.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(DirectoryError::Busy) };
        let started = Instant::now();
        let outcome = match timeout(limit, self.ask(ask)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failed::Away(format!("no answer within {limit:?}"))),
        };
        match outcome {
            Ok(answer) => {
                self.0.seconds.record(started.elapsed().as_secs_f64());
                self.0.answered.increment(1);
                Ok(answer)
            }
            Err(Failed::Refused(error)) => {
                self.0.refused.increment(1);
                if self.is_new(&error) {
                    warn!(error, "openITCOCKPIT's database refuses a query; the account may lack a right");
                }
                Err(DirectoryError::Refused(error))
            }
            Err(Failed::Away(error)) => {
                self.0.away.increment(1);
                self.on_away(&error);
                Err(DirectoryError::Away)
            }
        }
    }

    /// Asks whether it answers, whatever was found before, over a connection of its own.
    pub(super) async fn ping(&self, limit: Duration) -> Result<(), String> {
        let answered = timeout(limit, async {
            let mut conn = Conn::new(self.opts().await).await.map_err(|error| error.to_string())?;
            let pinged = conn.ping().await.map_err(|error| error.to_string());
            // What it says to a goodbye changes nothing.
            let _ = conn.disconnect().await;
            pinged
        });
        answered.await.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
    }

    async fn ask<T>(&self, ask: impl AsyncFnOnce(&mut Conn) -> Result<T, Error>) -> Result<T, Failed> {
        let pool = self.pool().await;
        let mut conn = pool.get_conn().await.map_err(|error| Failed::Away(error.to_string()))?;
        ask(&mut conn).await.map_err(|error| match error {
            Error::Server(error) if !AWAY.contains(&error.code) => {
                Failed::Refused(format!("{} ({})", error.message, error.code))
            }
            // It does answer. The row is not shown: it may hold a key.
            Error::Driver(DriverError::FromRow { .. }) => Failed::Refused("a row is not as it must be".into()),
            other => Failed::Away(other.to_string()),
        })
    }

    async fn pool(&self) -> Pool {
        if let Some(pool) = &self.state().pool {
            return pool.clone();
        }
        let opts = self.opts().await;
        // Another may have been quicker.
        self.state().pool.get_or_insert_with(|| Pool::new(opts)).clone()
    }

    async fn opts(&self) -> OptsBuilder {
        let credentials = self.state().credentials.clone();
        let constraints = PoolConstraints::new(0, CONNECTIONS_MAX).unwrap_or_default();
        let pool = PoolOpts::default()
            .with_constraints(constraints)
            .with_inactive_connection_ttl(IDLE)
            // No query leaves anything behind in its session.
            .with_reset_connection(false);
        let mut opts = OptsBuilder::default()
            .user(Some(credentials.user))
            .pass(Some(credentials.password.expose()))
            .db_name(Some(credentials.database))
            .tcp_port(credentials.port)
            .tcp_keepalive(Some(KEEPALIVE))
            .prefer_socket(false)
            // Given, so that no connection begins with a question for them.
            .max_allowed_packet(Some(PACKET_BYTES_MAX))
            .wait_timeout(Some(SERVER_IDLE_SECONDS))
            .pool_opts(pool);
        match credentials.host {
            Host::Remote(host) => opts = opts.ip_or_hostname(host),
            Host::Local { socket } => {
                opts = opts.ip_or_hostname("127.0.0.1");
                if let Some(socket) = listening(socket).await {
                    opts = opts.socket(Some(socket));
                }
            }
        }
        opts
    }

    fn on_away(&self, error: &str) {
        let mut state = self.state();
        // Its connections may hang in the kernel for a quarter of an hour; new ones do not wait for them.
        state.pool = None;
        if !std::mem::replace(&mut state.is_up, false) {
            return;
        }
        self.0.up.set(0.0);
        warn!(error, "openITCOCKPIT's database does not answer; going on without it, and trying on");
        tokio::spawn(try_on(Arc::downgrade(&self.0)));
    }

    /// Each refusal is said once between two outages.
    fn is_new(&self, refused: &str) -> bool {
        let mut state = self.state();
        let is_new = state.refused.len() < REFUSALS_MAX && !state.refused.iter().any(|known| known == refused);
        if is_new {
            state.refused.push(refused.to_owned());
        }
        is_new
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no answer, and whether there may be one to another question.
enum Failed {
    Away(String),
    Refused(String),
}

/// Until it answers, or nobody is left who would ask.
async fn try_on(database: Weak<Inner>) {
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    let since = Instant::now();
    loop {
        backoff.wait().await;
        let Some(inner) = database.upgrade() else { return };
        let database = Database(inner);
        let path = database.0.path.clone();
        match tokio::task::spawn_blocking(move || read(&path)).await {
            Ok(Ok(credentials)) => database.state().credentials = credentials,
            Ok(Err(error)) => debug!(%error, "mysql-file is unusable; going on with what it said before"),
            Err(_) => {}
        }
        match database.ping(super::QUERY_TIMEOUT).await {
            Ok(()) => {
                let mut state = database.state();
                state.is_up = true;
                state.refused.clear();
                drop(state);
                database.0.up.set(1.0);
                info!(away_seconds = since.elapsed().as_secs(), "openITCOCKPIT's database answers again");
                return;
            }
            Err(error) => debug!(error, "openITCOCKPIT's database still does not answer"),
        }
    }
}

fn read(path: &Path) -> Result<Credentials, CredentialsError> {
    let bytes = read_bounded(path, FILE_BYTES_MAX as u64).map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => CredentialsError::TooLarge,
        _ => CredentialsError::Unreadable(error.to_string()),
    })?;
    Credentials::parse(&bytes)
}

/// The first socket that somebody listens on.
async fn listening(given: Option<String>) -> Option<String> {
    for path in given.into_iter().chain(SOCKETS.map(str::to_owned)) {
        if UnixStream::connect(&path).await.is_ok() {
            return Some(path);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use bellwire_testkit::mariadb::MariaDb;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_waited_for_a_connection_has_the_full_time_for_the_answer() {
        let server = MariaDb::start().await.unwrap();
        let database = Database::open(&server.cnf()).unwrap();
        let asking: Vec<_> = (0..2 * CONNECTIONS_MAX)
            .map(|_| {
                let database = database.clone();
                let slow = async |conn: &mut Conn| conn.query_drop("SELECT SLEEP(2)").await;
                tokio::spawn(async move { database.run(Duration::from_secs(3), slow).await })
            })
            .collect();
        for asked in asking {
            assert_eq!(asked.await.unwrap(), Ok(()));
        }
        assert!(database.is_up());
    }
}
