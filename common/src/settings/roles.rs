//! The typed settings of each role, and what must hold between them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::secret::Secret;
use super::show::Effective;
use super::sources::{Given, Source, collect};
use super::table::{Default as TableDefault, Role, TABLE};
use super::value::{self, LogAddress, LogFormat, LogLevel};
use super::{Invalid, Loaded, Problem, Sources};

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

/// Settings of `bellwire gateway`. Its log is never [`LogAddress::Embedded`] or [`LogAddress::Memory`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// What every role has.
    pub node: Node,
    /// Where browsers come in.
    pub listen: SocketAddr,
    /// The key of V1, V2 and trial clients; none only on loopback.
    pub shared_key: Option<Secret>,
    /// Bounds on browsers' connections.
    pub tabs: Tabs,
}

/// Settings of `bellwire ingest`. Its log is never [`LogAddress::Embedded`] or [`LogAddress::Memory`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingest {
    /// What every role has.
    pub node: Node,
    /// Where notifications come in.
    pub listen: SocketAddr,
    /// File with bearer tokens; none only on loopback.
    pub tokens_file: Option<PathBuf>,
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
    /// Bounds on browsers' connections.
    pub tabs: Tabs,
    /// File with bearer tokens; none only when notifications come in on loopback.
    pub tokens_file: Option<PathBuf>,
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
        tabs: values.tabs(),
        tokens_file: values.optional("ingest-tokens-file", value::path),
        state_directory: None,
    };
    let state_directory = match &settings.node.log {
        LogAddress::Embedded(directory) => Some(directory.clone()),
        LogAddress::Memory => None,
        LogAddress::Amqp(_) => default_directory.map(|(directory, _)| directory),
    };
    let settings = Standalone { state_directory, ..settings };
    values.check_listeners(&settings.listeners());
    values.check_key(settings.listen, settings.shared_key.as_ref());
    let (name, intake) = settings.ingest_listen.map_or(("listen", settings.listen), |a| ("ingest-listen", a));
    values.check_tokens(name, intake, settings.tokens_file.as_deref());
    values.finish(settings)
}

/// Reads and checks the settings of `bellwire gateway`.
pub fn gateway(sources: &Sources<'_>) -> Result<Loaded<Gateway>, Invalid> {
    let mut values = Values::collect(Role::Gateway, sources);
    let settings = Gateway {
        node: values.node(),
        listen: values.required("listen", value::address, ANYWHERE),
        shared_key: values.shared_key(),
        tabs: values.tabs(),
    };
    values.check_shared_log(&settings.node.log);
    values.check_listeners(&settings.listeners());
    values.check_key(settings.listen, settings.shared_key.as_ref());
    if settings.shared_key.is_none() {
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
        tokens_file: values.optional("ingest-tokens-file", value::path),
    };
    values.check_shared_log(&settings.node.log);
    values.check_listeners(&settings.listeners());
    values.check_tokens("listen", settings.listen, settings.tokens_file.as_deref());
    values.finish(settings)
}

/// Stands where a value was refused; it never leaves this module, because then there is a problem.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A key shorter than this can be guessed.
const KEY_BYTES_GOOD: usize = 16;

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

/// The texts, what was found wrong so far, and the way from one to the other.
struct Values<'a> {
    role: Role,
    sources: &'a Sources<'a>,
    given: BTreeMap<&'static str, Given>,
    note: Option<(&'static str, String)>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl<'a> Values<'a> {
    fn collect(role: Role, sources: &'a Sources<'a>) -> Self {
        let mut problems = Vec::new();
        let given = collect(role, sources, &mut problems);
        let mut values = Self { role, sources, given, note: None, problems, warnings: Vec::new() };
        for setting in TABLE {
            if let Some(TableDefault::Text(text)) = setting.default(role) {
                values.given.entry(setting.name).or_insert(Given { text: text.into(), source: Source::Default });
            }
        }
        values
    }

    fn problem(&mut self, name: &str, message: impl Into<String>) {
        let source = self.given.get(name).map_or(Source::Default, |given| given.source.clone());
        self.problems.push(Problem { setting: name.into(), source_name: source.of(name), message: message.into() });
    }

    fn optional<T>(&mut self, name: &'static str, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        let parsed = parse(&self.given.get(name)?.text);
        parsed.map_err(|message| self.problem(name, message)).ok()
    }

    fn required<T>(&mut self, name: &'static str, parse: fn(&str) -> Result<T, String>, void: T) -> T {
        if !self.given.contains_key(name) {
            self.problem(name, self.missing(name));
            return void;
        }
        self.optional(name, parse).unwrap_or(void)
    }

    fn missing(&self, name: &str) -> String {
        match (name, self.role) {
            ("log", Role::Standalone) => {
                "there is no place for its data: none of $STATE_DIRECTORY, $XDG_STATE_HOME and \
                 $HOME is set to a whole path; give log=embedded:DIR"
                    .into()
            }
            ("log", role) => format!(
                "must be given: {role} works with RabbitMQ, such as log=amqp://HOST; for one process with nothing \
                 beside it run `bellwire standalone`"
            ),
            _ => "must be given".into(),
        }
    }

    fn node(&mut self) -> Node {
        Node {
            admin_listen: self.required("admin-listen", value::address, ANYWHERE),
            log: self.log(),
            shards: self.required("shards", value::shards, 1),
            ttl: self.required("ttl", value::ttl, value::TTL_MIN),
            log_level: self.required("log-level", value::log_level, LogLevel::default()),
            log_format: self.required("log-format", value::log_format, LogFormat::default()),
            drain: self.required("drain-seconds", value::drain, Duration::ZERO),
        }
    }

    fn tabs(&mut self) -> Tabs {
        Tabs {
            sessions: self.required("max-sessions", value::count, 1),
            sessions_per_user: self.required("max-sessions-per-user", value::count, 1),
            sessions_per_address: self.required("max-sessions-per-address", value::count, 1),
            handshakes_per_second: self.required("max-handshakes-per-second", value::handshakes, 1),
            trusted_proxies: self.required("trusted-proxies", value::networks, Vec::new()),
            digests: self.required("digests", value::digests, Digests::default()),
        }
    }

    fn log(&mut self) -> LogAddress {
        let mut log = self.required("log", value::log, LogAddress::Memory);
        let user = self.file("amqp-user-file", value::secret);
        let password = self.file("amqp-password-file", value::secret);
        let ca = self.file("amqp-ca-file", value::certificates);
        let LogAddress::Amqp(amqp) = &mut log else { return log };
        if self.given.contains_key("amqp-ca-file") && !amqp.nodes.iter().any(|node| node.tls) {
            self.problem("amqp-ca-file", "no node in log is amqps://, so nothing would be checked with it");
        }
        amqp.ca = ca;
        let in_flag = self.given.get("log").is_some_and(|given| given.source == Source::Flag);
        if in_flag && password.is_none() && amqp.nodes.iter().any(|node| node.password.expose() != "guest") {
            let warning = "the password in --log can be read in ps; use amqp-password-file or BELLWIRE_LOG";
            self.warnings.push(warning.into());
        }
        for node in &mut amqp.nodes {
            if let Some(user) = &user {
                user.expose().clone_into(&mut node.user);
            }
            if let Some(password) = &password {
                node.password = password.clone();
            }
        }
        log
    }

    /// What the file that the setting names holds.
    fn file<T>(&mut self, name: &'static str, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        let path = self.optional(name, value::path)?;
        let parsed = match (self.sources.read)(&path) {
            Ok(text) => parse(text.trim()).map_err(|error| format!("what {} holds {error}", path.display())),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        };
        parsed.map_err(|message| self.problem(name, message)).ok()
    }

    fn shared_key(&mut self) -> Option<Secret> {
        let rank = |name| self.given.get(name).map_or(0, |given: &Given| given.source.rank());
        let (value, file) = (rank("shared-key"), rank("shared-key-file"));
        if value > 0 && value == file {
            self.problem("shared-key", "is given beside shared-key-file; give only one of the two");
        }
        // The one that does not win is shown as if it had not been given.
        let (name, key) = if value > file {
            self.given.remove("shared-key-file");
            ("shared-key", self.optional("shared-key", value::shared_key))
        } else {
            self.given.remove("shared-key");
            ("shared-key-file", self.file("shared-key-file", value::shared_key))
        };
        if let Some(key) = &key
            && key.expose().len() < KEY_BYTES_GOOD
        {
            self.warnings.push(format!("{name}: a key of less than {KEY_BYTES_GOOD} characters can be guessed"));
        }
        key
    }

    fn check_shared_log(&mut self, log: &LogAddress) {
        // A log that was refused stands in as memory.
        if self.problems.is_empty() && !matches!(log, LogAddress::Amqp(_)) {
            let role = self.role;
            self.problem(
                "log",
                format!(
                    "{log} is in one process only, and {role} shares its log with other processes: use amqp://..., or run \
                     `bellwire standalone`"
                ),
            );
        }
    }

    fn check_listeners(&mut self, listeners: &[(&str, SocketAddr)]) {
        if !self.problems.is_empty() {
            return;
        }
        for (number, (name, address)) in listeners.iter().enumerate() {
            for (other, taken) in &listeners[..number] {
                if collide(*address, *taken) {
                    self.problem(name, format!("{address} is taken by {other}={taken}; give another port"));
                }
            }
        }
    }

    fn check_key(&mut self, listen: SocketAddr, key: Option<&Secret>) {
        if self.problems.is_empty() && key.is_none() && !is_loopback(listen) {
            self.problem(
                "listen",
                format!(
                    "{listen} can be reached from other machines, which needs a shared key: set shared-key-file or \
                     BELLWIRE_SHARED_KEY, or listen on 127.0.0.1"
                ),
            );
        }
    }

    fn check_tokens(&mut self, name: &str, listen: SocketAddr, tokens: Option<&Path>) {
        if !self.problems.is_empty() || tokens.is_some() || is_loopback(listen) {
            return;
        }
        let other = match (self.role, name) {
            (Role::Standalone, "listen") => {
                "or give notifications a listener of their own on this machine, ingest-listen=127.0.0.1:8084"
            }
            _ => "or listen on 127.0.0.1",
        };
        self.problem(
            name,
            format!(
                "{listen} can be reached from other machines, so that anybody there could send notifications: set \
                 ingest-tokens-file, {other}"
            ),
        );
    }

    fn finish<T>(self, settings: T) -> Result<Loaded<T>, Invalid> {
        if !self.problems.is_empty() {
            return Err(Invalid(self.problems));
        }
        let effective = Effective::new(self.role, &self.given, self.note);
        Ok(Loaded { settings, effective, warnings: self.warnings })
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let everywhere = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || everywhere)
}
