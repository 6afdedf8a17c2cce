//! The spellings of a server's address, for commands that ask it. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::http::Uri;

use bellwire_common::settings::defaults;

/// Most addresses in one list.
pub(crate) const PLACES_MAX: usize = 16;

/// Where a node listens, for addresses that name neither scheme nor port.
const PORT: u16 = defaults::TABS.address.port();

/// Where a server is. Shows itself as it would be asked for a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Whether the connection is encrypted.
    pub(crate) tls: bool,
    /// A name or an IP address; IPv6 without brackets.
    pub(crate) host: String,
    /// Its port, the scheme's if none was named.
    pub(crate) port: u16,
    /// Begins with `/`, unless it is empty.
    path: String,
}

impl Place {
    /// Takes a comma list of 1 to [`PLACES_MAX`] addresses; empty places are skipped.
    pub(crate) fn list(text: &str) -> Result<Vec<Self>, String> {
        let texts: Vec<&str> = text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
        if texts.is_empty() || texts.len() > PLACES_MAX {
            return Err(format!("must be 1 to {PLACES_MAX} addresses, not {}", texts.len()));
        }
        texts.into_iter().map(Self::parse).collect()
    }

    /// Takes `HOST` and `HOST:PORT` (without TLS, port 8083 if none is named), and whole addresses that begin with `ws://`,
    /// `wss://`, `http://` or `https://`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is not HOST, HOST:PORT, or an address with ws://, wss://, http:// or https://");
        if text.contains('@') {
            return Err("an address must not hold a user or password".into());
        }
        let (scheme, rest) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
        let scheme = scheme.map(str::to_ascii_lowercase);
        let (tls, default_port) = match scheme.as_deref() {
            Some("ws" | "http") => (false, 80),
            Some("wss" | "https") => (true, 443),
            Some(_) => return Err(form()),
            None => (false, PORT),
        };
        let uri: Uri = format!("http://{rest}").parse().map_err(|_| form())?;
        let authority = uri.authority().ok_or_else(form)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        // `HOST:` and a port above 65535 parse as an authority that has no port.
        let lost = authority.port_u16().is_none() && authority.as_str().len() > authority.host().len();
        let port = authority.port_u16().unwrap_or(default_port);
        if host.is_empty() || port == 0 || lost || uri.query().is_some() || text.contains('#') {
            return Err(form());
        }
        Ok(Self { tls, host, port, path: uri.path().trim_end_matches('/').to_owned() })
    }

    /// The address of `path` (which begins with `/`) below it, for a request.
    pub(crate) fn http(&self, path: &str) -> String {
        let base = self.path.strip_suffix(path).unwrap_or(&self.path);
        format!("{}://{}{base}{path}", if self.tls { "https" } else { "http" }, self.authority())
    }

    /// `HOST:PORT`, IPv6 with brackets.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Where a node that listens at `listen` is reached from this machine: one that listens everywhere is on loopback.
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling() {
        for (text, wanted) in [
            ("push1", "ws://push1:8083"),
            ("push1:9", "ws://push1:9"),
            ("[::1]:9", "ws://[::1]:9"),
            ("[::1]", "ws://[::1]:8083"),
            ("ws://push1/", "ws://push1:80"),
            ("HTTP://push1:8083", "ws://push1:8083"),
            ("https://mon.example/push_notifications", "wss://mon.example:443/push_notifications"),
            ("wss://mon.example:8443", "wss://mon.example:8443"),
        ] {
            assert_eq!(Place::parse(text).unwrap().to_string(), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_address() {
        for text in [
            "",
            ":",
            ":80",
            "a:",
            "a:0",
            "a:70000",
            "a b",
            "ftp://a",
            "ws://",
            "ws://a?b",
            "ws://a#b",
            "ws://u:p@a",
            "::1",
        ] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
        assert!(!Place::parse("ws://u:s3cret@a").unwrap_err().contains("s3cret"));
        assert!(Place::list(" , ").unwrap_err().contains("1 to 16"));
        assert!(Place::list(&"a,".repeat(17)).unwrap_err().contains("1 to 16"));
        assert_eq!(Place::list(" a , ,b:1,").unwrap().len(), 2);
    }

    #[test]
    fn everywhere_is_loopback() {
        for (listen, wanted) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), wanted);
        }
    }

    #[test]
    fn requests_go_below_it() {
        let place = Place::parse("https://mon.example/push").unwrap();
        assert_eq!(place.http("/v1/notifications"), "https://mon.example:443/push/v1/notifications");
        assert_eq!(place.http(""), "https://mon.example:443/push");
        let whole = Place::parse("http://a:1/v1/notifications").unwrap();
        assert_eq!(whole.http("/v1/notifications"), "http://a:1/v1/notifications");
    }
}
