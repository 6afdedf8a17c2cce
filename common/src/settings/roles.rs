//! The typed settings of each role, and what must hold between them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::access::{Access, Intake, Relay, TlsFiles};
use super::secret::Secret;
use super::site;
use super::sources::{Given, Source};
use super::table::Role;
use super::value::{self, LogAddress, LogFormat, LogLevel};
use super::values::{ANYWHERE, Values};
use super::{Invalid, Loaded, Sources};

/// What every role has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where the admin server listens.
    pub admin_listen: SocketAddr,
    /// The log.
    pub log: LogAddress,
    /// Number of shards.
    pub shards: u16,
    /// How long a notification is worth showing.
    pub ttl: Duration,
    /// Which messages are written.
    pub log_level: LogLevel,
    /// How messages are written.
    pub log_format: LogFormat,
    /// How long the end may take.
    pub drain: Duration,
    /// openITCOCKPIT's `mysql.cnf`.
    pub mysql_file: Option<PathBuf>,
    /// The certificate of the listeners.
    pub tls: Option<TlsFiles>,
}

/// What browsers' connections are bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tabs {
    /// Most sessions of the process.
    pub sessions: u32,
    /// Most sessions of one user.
    pub sessions_per_user: u32,
    /// Most sessions from one address.
    pub sessions_per_address: u32,
    /// Handshakes in a second; more are held up.
    pub handshakes_per_second: u32,
    /// Who is believed to say for whom it speaks.
    pub trusted_proxies: Vec<IpNet>,
    /// Whose tabs show a storm as a digest.
    pub digests: Digests,
}

/// Protocols whose tabs show a storm as a digest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digests {
    /// openITCOCKPIT 5.3 and older.
    pub v1: bool,
    /// openITCOCKPIT's new front end.
    pub v2: bool,
    /// Bellwire's own, by WebSocket or event stream.
    pub native: bool,
}

/// Where a process answers its probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admin {
    /// Where the admin server listens.
    pub listen: SocketAddr,
    /// It has TLS.
    pub tls: bool,
}

/// Settings of `bellwire gateway`. Its log is never [`LogAddress::Embedded`] or [`LogAddress::Memory`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// What every role has.
    pub node: Node,
    /// The number of shards of the other logs that it reads too.
    pub shards_also: Option<u16>,
    /// Where browsers come in.
    pub listen: SocketAddr,
    /// The key of V1, V2 and trial clients; none only on loopback.
    pub shared_key: Option<Secret>,
    /// The file that the key came from, to be read again.
    pub shared_key_file: Option<PathBuf>,
    /// Who may listen.
    pub access: Access,
    /// Bounds on browsers' connections.
    pub tabs: Tabs,
    /// The way to openITCOCKPIT's mobile app.
    pub relay: Option<Relay>,
}

/// Settings of `bellwire ingest`. Its log is never [`LogAddress::Embedded`] or [`LogAddress::Memory`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingest {
    /// What every role has.
    pub node: Node,
    /// Where notifications come in.
    pub listen: SocketAddr,
    /// Who may send, and to whom.
    pub intake: Intake,
}

/// Settings of `bellwire standalone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standalone {
    /// What every role has.
    pub node: Node,
    /// Where browsers come in, and notifications unless `ingest_listen` is set.
    pub listen: SocketAddr,
    /// Where notifications come in instead.
    pub ingest_listen: Option<SocketAddr>,
    /// The key of V1, V2 and trial clients; none only on loopback: then one is made for trying out.
    pub shared_key: Option<Secret>,
    /// The file that the key came from, to be read again.
    pub shared_key_file: Option<PathBuf>,
    /// Who may listen.
    pub access: Access,
    /// Bounds on browsers' connections.
    pub tabs: Tabs,
    /// The way to openITCOCKPIT's mobile app.
    pub relay: Option<Relay>,
    /// Who may send, and to whom.
    pub intake: Intake,
    /// Where a key made for trying out is kept; none with a log in memory, which leaves nothing on disk.
    pub state_directory: Option<PathBuf>,
}

impl Gateway {
    /// The settings that say where it listens, with their addresses.
    #[must_use]
    pub fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        vec![("listen", self.listen), ("admin-listen", self.node.admin_listen)]
    }
}

impl Ingest {
    /// The settings that say where it listens, with their addresses.
    #[must_use]
    pub fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        vec![("listen", self.listen), ("admin-listen", self.node.admin_listen)]
    }
}

impl Standalone {
    /// The settings that say where it listens, with their addresses.
    #[must_use]
    pub fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        let both = [("listen", self.listen), ("admin-listen", self.node.admin_listen)];
        both.into_iter().chain(self.ingest_listen.map(|address| ("ingest-listen", address))).collect()
    }
}

/// Reads and checks the settings of `bellwire standalone`.
pub fn standalone(sources: &Sources<'_>) -> Result<Loaded<Standalone>, Invalid> {
    let mut values = Values::collect(Role::Standalone, sources);
    let default_directory = state_directory(sources.env);
    if let (Some((directory, variable)), false) = (&default_directory, values.given.contains_key("log")) {
        values.note = Some(("log", format!("default, from {variable}")));
        let text = format!("embedded:{}", directory.display());
        values.given.insert("log", Given { text, source: Source::Default });
    }
    let settings = Standalone {
        node: values.node(),
        listen: values.required("listen", value::address, ANYWHERE),
        ingest_listen: values.optional("ingest-listen", value::address),
        shared_key: values.shared_key(),
        shared_key_file: values.optional("shared-key-file", value::path),
        access: values.access(),
        tabs: values.tabs(),
        relay: values.relay(),
        intake: values.intake(),
        state_directory: None,
    };
    let state_directory = match &settings.node.log {
        LogAddress::Embedded(directory) => Some(directory.clone()),
        LogAddress::Memory => None,
        LogAddress::Amqp(_) => default_directory.map(|(directory, _)| directory),
    };
    let settings = Standalone { state_directory, ..settings };
    values.check_listeners(&settings.listeners());
    values.check_key(
        settings.listen,
        settings.shared_key.as_ref(),
        &settings.access,
        settings.node.mysql_file.is_some(),
    );
    let (name, intake) = settings.ingest_listen.map_or(("listen", settings.listen), |a| ("ingest-listen", a));
    values.check_tokens(name, intake, &settings.intake);
    values.finish(settings)
}

/// Reads and checks the settings of `bellwire gateway`.
pub fn gateway(sources: &Sources<'_>) -> Result<Loaded<Gateway>, Invalid> {
    let mut values = Values::collect(Role::Gateway, sources);
    let settings = Gateway {
        node: values.node(),
        shards_also: values.optional("shards-also", value::shards),
        listen: values.required("listen", value::address, ANYWHERE),
        shared_key: values.shared_key(),
        shared_key_file: values.optional("shared-key-file", value::path),
        access: values.access(),
        tabs: values.tabs(),
        relay: values.relay(),
    };
    values.check_shared_log(&settings.node.log);
    if settings.shards_also == Some(settings.node.shards) {
        values.problem("shards-also", "is the same as shards: give the number from which or to which ingest moves");
    }
    values.check_listeners(&settings.listeners());
    values.check_key(
        settings.listen,
        settings.shared_key.as_ref(),
        &settings.access,
        settings.node.mysql_file.is_some(),
    );
    if settings.shared_key.is_none() && settings.node.mysql_file.is_none() && settings.access.jwt.is_none() {
        values.warnings.push("no shared key: no tab can connect; set shared-key-file or BELLWIRE_SHARED_KEY".into());
    }
    values.finish(settings)
}

/// Reads and checks the settings of `bellwire ingest`.
pub fn ingest(sources: &Sources<'_>) -> Result<Loaded<Ingest>, Invalid> {
    let mut values = Values::collect(Role::Ingest, sources);
    let settings = Ingest {
        node: values.node(),
        listen: values.required("listen", value::address, ANYWHERE),
        intake: values.intake(),
    };
    values.check_shared_log(&settings.node.log);
    values.check_listeners(&settings.listeners());
    values.check_tokens("listen", settings.listen, &settings.intake);
    values.finish(settings)
}

/// Reads where the admin server of `role` is, and nothing else: a probe must not fail for a setting or a file that the
/// process, which runs, has judged already.
pub fn admin(role: Role, sources: &Sources<'_>) -> Result<Admin, Invalid> {
    let mut values = Values::collect(role, sources);
    let admin = Admin {
        listen: values.required("admin-listen", value::address, ANYWHERE),
        tls: values.required("admin-tls", site::on, false),
    };
    if values.problems.is_empty() && admin.listen.port() == 0 {
        values.problem("admin-listen", "port 0 is any, which nobody else can know: give the port that is to be asked");
    }
    values.finish(admin).map(|loaded| loaded.settings)
}

/// Where a process without further settings keeps its state, and the variable that says so.
fn state_directory(env: &BTreeMap<String, String>) -> Option<(PathBuf, &'static str)> {
    // Relative paths are void by the XDG base directory specification; systemd's are absolute, several with colons.
    let absolute = |name: &'static str| {
        let first = env.get(name)?.split(':').next()?;
        Path::new(first).is_absolute().then(|| PathBuf::from(first))
    };
    absolute("STATE_DIRECTORY")
        .map(|directory| (directory, "$STATE_DIRECTORY"))
        .or_else(|| absolute("XDG_STATE_HOME").map(|home| (home.join("bellwire"), "$XDG_STATE_HOME")))
        .or_else(|| absolute("HOME").map(|home| (home.join(".local/state/bellwire"), "$HOME")))
}
