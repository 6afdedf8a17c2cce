//! The table: every setting there is.

mod access;
pub mod defaults;
mod intake;
mod listeners;
mod process;
mod tabs;

use std::fmt;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Ingest, gateway and an embedded log in one process.
    Standalone,
    /// Serves browser tabs from RabbitMQ.
    Gateway,
    /// Takes notifications into RabbitMQ.
    Ingest,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Standalone, Self::Gateway, Self::Ingest];

    /// Name of the subcommand, and the metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Gateway => "gateway",
            Self::Ingest => "ingest",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a role takes when nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// This text, as if it had been given.
    Text(&'static str),
    /// Nothing; the words say what that means.
    Unset(&'static str),
    /// It must be given.
    Required,
}

/// How a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// As it is.
    Plain,
    /// Without the passwords in its addresses.
    WithoutPasswords,
    /// Only that it is set. There is no flag: everybody on the machine can read command lines.
    Secret,
}

/// One setting: flag `--NAME`, environment `BELLWIRE_NAME`, TOML key `NAME`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name.
    pub name: &'static str,
    /// What its value looks like.
    pub value: &'static str,
    /// The roles that have it, with their defaults.
    pub defaults: &'static [(Role, Default)],
    /// How it may be shown.
    pub shown: Shown,
    /// What it is, in one line.
    pub help: &'static str,
    /// Unit and limits.
    pub limits: &'static str,
    /// The worst that it can cost.
    pub cost: &'static str,
    /// When to change it.
    pub change: &'static str,
}

impl Setting {
    /// The role's default; none when the role does not have the setting.
    #[must_use]
    pub fn default(&self, role: Role) -> Option<Default> {
        self.defaults.iter().find(|(r, _)| *r == role).map(|(_, default)| *default)
    }
}

use self::Role::{Gateway, Ingest, Standalone};

const fn all(default: Default) -> [(Role, Default); 3] {
    [(Standalone, default), (Gateway, default), (Ingest, default)]
}

const fn tabs(default: Default) -> [(Role, Default); 2] {
    [(Standalone, default), (Gateway, default)]
}

const fn intake(default: Default) -> [(Role, Default); 2] {
    [(Standalone, default), (Ingest, default)]
}

/// Every setting, in the order in which they are shown.
pub static TABLE: &[Setting] =
    &join([&listeners::SETTINGS, &process::SETTINGS, &access::SETTINGS, &tabs::SETTINGS, &intake::SETTINGS]);

const LEN: usize = listeners::SETTINGS.len()
    + process::SETTINGS.len()
    + access::SETTINGS.len()
    + tabs::SETTINGS.len()
    + intake::SETTINGS.len();

const fn join(parts: [&[Setting]; 5]) -> [Setting; LEN] {
    let mut all = [listeners::SETTINGS[0]; LEN];
    let (mut part, mut next) = (0, 0);
    while part < parts.len() {
        let mut index = 0;
        while index < parts[part].len() {
            all[next] = parts[part][index];
            (index, next) = (index + 1, next + 1);
        }
        part += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_texts_complete() {
        let mut names: Vec<_> = TABLE.iter().map(|s| s.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
        for setting in TABLE {
            assert!(setting.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", setting.name);
            assert!(!setting.help.ends_with('.'), "{}", setting.name);
            for text in [setting.limits, setting.cost, setting.change] {
                assert!(text.ends_with('.'), "{}: {text}", setting.name);
            }
        }
    }

    #[test]
    fn the_names_that_stay_are_there() {
        let names: Vec<_> = TABLE.iter().map(|s| s.name).collect();
        let stay = "listen admin-listen ingest-listen log amqp-user-file amqp-password-file amqp-ca-file shards ttl \
                    shared-key shared-key-file ingest-tokens-file log-level log-format drain-seconds";
        for name in stay.split_whitespace() {
            assert!(names.contains(&name), "{name}");
        }
    }
}
