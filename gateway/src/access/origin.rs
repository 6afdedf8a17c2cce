//! From which sites pages may connect. Pure.
//!
//! A browser lets a page of any site open a WebSocket to any other, and sends the other's cookies along; what it cannot
//! be made to do is to lie about the page's origin.

use axum::http::header::{HOST, ORIGIN, REFERER};
use axum::http::{HeaderMap, HeaderValue};

const FETCH_SITE: &str = "sec-fetch-site";

/// Whether a request with these headers may come in. One without an origin is of no browser, or of a page of the
/// gateway itself; of several origins none counts. `allowed` are origins as browsers write them; none: any.
pub(crate) fn may_connect(headers: &HeaderMap, allowed: Option<&[String]>) -> bool {
    let Some(allowed) = allowed else { return true };
    match only(headers, &ORIGIN) {
        Only::None => true,
        Only::Several => false,
        Only::One(origin) => origin_of(origin)
            .is_some_and(|(scheme, host)| is_listed(&scheme, &host, allowed) || is_own(headers, &scheme, &host)),
    }
}

/// Whether a cookie counts that a browser may have sent for a page of another site.
pub(crate) fn may_use_cookie(headers: &HeaderMap, allowed: Option<&[String]>) -> bool {
    let is_listed = || match (only(headers, &ORIGIN), allowed) {
        (Only::One(origin), Some(allowed)) => {
            origin_of(origin).is_some_and(|(scheme, host)| is_listed(&scheme, &host, allowed))
        }
        _ => false,
    };
    !is_of_another_site(headers) || is_listed()
}

/// Browsers say it where the connection is secure. Elsewhere the origin must be that of the host that was asked, or where they
/// leave it out, as for pictures and for pages of this origin, the address of the page if they tell that. Without TLS a page can
/// make them tell neither: there only `SameSite` protects the cookie (docs/protocol.md).
pub(crate) fn is_of_another_site(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(FETCH_SITE) {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(ORIGIN).or_else(|| headers.get(REFERER)) else { return false };
    let authority = |value: &HeaderValue| value.to_str().ok().map(str::to_ascii_lowercase);
    let (origin, host) = (authority(origin), headers.get(HOST).and_then(authority));
    let authority =
        origin.as_deref().and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest.split('/').next());
    authority.flatten() != host.as_deref()
}

enum Only<'a> {
    None,
    One(&'a HeaderValue),
    Several,
}

fn only<'a>(headers: &'a HeaderMap, name: &axum::http::HeaderName) -> Only<'a> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Only::None,
        (Some(value), None) => Only::One(value),
        (Some(_), Some(_)) => Only::Several,
    }
}

/// Scheme and host, with a port that is not the scheme's own, in lower case; none for what is no origin, such as `null`.
fn origin_of(value: &HeaderValue) -> Option<(String, String)> {
    let text = value.to_str().ok()?.to_ascii_lowercase();
    let (scheme, host) = text.split_once("://")?;
    let is_host = !host.is_empty() && !host.bytes().any(|b| b"/?#@, \t\\".contains(&b));
    (matches!(scheme, "http" | "https") && is_host).then(|| (scheme.to_owned(), without_port(scheme, host)))
}

fn without_port(scheme: &str, host: &str) -> String {
    let port = if scheme == "https" { ":443" } else { ":80" };
    host.strip_suffix(port).unwrap_or(host).to_owned()
}

fn is_listed(scheme: &str, host: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|allowed| allowed.split_once("://") == Some((scheme, host)))
}

/// The page that this very gateway serves. By which scheme it was asked, only a proxy in front may know.
fn is_own(headers: &HeaderMap, scheme: &str, host: &str) -> bool {
    let Only::One(asked) = only(headers, &HOST) else { return false };
    asked.to_str().is_ok_and(|asked| without_port(scheme, &asked.to_ascii_lowercase()) == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn may(lines: &[(&'static str, &'static str)]) -> bool {
        let allowed = ["https://monitoring.example".to_owned(), "https://other.example:8443".to_owned()];
        may_connect(&headers(lines), Some(&allowed))
    }

    #[test]
    fn listed_origins_and_the_own_page_may_connect() {
        let host = ("host", "127.0.0.1:8083");
        for origin in [
            "https://monitoring.example",
            "HTTPS://Monitoring.EXAMPLE",
            "https://monitoring.example:443",
            "https://other.example:8443",
            "http://127.0.0.1:8083",
        ] {
            assert!(may(&[host, ("origin", origin)]), "{origin}");
        }
        assert!(may(&[host]), "no browser");
        assert!(may(&[("host", "Push.example:443"), ("origin", "https://push.example")]));
        assert!(may(&[("host", "push.example"), ("origin", "https://push.example:443")]));
    }

    #[test]
    fn all_others_may_not() {
        let host = ("host", "127.0.0.1:8083");
        for origin in [
            "null",
            "",
            "monitoring.example",
            "http://monitoring.example",
            "https://monitoring.example:8443",
            "https://monitoring.example.evil.example",
            "https://evil.example",
            "https://evil.example/https://monitoring.example",
            "https://monitoring.example@evil.example",
            "https://monitoring.example, https://evil.example",
            "https://monitoring.example/",
            "file://",
            "wss://monitoring.example",
            "http://127.0.0.1",
        ] {
            assert!(!may(&[host, ("origin", origin)]), "{origin}");
        }
        let listed = ("origin", "https://monitoring.example");
        assert!(!may(&[host, listed, ("origin", "https://evil.example")]), "two");
        assert!(!may(&[host, listed, listed]), "twice the same");
        assert!(!may(&[("host", "a.example"), ("host", "b.example"), ("origin", "https://b.example")]), "two hosts");
        assert!(!may(&[("origin", "https://b.example")]), "no host");
    }

    #[test]
    fn without_a_list_any_may() {
        assert!(may_connect(&headers(&[("origin", "null")]), None));
    }

    #[test]
    fn a_cookie_counts_for_this_site_and_for_listed_ones() {
        let allowed = ["https://monitoring.example".to_owned()];
        let (host, cross) = (("host", "push.example"), ("sec-fetch-site", "cross-site"));
        let may = |lines: &[(&'static str, &'static str)], allowed| may_use_cookie(&headers(lines), allowed);
        assert!(may(&[host, cross, ("origin", "https://monitoring.example")], Some(&allowed)));
        assert!(!may(&[host, cross, ("origin", "https://evil.example")], Some(&allowed)));
        assert!(!may(&[host, cross, ("origin", "https://monitoring.example")], None), "any site is none of ours");
        assert!(may(&[host, ("origin", "https://push.example")], None));
        assert!(!may(&[host, cross], Some(&allowed)));
    }
}
