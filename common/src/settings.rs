//! The settings of a process, from one table.
//!
//! [`TABLE`] says which settings there are; the flags, the environment variables, the keys of the TOML
//! file, `--help`, `bellwire config` and `docs/configuration.md` all come from it. What is nearer to the call wins:
//! flag, then environment, then file, then default. Nothing here touches the environment or a file by itself:
//! [`Sources`] carries them in.

mod access;
mod amqp;
mod nearest;
mod roles;
mod secret;
mod show;
mod site;
mod sources;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use clap::ArgMatches;

pub use access::{Access, Intake, Jwt, JwtKeys, OpenItCockpit, Relay, SessionCheck, TlsFiles, UserCheck};
pub use amqp::{Amqp, AmqpNode};
pub use roles::{Admin, Digests, Gateway, Ingest, Node, Standalone, Tabs, admin, gateway, ingest, standalone};
pub use secret::{SECRET_BYTES_MAX, Secret};
pub use show::{Effective, markdown};
pub use site::{ORIGINS_MAX, RECHECK_MAX, RECHECK_MIN};
pub use sources::{CONFIG_ENV, Given, Source, add_flags, env_name, given};
pub use table::{Role, Setting, TABLE, defaults};
pub use value::{
    COUNT_MAX, DRAIN_MAX, FACTORY_KEY, HANDSHAKES_MIN, LogAddress, LogFormat, LogLevel, NETWORKS_MAX, TTL_MAX, TTL_MIN,
    shared_key_of,
};

/// Where values come from.
pub struct Sources<'a> {
    /// What clap made of the command line of a command with [`add_flags`].
    pub flags: &'a ArgMatches,
    /// The environment.
    pub env: &'a BTreeMap<String, String>,
    /// Reads a file whole.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment holds secrets.
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

/// Settings that have passed all checks.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The values, typed.
    pub settings: T,
    /// Every setting of the role, its value and its source, as `bellwire config` shows them.
    pub effective: Effective,
    /// What works but is worth a thought; to be logged.
    pub warnings: Vec<String>,
}

/// One thing that is wrong with the settings. Never quotes a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} ({source_name}): {message}")]
pub struct Problem {
    /// Name of the setting.
    pub setting: String,
    /// Where the value came from, as [`Source`] shows itself.
    pub source_name: String,
    /// What is wrong, with the limit, and what to do.
    pub message: String,
}

/// All that is wrong with the settings, at least one [`Problem`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(pub Vec<Problem>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}
