//! From the texts of a role's settings to their values, with all that is wrong on the way.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::access::{Access, Intake};
use super::roles::{Digests, Node, Tabs};
use super::secret::Secret;
use super::show::Effective;
use super::sources::{Given, Source, collect};
use super::table::{Default as TableDefault, Role, TABLE};
use super::value::{self, LogAddress, LogFormat, LogLevel};
use super::{Invalid, Loaded, Problem, Sources};

/// Stands where a value was refused; it never leaves this module, because then there is a problem.
pub(super) const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A key shorter than this can be guessed.
const KEY_BYTES_GOOD: usize = 16;

/// The texts, what was found wrong so far, and the way from one to the other.
pub(super) struct Values<'a> {
    pub(super) role: Role,
    pub(super) sources: &'a Sources<'a>,
    pub(super) given: BTreeMap<&'static str, Given>,
    pub(super) note: Option<(&'static str, String)>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Values<'a> {
    pub(super) fn collect(role: Role, sources: &'a Sources<'a>) -> Self {
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

    pub(super) fn problem(&mut self, name: &str, message: impl Into<String>) {
        let source = self.given.get(name).map_or(Source::Default, |given| given.source.clone());
        self.problems.push(Problem { setting: name.into(), source_name: source.of(name), message: message.into() });
    }

    pub(super) fn optional<T>(&mut self, name: &'static str, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        let parsed = parse(&self.given.get(name)?.text);
        parsed.map_err(|message| self.problem(name, message)).ok()
    }

    pub(super) fn required<T>(&mut self, name: &'static str, parse: fn(&str) -> Result<T, String>, void: T) -> T {
        if !self.given.contains_key(name) {
            self.problem(name, self.missing(name));
            return void;
        }
        self.optional(name, parse).unwrap_or(void)
    }

    pub(super) fn missing(&self, name: &str) -> String {
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

    pub(super) fn node(&mut self) -> Node {
        Node {
            admin_listen: self.required("admin-listen", value::address, ANYWHERE),
            log: self.log(),
            shards: self.required("shards", value::shards, 1),
            ttl: self.required("ttl", value::ttl, value::TTL_MIN),
            log_level: self.required("log-level", value::log_level, LogLevel::default()),
            log_format: self.required("log-format", value::log_format, LogFormat::default()),
            drain: self.required("drain-seconds", value::drain, Duration::ZERO),
            mysql_file: self.optional("mysql-file", value::path),
            tls: self.tls(),
        }
    }

    pub(super) fn tabs(&mut self) -> Tabs {
        Tabs {
            sessions: self.required("max-sessions", value::count, 1),
            sessions_per_user: self.required("max-sessions-per-user", value::count, 1),
            sessions_per_address: self.required("max-sessions-per-address", value::count, 1),
            handshakes_per_second: self.required("max-handshakes-per-second", value::handshakes, 1),
            trusted_proxies: self.required("trusted-proxies", value::networks, Vec::new()),
            digests: self.required("digests", value::digests, Digests::default()),
        }
    }

    pub(super) fn log(&mut self) -> LogAddress {
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
    pub(super) fn file<T>(&mut self, name: &'static str, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        let path = self.optional(name, value::path)?;
        let parsed = match (self.sources.read)(&path) {
            Ok(text) => parse(text.trim()).map_err(|error| format!("what {} holds {error}", path.display())),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        };
        parsed.map_err(|message| self.problem(name, message)).ok()
    }

    pub(super) fn shared_key(&mut self) -> Option<Secret> {
        let allows_default = self.given.get("shared-key-default").is_some_and(|given| given.text == "allow");
        let parse = value::shared_key_parser(allows_default);
        let rank = |name| self.given.get(name).map_or(0, |given: &Given| given.source.rank());
        let (value, file) = (rank("shared-key"), rank("shared-key-file"));
        if value > 0 && value == file {
            self.problem("shared-key", "is given beside shared-key-file; give only one of the two");
        }
        // The one that does not win is shown as if it had not been given.
        let (name, key) = if value > file {
            self.given.remove("shared-key-file");
            ("shared-key", self.optional("shared-key", parse))
        } else {
            self.given.remove("shared-key");
            ("shared-key-file", self.file("shared-key-file", parse))
        };
        if let Some(key) = &key
            && key.expose().len() < KEY_BYTES_GOOD
        {
            self.warnings.push(format!("{name}: a key of less than {KEY_BYTES_GOOD} characters can be guessed"));
        }
        key
    }

    pub(super) fn check_shared_log(&mut self, log: &LogAddress) {
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

    pub(super) fn check_listeners(&mut self, listeners: &[(&str, SocketAddr)]) {
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

    pub(super) fn check_key(&mut self, listen: SocketAddr, key: Option<&Secret>, access: &Access, has_database: bool) {
        if !self.problems.is_empty() {
            return;
        }
        let has_key = key.is_some() || has_database;
        if !has_key && access.jwt.is_none() && !is_loopback(listen) {
            self.problem(
                "listen",
                format!(
                    "{listen} can be reached from other machines, which needs a shared key: set shared-key-file or \
                     BELLWIRE_SHARED_KEY, or listen on 127.0.0.1"
                ),
            );
        }
        if has_key && access.openitcockpit.is_none() && !self.given.contains_key("session-check") {
            self.problem(
                "session-check",
                "with the shared key alone, whoever knows it can listen as any user: set openitcockpit-url, so that logins \
                 are checked, or say that this is wanted: session-check=key-only",
            );
        }
    }

    pub(super) fn check_tokens(&mut self, name: &str, listen: SocketAddr, intake: &Intake) {
        let asks = intake.tokens_file.is_some() || intake.client_ca_file.is_some();
        if !self.problems.is_empty() || asks || is_loopback(listen) {
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
                 ingest-tokens-file or ingest-client-ca-file, {other}"
            ),
        );
    }

    pub(super) fn finish<T>(self, settings: T) -> Result<Loaded<T>, Invalid> {
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
