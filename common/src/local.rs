//! Whether a request comes from this machine: not from another one, not from a browser that some page sends here, and not
//! from a proxy that passes on what comes from elsewhere. The last two reach the loopback address as well.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::header::{FORWARDED, HOST, ORIGIN, VIA};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use crate::http::{Own, Peer};

/// Why a request does not count as coming from this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotLocal {
    /// Another machine sent it.
    Peer,
    /// This header says that a browser or a proxy sent it.
    Header(String),
}

/// Lets a request of this machine pass. It must carry the extension [`Peer`]; one without counts as coming from another
/// machine.
pub fn check(parts: &Parts) -> Result<(), NotLocal> {
    check_unless(parts, None)
}

/// The same for a listener that is not on loopback. What comes from the very address that it came to (extension [`Own`])
/// is of this machine too, and may name it as its host.
pub fn check_own(parts: &Parts) -> Result<(), NotLocal> {
    let (peer, own) = (parts.extensions.get::<Peer>(), parts.extensions.get::<Own>());
    let is_same = |own: &SocketAddr| peer.is_some_and(|Peer(peer)| peer.ip().to_canonical() == own.ip().to_canonical());
    check_unless(parts, own.map(|Own(own)| *own).filter(is_same))
}

/// Lets a request pass, from wherever, that neither a browser nor a proxy has sent.
pub fn check_direct(headers: &HeaderMap) -> Result<(), NotLocal> {
    let found = headers.keys().find(|name| is_of_browser_or_proxy(name));
    found.map_or(Ok(()), |name| Err(NotLocal::Header(name.as_str().to_owned())))
}

fn check_unless(parts: &Parts, own: Option<SocketAddr>) -> Result<(), NotLocal> {
    let is_here = |peer: &Peer| own.is_some() || is_loopback(peer.0);
    if !parts.extensions.get::<Peer>().is_some_and(is_here) {
        return Err(NotLocal::Peer);
    }
    check_direct(&parts.headers)?;
    let target = parts.uri.authority().map(|authority| authority.as_str());
    let is_ours = |host: &str| is_loopback_host(host) || own.is_some_and(|own| is_literal(host, own));
    if !only_host(&parts.headers).is_some_and(is_ours) || !target.is_none_or(is_ours) {
        return Err(NotLocal::Header(HOST.as_str().to_owned()));
    }
    Ok(())
}

fn is_of_browser_or_proxy(name: &HeaderName) -> bool {
    let text = name.as_str();
    [&ORIGIN, &FORWARDED, &VIA].contains(&name)
        || text.starts_with("sec-fetch-")
        || text.starts_with("x-forwarded-")
        || text == "x-real-ip"
}

fn only_host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    }
}

/// This address and port, and no name for it.
fn is_literal(host: &str, own: SocketAddr) -> bool {
    host.parse()
        .is_ok_and(|host: SocketAddr| host.ip().to_canonical() == own.ip().to_canonical() && host.port() == own.port())
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// `localhost` or a loopback address, with or without a port.
fn is_loopback_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            return is_port(port) && address.parse::<Ipv6Addr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        }
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_address = || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    is_port(port) && (name.eq_ignore_ascii_case("localhost") || is_address())
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart() {
        for host in [
            "localhost",
            "LOCALHOST:8083",
            "127.0.0.1",
            "127.0.0.1:8083",
            "127.1.2.3",
            "[::1]",
            "[::1]:80",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "example.org",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "10.0.0.1:8083",
            "0.0.0.0",
            "[::2]",
            "[::1",
            "[::1]x",
            "localhost:",
            "localhost:x",
            "localhost:99999",
            "user@localhost",
            "127.1",
            "2130706433",
            "localhost:80:80",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }

    #[test]
    fn peers_are_told_apart() {
        for peer in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(is_loopback(peer.parse().unwrap()), "{peer}");
        }
        for peer in ["10.0.0.1:1", "0.0.0.0:1", "[::]:1", "[::ffff:10.0.0.1]:1", "[fe80::1]:1"] {
            assert!(!is_loopback(peer.parse().unwrap()), "{peer}");
        }
    }
}
