//! Addresses of sites, and the words of who may listen and send.

use std::time::Duration;

use axum::http::Uri;

use super::access::{SessionCheck, UserCheck};
use super::value;

/// Most origins.
pub const ORIGINS_MAX: usize = 64;
/// Shortest time between two checks of a login.
pub const RECHECK_MIN: Duration = Duration::from_secs(30);
/// Longest time between two checks of a login.
pub const RECHECK_MAX: Duration = Duration::from_secs(24 * 3600);
const WORDS_BYTES_MAX: usize = 256;

/// `scheme://host[:port]` in lower case, without the port that its scheme has anyway, as browsers write an origin.
pub(super) fn site(text: &str) -> Result<String, String> {
    let origin = origin(text)?;
    if origin.starts_with("http://") && !is_here(&origin) {
        return Err(format!("must be https:// (http:// only for this machine), not {}", quoted(text)));
    }
    Ok(origin)
}

fn origin(text: &str) -> Result<String, String> {
    const FORM: &str = "must be https://HOST or https://HOST:PORT, without a path";
    let uri: Uri = text.parse().map_err(|_| format!("{FORM}, not {}", quoted(text)))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(format!("{FORM}, not {}", quoted(text)));
    };
    let has_rest = !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@');
    if has_rest || authority.host().is_empty() || !matches!(scheme, "http" | "https") {
        return Err(format!("{FORM}, not {}", quoted(text)));
    }
    let default = if scheme == "https" { 443 } else { 80 };
    let port = authority.port_u16().filter(|&port| port != default).map_or_else(String::new, |port| format!(":{port}"));
    Ok(format!("{scheme}://{}{port}", authority.host().to_ascii_lowercase()))
}

/// For an error: without what stands before an `@`, which may be a password.
fn quoted(text: &str) -> String {
    text.rsplit_once('@').map_or_else(|| format!("`{text}`"), |(_, place)| format!("`...@{place}`"))
}

fn is_here(origin: &str) -> bool {
    let host = origin.split_once("://").map_or("", |(_, rest)| rest);
    let host = host.strip_prefix('[').map_or_else(|| host.split(':').next(), |rest| rest.split(']').next());
    let host = host.unwrap_or("");
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// None: any.
pub(super) fn origins(text: &str) -> Result<Option<Vec<String>>, String> {
    if text == "any" {
        return Ok(None);
    }
    if text.split(',').count() > ORIGINS_MAX {
        return Err(format!("must be at most {ORIGINS_MAX} origins"));
    }
    text.split(',').map(|text| origin(text.trim())).collect::<Result<_, _>>().map(Some)
}

/// Something that is fetched: an address with a path.
pub(super) fn fetched(text: &str) -> Result<String, String> {
    let uri: Uri = text.parse().map_err(|_| format!("must be https://HOST/PATH, not {}", quoted(text)))?;
    let host = uri.authority().map_or("", |authority| authority.host());
    let is_safe = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => is_here(&format!("http://{host}")),
        _ => false,
    };
    if !is_safe || host.is_empty() || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(format!("must be https://HOST/PATH (http:// only for this machine), not {}", quoted(text)));
    }
    Ok(text.to_owned())
}

pub(super) fn session_check(text: &str) -> Result<SessionCheck, String> {
    let all = [SessionCheck::Required, SessionCheck::KeyIfAway, SessionCheck::KeyOnly];
    let found = all.into_iter().find(|mode| mode.name() == text);
    found.ok_or_else(|| format!("must be required, key-if-away or key-only, not `{text}`"))
}

pub(super) fn recheck(text: &str) -> Result<Duration, String> {
    let duration = value::duration(text)?;
    if (RECHECK_MIN..=RECHECK_MAX).contains(&duration) {
        return Ok(duration);
    }
    let (min, max) = (RECHECK_MIN.as_secs(), RECHECK_MAX.as_secs() / 3600);
    Err(format!("must be from {min} s to {max} h, not `{text}`"))
}

pub(super) fn allow(text: &str) -> Result<bool, String> {
    one_of(text, "refuse", "allow")
}

pub(super) fn on(text: &str) -> Result<bool, String> {
    one_of(text, "off", "on")
}

fn one_of(text: &str, no: &str, yes: &str) -> Result<bool, String> {
    if text == yes || text == no { Ok(text == yes) } else { Err(format!("must be {no} or {yes}, not `{text}`")) }
}

pub(super) fn user_check(text: &str) -> Result<UserCheck, String> {
    match text {
        "off" => Ok(UserCheck::Off),
        "exists" => Ok(UserCheck::Exists),
        "push" => Ok(UserCheck::Push),
        _ => Err(format!("must be off, exists or push, not `{text}`")),
    }
}

/// A name that others chose.
pub(super) fn words(text: &str) -> Result<String, String> {
    let is_good = !text.is_empty() && text.len() <= WORDS_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic());
    let error = || format!("must be 1 to {WORDS_BYTES_MAX} visible ASCII characters, not `{text}`");
    is_good.then(|| text.to_owned()).ok_or_else(error)
}

/// A label as Prometheus has them.
pub(super) fn label(text: &str) -> Result<String, String> {
    let mut bytes = text.bytes();
    let is_first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let is_good = bytes.next().is_some_and(is_first) && bytes.all(|b| is_first(b) || b.is_ascii_digit());
    let error = || format!("must be a label's name, letters, digits and _, at most {WORDS_BYTES_MAX}, not `{text}`");
    (is_good && text.len() <= WORDS_BYTES_MAX).then(|| text.to_owned()).ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_an_origin_as_browsers_write_it() {
        for (text, origin) in [
            ("https://Mon.example", "https://mon.example"),
            ("https://mon.example:443/", "https://mon.example"),
            ("https://mon.example:8443", "https://mon.example:8443"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://localhost", "http://localhost"),
        ] {
            assert_eq!(site(text).as_deref(), Ok(origin), "{text}");
        }
        for text in
            ["", "mon.example", "http://mon.example", "https://u:p@mon.example", "https://m/x", "ftp://m", "https://"]
        {
            assert!(site(text).unwrap_err().contains("https://"), "{text}");
        }
    }

    #[test]
    fn an_error_does_not_quote_a_password() {
        for text in ["https://u:pass@m", "https://u:p@ss:pass@m/x", "http://u:pass@127.0.0.1:x", "u:pass@m"] {
            for error in [site(text).unwrap_err(), origins(text).unwrap_err(), fetched(text).unwrap_err()] {
                assert!(error.contains("...@") && !error.contains("pass"), "{text}: {error}");
            }
        }
    }

    #[test]
    fn origins_are_any_or_a_list() {
        assert_eq!(origins("any"), Ok(None));
        assert_eq!(origins("https://A, http://b:81").unwrap().unwrap(), ["https://a", "http://b:81"]);
        assert!(origins(&vec!["https://a"; ORIGINS_MAX + 1].join(",")).unwrap_err().contains("64"));
        assert!(origins("https://a,").is_err());
    }

    #[test]
    fn what_is_fetched_has_a_path_and_comes_safely() {
        assert!(fetched("https://id.example/keys?x=1").is_ok() && fetched("http://127.0.0.1:1/k").is_ok());
        for text in ["http://id.example/keys", "file:///etc/passwd", "https://a@b/c", "x"] {
            assert!(fetched(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_have_their_limits() {
        assert_eq!(session_check("key-if-away"), Ok(SessionCheck::KeyIfAway));
        assert!(session_check("maybe").unwrap_err().contains("key-only"));
        assert_eq!((allow("refuse"), allow("allow"), on("off"), on("on")), (Ok(false), Ok(true), Ok(false), Ok(true)));
        assert!(allow("on").unwrap_err().contains("refuse or allow") && on("yes").unwrap_err().contains("off or on"));
        assert_eq!(recheck("30").unwrap(), RECHECK_MIN);
        assert!(recheck("29s").is_err() && recheck("25h").is_err());
        assert!(label("a_1").is_ok() && label("1a").is_err() && label("").is_err() && label("a-b").is_err());
        assert!(words("openitcockpit:7").is_ok() && words("a b").is_err() && words(&"x".repeat(257)).is_err());
    }
}
