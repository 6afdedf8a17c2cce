//! What the mobile relay is sent (openITCOCKPIT's own server sends the same). Pure.

use serde::Serialize;

use bellwire_common::notification::{Kind, Notification};

/// Where the relay takes notifications, whatever path its address has.
const PATH: &str = "/notifications/send-notification.json";

/// Why a relay's address is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    /// Nothing is in it.
    #[error("it is empty")]
    Empty,
    /// It is neither `http` nor `https`.
    #[error("its scheme is {0}, not https or http")]
    Scheme(String),
    /// There is no host in it, or its port is no number.
    #[error("it names no host, or a port that is none")]
    Host,
}

/// One push, with its keys in the order of their names. Not to be shown: it holds the relay's key.
#[derive(Serialize)]
pub(crate) struct Push<'a> {
    auth_key: &'a str,
    body: &'a str,
    current_state: i64,
    host_uuid: &'a str,
    notification_type: &'a str,
    service_uuid: &'a str,
    title: &'a str,
    token: &'a str,
    r#type: &'static str,
    user_id: i64,
}

impl<'a> Push<'a> {
    /// What a device of a user is told of a notification. The app knows hosts and services only: anything else is a host's
    /// custom notification, as a test is.
    pub(crate) fn new(notification: &'a Notification, user_id: i64, token: &'a str, auth_key: &'a str) -> Self {
        let is_message = notification.kind == Kind::Message;
        let id = |object: &'a Option<bellwire_common::notification::Object>| object.as_ref().map_or("", |o| &*o.id);
        let notification_type = if is_message { "CUSTOM" } else { &*notification.notification_type };
        Self {
            auth_key,
            body: &notification.body,
            current_state: notification.state,
            host_uuid: id(&notification.host),
            notification_type,
            service_uuid: id(&notification.service),
            title: &notification.title,
            token,
            r#type: if notification.kind == Kind::Service { "service" } else { "host" },
            user_id,
        }
    }
}

/// The address of a relay from its row: `https` where it has no scheme, the port in the address before the one beside it, the
/// path replaced, a user name kept.
pub(crate) fn url(address: &str, port: i64) -> Result<String, AddressError> {
    let address = address.trim();
    if address.is_empty() {
        return Err(AddressError::Empty);
    }
    let (scheme, rest) = address.split_once("://").unwrap_or(("https", address));
    let scheme = scheme.to_ascii_lowercase();
    let default = match &*scheme {
        "https" => 443,
        "http" => 80,
        _ => return Err(AddressError::Scheme(scheme)),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    let (login, host) = authority.rsplit_once('@').map_or((None, authority), |(login, host)| (Some(login), host));
    let (host, own) = split_port(host).ok_or(AddressError::Host)?;
    let port = own.or_else(|| u16::try_from(port).ok()).filter(|&port| port != 0 && port != default);
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let login = login.map_or_else(String::new, |login| format!("{login}@"));
    Ok(format!("{scheme}://{login}{host}{port}{PATH}"))
}

/// The host, in brackets if it is an IPv6 address, and its port.
fn split_port(host: &str) -> Option<(&str, Option<u16>)> {
    let end = if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (name, port) = host.split_at(end);
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some("") => None,
        Some(digits) => Some(digits.parse().ok()?),
        None => return None,
    };
    is_name.then_some((name, port))
}

#[cfg(test)]
mod tests {
    use bellwire_common::notification::Object;

    use super::*;

    #[test]
    fn addresses_follow_the_rules_of_the_go_server() {
        for (address, port, expected) in [
            ("relay.example", 0, "https://relay.example"),
            ("  relay.example  ", 443, "https://relay.example"),
            ("relay.example", 8443, "https://relay.example:8443"),
            ("relay.example:9000", 8443, "https://relay.example:9000"),
            ("https://relay.example:443/x?y#z", 8443, "https://relay.example"),
            ("http://relay.example", 80, "http://relay.example"),
            ("HTTP://relay.example", 443, "http://relay.example:443"),
            ("relay.example", -1, "https://relay.example"),
            ("relay.example", 70_000, "https://relay.example"),
            ("https://u:p@relay.example/a", 0, "https://u:p@relay.example"),
            ("[2001:db8::1]", 8443, "https://[2001:db8::1]:8443"),
            ("[2001:db8::1]:9", 8443, "https://[2001:db8::1]:9"),
        ] {
            assert_eq!(url(address, port), Ok(format!("{expected}{PATH}")), "{address} {port}");
        }
        assert_eq!(url(" ", 1), Err(AddressError::Empty));
        assert_eq!(url("ftp://x", 1), Err(AddressError::Scheme("ftp".into())));
        for address in ["https://", "https:///x", "relay:x", "relay:70000", "[::1", "a b"] {
            assert_eq!(url(address, 1), Err(AddressError::Host), "{address}");
        }
    }

    fn notification(kind: Kind) -> Notification {
        let object = |id: &str| Some(Object { id: id.into(), name: "name".into() });
        Notification {
            timestamp: 1,
            kind,
            notification_type: "PROBLEM".into(),
            state: 2,
            host: object("h").filter(|_| kind != Kind::Message),
            service: object("s").filter(|_| kind == Kind::Service),
            title: "t".into(),
            body: "b".into(),
            url: None,
            icon: None,
        }
    }

    #[test]
    fn a_push_has_all_keys_in_order() {
        let text = |kind| serde_json::to_string(&Push::new(&notification(kind), 7, "device", "key")).unwrap();
        assert_eq!(
            text(Kind::Service),
            r#"{"auth_key":"key","body":"b","current_state":2,"host_uuid":"h","notification_type":"PROBLEM","service_uuid":"s","title":"t","token":"device","type":"service","user_id":7}"#
        );
        assert!(text(Kind::Host).contains(r#""service_uuid":"","title":"t","token":"device","type":"host""#));
        let message = text(Kind::Message);
        assert!(message.contains(r#""host_uuid":"","notification_type":"CUSTOM""#), "{message}");
    }
}
