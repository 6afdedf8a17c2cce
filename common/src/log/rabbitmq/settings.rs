//! Where the broker is and how to log in.

use std::fmt;

use lapin::uri::{AMQPScheme, AMQPUri};

use crate::ids::SHARDS_MAX;

/// Most nodes of a broker that may be named.
pub const NODES_MAX: usize = 16;

/// Half-open connections are noticed after twice this, in seconds.
const HEARTBEAT_SECONDS: u16 = 10;

/// How to reach the broker. Its [`fmt::Debug`] shows neither user nor password.
#[derive(Clone)]
pub struct RabbitSettings {
    pub(super) nodes: Vec<AMQPUri>,
    pub(super) ca: Option<String>,
    pub(super) shards: u16,
    pub(super) name: String,
}

/// Why settings cannot be used. Never holds the address itself, which may have a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// An address is not `amqp://` or `amqps://`, or not an address at all.
    #[error("address {0} is not of the form amqp://HOST[:PORT][/VHOST] or amqps://...")]
    Address(usize),
    /// None, or more than [`NODES_MAX`].
    #[error("1 to {NODES_MAX} addresses are needed")]
    Nodes,
    /// None, or more than [`SHARDS_MAX`].
    #[error("1 to {SHARDS_MAX} shards are possible")]
    Shards,
}

impl RabbitSettings {
    /// Takes the nodes of one broker as a comma list of `amqp://` or `amqps://` addresses, which are tried in turn, and
    /// the number of shards. `name` is what the broker shows for the connections.
    ///
    /// # Errors
    /// See [`SettingsError`]; addresses are counted from 1.
    pub fn new(addresses: &str, shards: u16, name: &str) -> Result<Self, SettingsError> {
        let mut nodes = Vec::new();
        for (index, address) in addresses.split(',').map(str::trim).enumerate() {
            let mut node: AMQPUri = address.parse().map_err(|_| SettingsError::Address(index + 1))?;
            if node.authority.host.is_empty() {
                return Err(SettingsError::Address(index + 1));
            }
            node.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
            nodes.push(node);
        }
        if nodes.is_empty() || nodes.len() > NODES_MAX {
            return Err(SettingsError::Nodes);
        }
        if shards == 0 || shards > SHARDS_MAX {
            return Err(SettingsError::Shards);
        }
        Ok(Self { nodes, ca: None, shards, name: name.to_owned() })
    }

    /// Logs in as this user, whatever the addresses say.
    #[must_use]
    pub fn with_user(mut self, user: &str) -> Self {
        for node in &mut self.nodes {
            user.clone_into(&mut node.authority.userinfo.username);
        }
        self
    }

    /// Logs in with this password, whatever the addresses say.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        for node in &mut self.nodes {
            password.clone_into(&mut node.authority.userinfo.password);
        }
        self
    }

    /// Trusts these certificates too (PEM), beside the system's, when connecting to `amqps://`.
    #[must_use]
    pub fn with_ca(mut self, pem: String) -> Self {
        self.ca = Some(pem);
        self
    }
}

/// A node's address as it may be shown.
pub(super) fn shown(node: &AMQPUri) -> String {
    let scheme = match node.scheme {
        AMQPScheme::AMQP => "amqp",
        AMQPScheme::AMQPS => "amqps",
    };
    format!("{scheme}://{}:{}", node.authority.host, node.authority.port)
}

impl fmt::Debug for RabbitSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitSettings")
            .field("nodes", &self.nodes.iter().map(shown).collect::<Vec<_>>())
            .field("ca", &self.ca.is_some())
            .field("shards", &self.shards)
            .field("name", &self.name)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(addresses: &str) -> Result<RabbitSettings, SettingsError> {
        RabbitSettings::new(addresses, 4, "test")
    }

    #[test]
    fn several_nodes_are_a_comma_list() {
        let settings = settings("amqp://a, amqps://b:7000/prod").unwrap();
        let shown: Vec<_> = settings.nodes.iter().map(shown).collect();
        assert_eq!(shown, ["amqp://a:5672", "amqps://b:7000"]);
        assert_eq!(settings.nodes[0].vhost, "/");
        assert_eq!(settings.nodes[1].vhost, "prod");
    }

    #[test]
    fn errors_name_the_address_and_never_show_it() {
        assert_eq!(settings("amqp://a,http://u:secret@b").unwrap_err(), SettingsError::Address(2));
        assert_eq!(settings("amqp://a,,amqp://b").unwrap_err(), SettingsError::Address(2));
        assert_eq!(settings("").unwrap_err(), SettingsError::Address(1));
        assert_eq!(settings(&["amqp://a"; 17].join(",")).unwrap_err(), SettingsError::Nodes);
        assert_eq!(RabbitSettings::new("amqp://a", 0, "").unwrap_err(), SettingsError::Shards);
        assert_eq!(RabbitSettings::new("amqp://a", 65, "").unwrap_err(), SettingsError::Shards);
    }

    #[test]
    fn passwords_do_not_show() {
        let settings = settings("amqp://u:secret@a").unwrap().with_user("other").with_password("hidden");
        let shown = format!("{settings:?}");
        assert!(["secret", "other", "hidden"].iter().all(|word| !shown.contains(word)), "{shown}");
        assert_eq!(settings.nodes[0].authority.userinfo.username, "other");
        assert_eq!(settings.nodes[0].authority.userinfo.password, "hidden");
    }
}
