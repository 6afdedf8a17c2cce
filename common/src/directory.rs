//! openITCOCKPIT's database, as far as Bellwire reads it: names, users, the shared key, the export's state, devices.
//!
//! Nothing here may cost an alert anything: each lookup is bounded by [`LOOKUP_MAX`], answers are cached, and while the
//! database is away nobody waits at all. What to do without an answer is the caller's business. `docs/directory.md` is
//! for those who run it.
//!
//! - `credentials`: `mysql.cnf` (pure)
//! - `key`, `cache`, `desk`: what is asked, what is known, who waits for what (pure)
//! - `database`: the connections, and whether it is away; `sql`: the queries
//! - `lookup`: from those who ask to the queries

use std::path::Path;
use std::time::Duration;

use mysql_async::{Conn, Error};

use crate::ids::{UnixMillis, UserId};
use crate::settings::Secret;

mod cache;
pub mod credentials;
mod database;
mod desk;
mod key;
mod lookup;
mod sql;

pub use credentials::{Credentials, CredentialsError};
pub use database::CONNECTIONS_MAX;
use database::Database;
pub use key::User;
use key::{Answer, Key, Uuid};
use lookup::Lookups;
pub use sql::DEVICES_MAX;

/// Longest wait of one who asks for names or a user.
pub const LOOKUP_MAX: Duration = Duration::from_millis(250);

/// A database that takes longer for one query counts as away.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(1);

/// Names and users that are remembered.
pub const CACHE_ENTRIES_MAX: usize = 50_000;

/// What they may take, in bytes.
pub const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long an answer counts before it is asked for again.
pub const FRESH: Duration = Duration::from_secs(60);

/// How long it counts that there is no such host, service or user: it may have been made just now.
pub const FRESH_NOTHING: Duration = Duration::from_secs(10);

/// How long an answer may stand in while there is no better one.
pub const STALE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The tables that ingest reads.
pub const INTAKE_TABLES: [&str; 6] = ["contacts", "exports", "hosts", "services", "servicetemplates", "users"];
/// Those that a gateway reads that has the shared key from there.
pub const KEY_TABLES: [&str; 1] = ["systemsettings"];
/// Those that a gateway reads for the mobile app.
pub const RELAY_TABLES: [&str; 2] = ["mobile_devices", "push_notifications_relay"];

/// The way to the database. Clones share connections and what is known.
#[derive(Clone)]
pub struct Directory {
    database: Database,
    lookups: Lookups,
}

/// Names to show; none where they are not known now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Of the host.
    pub host: Option<String>,
    /// Of the service: its own, or its template's.
    pub service: Option<String>,
}

/// Whether there is something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<T> {
    /// This.
    Yes(T),
    /// There is none.
    No,
    /// The database does not say.
    Unknown,
}

/// The last refresh of the monitoring configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportState {
    /// Rises with each change, also over the ends and the restarts of everybody.
    pub version: u64,
    /// It is not finished.
    pub running: bool,
}

/// The relay to the mobile app, as openITCOCKPIT's settings have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayRow {
    /// Host, or the begin of a URL.
    pub address: String,
    /// Its port; none if not greater than 0.
    pub port: i32,
    /// What the relay knows this system by.
    pub auth_key: Secret,
}

/// A mobile device of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// `users.id`.
    pub user: i32,
    /// The token of the device.
    pub id: String,
}

/// Why the database gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// It does not answer; nothing was asked.
    #[error("the database does not answer")]
    Away,
    /// All connections are taken.
    #[error("all {CONNECTIONS_MAX} connections to the database are in use")]
    Busy,
    /// It says no, such as to an account without the right.
    #[error("the database refuses: {0}")]
    Refused(String),
}

impl Directory {
    /// By a `mysql.cnf`. Connects with the first question only; needs a runtime from then on.
    pub fn open(mysql_cnf: &Path) -> Result<Self, CredentialsError> {
        let database = Database::open(mysql_cnf)?;
        Ok(Self { lookups: Lookups::new(database.clone()), database })
    }

    /// Names of a host and a service, by UUID without regard to case, within [`LOOKUP_MAX`]. What is no UUID has none.
    pub async fn names(&self, host: Option<&str>, service: Option<&str>) -> Names {
        let host = host.and_then(Uuid::parse).map(Key::Host);
        let service = service.and_then(Uuid::parse).map(Key::Service);
        let keys: Vec<_> = host.into_iter().chain(service).collect();
        let mut answers = self.lookups.ask(&keys).await.into_iter();
        let mut name = |key: Option<Key>| match key.and_then(|_| answers.next().flatten()) {
            Some(Answer::Name(name)) => Some(name.as_ref().to_owned()),
            _ => None,
        };
        Names { host: name(host), service: name(service) }
    }

    /// A user, within [`LOOKUP_MAX`].
    pub async fn user(&self, user: &UserId) -> Known<User> {
        let Some(key) = Key::user(user) else { return Known::No };
        match self.lookups.ask(&[key]).await.pop().flatten() {
            Some(Answer::User(user)) => Known::Yes(user),
            Some(Answer::Nothing | Answer::Name(_)) => Known::No,
            None => Known::Unknown,
        }
    }

    /// `SUDO_SERVER.API_KEY` of openITCOCKPIT's system settings; none if there is no such row.
    pub async fn shared_key(&self) -> Result<Option<Secret>, DirectoryError> {
        self.ask(sql::shared_key).await
    }

    /// The last refresh of the monitoring configuration; none while there is no row, as for a moment at its begin.
    pub async fn export_status(&self) -> Result<Option<ExportState>, DirectoryError> {
        self.ask(sql::export_status).await
    }

    /// The relay that is switched on; none too where openITCOCKPIT has no such table (5.3).
    pub async fn relay(&self) -> Result<Option<RelayRow>, DirectoryError> {
        self.ask(sql::relay).await
    }

    /// The last [`DEVICES_MAX`] devices of a user; none for a user that cannot have any.
    pub async fn devices(&self, user: &UserId) -> Result<Vec<Device>, DirectoryError> {
        let Some(Key::User(id)) = Key::user(user) else { return Ok(Vec::new()) };
        self.ask(async |conn: &mut Conn| sql::devices(conn, id).await).await
    }

    /// Removes a device of its user. Takes the right to DELETE on `mobile_devices`.
    pub async fn remove_device(&self, device: &Device) -> Result<(), DirectoryError> {
        self.ask(async |conn: &mut Conn| sql::remove_device(conn, device).await).await
    }

    /// Whether the database answers, asked over a connection of its own; says why not.
    pub async fn ping(&self) -> Result<(), String> {
        self.database.ping(QUERY_TIMEOUT).await
    }

    /// Whether our account may read one of these tables; says why not.
    pub async fn can_read(&self, table: &'static str) -> Result<(), DirectoryError> {
        self.ask(async |conn: &mut Conn| sql::can_read(conn, table).await).await
    }

    /// What the database's clock says.
    pub async fn clock(&self) -> Result<UnixMillis, DirectoryError> {
        self.ask(sql::clock).await
    }

    async fn ask<T>(&self, ask: impl AsyncFnOnce(&mut Conn) -> Result<T, Error>) -> Result<T, DirectoryError> {
        self.database.run(QUERY_TIMEOUT, ask).await
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}
