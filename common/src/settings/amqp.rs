//! The addresses of a RabbitMQ cluster: `amqp://user:password@a:5672/vhost,b,c`.

use std::fmt;

use super::secret::Secret;
use crate::log::rabbitmq::NODES_MAX;

const PORT: u16 = 5672;
const PORT_TLS: u16 = 5671;

/// RabbitMQ's own default, which it takes from loopback only.
const GUEST: &str = "guest";

/// The RabbitMQ nodes to try in turn, with who we are there. Debug and Display show no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amqp {
    /// At least one.
    pub nodes: Vec<AmqpNode>,
    /// Authorities to trust beside the system's, in PEM form.
    pub ca: Option<String>,
}

/// One RabbitMQ node. All fields are decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmqpNode {
    /// Whether to use TLS (`amqps`).
    pub tls: bool,
    /// Name or IP address; an IPv6 address without brackets.
    pub host: String,
    /// 5672, with TLS 5671, unless given.
    pub port: u16,
    /// `/` unless given.
    pub vhost: String,
    /// `guest` unless given.
    pub user: String,
    /// `guest` unless given.
    pub password: Secret,
}

impl Amqp {
    /// All nodes with their passwords, as a comma list.
    #[must_use]
    pub fn urls(&self) -> Secret {
        let urls: Vec<Secret> = self.nodes.iter().map(AmqpNode::url).collect();
        Secret::new(&urls.iter().map(Secret::expose).collect::<Vec<_>>().join(","))
    }
}

impl AmqpNode {
    /// The complete address with the password, as AMQP clients take it.
    #[must_use]
    pub fn url(&self) -> Secret {
        let password = encode(self.password.expose());
        Secret::new(&format!("{}{}:{password}@{}", self.scheme(), encode(&self.user), self.place()))
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "amqps://" } else { "amqp://" }
    }

    fn place(&self) -> String {
        let brackets = self.host.contains(':');
        let host = if brackets { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}/{}", self.port, encode(&self.vhost))
    }
}

impl fmt::Display for AmqpNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}@{}", self.scheme(), encode(&self.user), self.place())
    }
}

impl fmt::Display for Amqp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, node) in self.nodes.iter().enumerate() {
            if number > 0 {
                f.write_str(",")?;
            }
            write!(f, "{node}")?;
        }
        Ok(())
    }
}

/// Reads a comma list. A node without scheme, user or virtual host takes those of the first node that has
/// them. Errors quote nothing: a password may stand anywhere in a mistyped address.
pub(super) fn parse(text: &str) -> Result<Amqp, String> {
    let parts: Vec<Parts<'_>> = text.split(',').map(|node| split(node.trim())).collect();
    if parts.len() > NODES_MAX {
        return Err(format!("must list at most {NODES_MAX} nodes"));
    }
    let shared = Parts {
        scheme: parts.iter().find_map(|p| p.scheme),
        user: parts.iter().find_map(|p| p.user),
        place: "",
        vhost: parts.iter().find_map(|p| p.vhost),
    };
    let node = |(number, part): (usize, &Parts<'_>)| {
        part.node(&shared).map_err(|error| format!("node {} of the list: {error}", number + 1))
    };
    Ok(Amqp { nodes: parts.iter().enumerate().map(node).collect::<Result<_, _>>()?, ca: None })
}

struct Parts<'a> {
    scheme: Option<&'a str>,
    user: Option<&'a str>,
    place: &'a str,
    vhost: Option<&'a str>,
}

fn split(node: &str) -> Parts<'_> {
    let (scheme, rest) = node.split_once("://").map_or((None, node), |(scheme, rest)| (Some(scheme), rest));
    let (place, vhost) = rest.split_once('/').map_or((rest, None), |(place, vhost)| (place, Some(vhost)));
    let (user, place) = place.rsplit_once('@').map_or((None, place), |(user, place)| (Some(user), place));
    Parts { scheme, user, place, vhost }
}

impl Parts<'_> {
    fn node(&self, shared: &Parts<'_>) -> Result<AmqpNode, String> {
        let tls = match self.scheme.or(shared.scheme) {
            Some("amqp") => false,
            Some("amqps") => true,
            _ => return Err("must begin with amqp:// or amqps://".into()),
        };
        let (host, port) = host_port(self.place)?;
        let vhost = match self.vhost.or(shared.vhost) {
            None | Some("") => "/".to_owned(),
            Some(vhost) if vhost.contains(['?', '#']) => {
                return Err("takes no options behind ?; a private authority goes into amqp-ca-file".into());
            }
            // Or else a `/` in a password would make the host of it.
            Some(vhost) if vhost.contains('@') => return Err(UNENCODED.into()),
            Some(vhost) => decode(vhost).ok_or("the virtual host is not percent-encoded UTF-8")?,
        };
        let (user, password) = match self.user.or(shared.user) {
            None => (GUEST, GUEST),
            Some(both) => both.split_once(':').unwrap_or((both, GUEST)),
        };
        Ok(AmqpNode {
            tls,
            host,
            port: port.unwrap_or(if tls { PORT_TLS } else { PORT }),
            vhost,
            user: decode(user).ok_or("the user is not percent-encoded UTF-8")?,
            password: Secret::new(&decode(password).ok_or("the password is not percent-encoded UTF-8")?),
        })
    }
}

const UNENCODED: &str = "must have a host name or IP address; in user, password and virtual host write @ as %40, \
     / as %2F, : as %3A, comma as %2C";

fn host_port(place: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match place.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let named = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || !host.chars().all(named) {
        return Err(UNENCODED.into());
    }
    let port = match port {
        None => None,
        Some(port) => Some(port.parse().ok().filter(|&p| p != 0).ok_or("the port must be a number from 1 to 65535")?),
    };
    Ok((host.to_owned(), port))
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        decoded.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(decoded).ok()
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn urls(text: &str) -> Vec<String> {
        parse(text).unwrap().nodes.iter().map(|node| node.url().expose().to_owned()).collect()
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        assert_eq!(urls("amqp://rabbit"), ["amqp://guest:guest@rabbit:5672/%2F"]);
        assert_eq!(urls("amqps://rabbit/"), ["amqps://guest:guest@rabbit:5671/%2F"]);
        assert_eq!(urls("amqp://u:p%40ss@[::1]:1/%2fv"), ["amqp://u:p%40ss@[::1]:1/%2Fv"]);
        assert_eq!(urls("amqp://u:p@ss@h"), ["amqp://u:p%40ss@h:5672/%2F"]);
    }

    #[test]
    fn nodes_take_what_the_first_one_has() {
        let expected = ["amqps://u:p@a:5671/v", "amqps://u:p@b:1/v", "amqp://w:q@c:5672/v"];
        assert_eq!(urls("amqps://u:p@a, b:1, amqp://w:q@c/v"), expected);
    }

    #[test]
    fn passwords_are_not_shown() {
        let amqp = parse("amqp://u:s3cret@a,b").unwrap();
        assert_eq!(amqp.to_string(), "amqp://u@a:5672/%2F,amqp://u@b:5672/%2F");
        assert!(!format!("{amqp:?}").contains("s3cret"));
    }

    #[test]
    fn errors_name_the_node_and_quote_nothing() {
        for text in [
            "amqp://",
            "amqp://s3cret/x@host",
            "amqp://u:s3cret@h:x",
            "amqp://u:s3cret@h:0",
            "amqp://u:s3cret%zz@h",
            "amqp://u:s3cret%@h",
            "amqp://u:s3cret%ff@h",
            "amqp://h/v?s3cret=1",
            "amqp://u:s3cret@",
            "http://s3cret@h",
        ] {
            let error = parse(&format!("amqp://u:p@a/v,{text}")).unwrap_err();
            assert!(error.starts_with("node 2") && !error.contains("s3cret"), "{text}: {error}");
        }
        assert!(parse(&format!("amqp://a{}", ",b".repeat(NODES_MAX))).unwrap_err().contains("at most 16"));
    }

    proptest! {
        #[test]
        fn any_user_password_and_vhost_survives(user in ".{1,20}", password in ".{0,20}", vhost in ".{1,20}") {
            let node = AmqpNode {
                tls: true, host: "h".into(), port: 7, vhost, user, password: Secret::new(&password),
            };
            prop_assert_eq!(&parse(node.url().expose()).unwrap().nodes, &[node]);
        }

        #[test]
        fn no_text_crashes(text in ".{0,60}") {
            let _ = parse(&text);
        }
    }
}
