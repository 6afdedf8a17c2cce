//! The spellings of an ingest's address.

use std::fmt;
use std::net::Ipv6Addr;

use ureq::http::Uri;

/// Most addresses in one list: each gets a share of the deadline.
pub(crate) const ADDRESSES_MAX: usize = 16;
/// Where ingest listens, for addresses that name neither scheme nor port.
pub const PORT_DEFAULT: u16 = 8083;
/// Where it takes notifications.
pub const PATH: &str = "/v1/notifications";

/// Where one ingest is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address(String);

/// Why a text is not an address of ingest.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("the address {0:?} must begin with http:// or https://, or be HOST or HOST:PORT")]
    Scheme(String),
    #[error("an address holds a user or password: give a token with --token-file instead")]
    Credentials,
    #[error("the address {0:?} is not HOST, HOST:PORT, http://HOST:PORT or https://HOST:PORT")]
    Form(String),
    #[error("{0} addresses are given, at most {ADDRESSES_MAX} are taken")]
    TooMany(usize),
}

impl Address {
    /// Takes a comma list; empty places are skipped.
    pub(crate) fn parse_list(list: &str) -> Result<Vec<Self>, AddressError> {
        let texts: Vec<&str> = list.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
        if texts.len() > ADDRESSES_MAX {
            return Err(AddressError::TooMany(texts.len()));
        }
        texts.into_iter().map(Self::try_new).collect()
    }

    /// Takes `HOST` and `HOST:PORT` (by http, port 8083 if none is named) and whole `http` and `https` addresses.
    pub(crate) fn try_new(text: &str) -> Result<Self, AddressError> {
        if text.contains('@') {
            return Err(AddressError::Credentials);
        }
        let form = || AddressError::Form(text.to_owned());
        let whole = match text.split_once("://") {
            Some((scheme, rest)) if is(scheme, "http") => format!("http://{rest}"),
            Some((scheme, rest)) if is(scheme, "https") => format!("https://{rest}"),
            Some(_) => return Err(AddressError::Scheme(text.to_owned())),
            None if text.parse::<Ipv6Addr>().is_ok() => format!("http://[{text}]:{PORT_DEFAULT}"),
            None if text.contains('/') => return Err(form()),
            None if names_port(text) => format!("http://{text}"),
            None => format!("http://{text}:{PORT_DEFAULT}"),
        };
        let base = whole.trim_end_matches('/');
        let base = base.strip_suffix(PATH).unwrap_or(base);
        let uri: Uri = format!("{base}{PATH}").parse().map_err(|_| form())?;
        let host = uri.host().unwrap_or_default();
        let port_is_whole = uri.authority().is_some_and(|a| a.port().is_none_or(|port| port.as_u16() != 0));
        let has_more = base.contains(['?', '#']) || !base.is_ascii();
        if host.is_empty() || host == "[]" || has_more || !port_is_whole || port_missing_after_colon(&uri) {
            return Err(form());
        }
        Ok(Self(base.to_owned()))
    }

    /// Where notifications are posted to.
    pub(crate) fn url(&self) -> String {
        format!("{}{PATH}", self.0)
    }

    /// Whether the connection is encrypted.
    pub(crate) fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is(scheme: &str, wanted: &str) -> bool {
    scheme.eq_ignore_ascii_case(wanted)
}

fn names_port(text: &str) -> bool {
    match text.rfind(']') {
        Some(end) => end + 1 < text.len(),
        None => text.contains(':'),
    }
}

/// `HOST:` and a port above 65535 parse as an authority that has no port.
fn port_missing_after_colon(uri: &Uri) -> bool {
    uri.authority().is_some_and(|a| a.port_u16().is_none() && a.as_str().len() > a.host().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<String, AddressError> {
        Address::try_new(text).map(|address| address.url())
    }

    #[test]
    fn every_spelling() {
        for (text, wanted) in [
            ("127.0.0.1", "http://127.0.0.1:8083/v1/notifications"),
            ("127.0.0.1:9", "http://127.0.0.1:9/v1/notifications"),
            ("monitor.example", "http://monitor.example:8083/v1/notifications"),
            ("monitor.example:80", "http://monitor.example:80/v1/notifications"),
            ("::1", "http://[::1]:8083/v1/notifications"),
            ("[::1]", "http://[::1]:8083/v1/notifications"),
            ("[::1]:9", "http://[::1]:9/v1/notifications"),
            ("http://monitor.example", "http://monitor.example/v1/notifications"),
            ("HTTP://monitor.example:8083/", "http://monitor.example:8083/v1/notifications"),
            ("https://monitor.example", "https://monitor.example/v1/notifications"),
            ("https://monitor.example/push", "https://monitor.example/push/v1/notifications"),
            ("https://monitor.example/v1/notifications", "https://monitor.example/v1/notifications"),
        ] {
            assert_eq!(url(text).as_deref(), Ok(wanted), "{text}");
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
            "a/b",
            "http://",
            "http://a?b",
            "http://a#b",
            "ä",
            "http://[::1",
            "a:b",
        ] {
            assert_eq!(url(text), Err(AddressError::Form(text.to_owned())), "{text}");
        }
        assert_eq!(url("ftp://a"), Err(AddressError::Scheme("ftp://a".into())));
        assert_eq!(url("http://u:p@a"), Err(AddressError::Credentials));
    }

    #[test]
    fn lists() {
        assert_eq!(Address::parse_list(" a , ,b:1,").unwrap().len(), 2);
        assert_eq!(Address::parse_list(&"a,".repeat(17)), Err(AddressError::TooMany(17)));
    }
}
