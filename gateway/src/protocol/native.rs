//! `bellwire.v1`: Bellwire's own protocol. Each text message is a JSON object whose `op` says what it is.
//!
//! `docs/protocol.md` describes it completely. Clients ignore fields and `op`s that they do not know; so does
//! the server with fields.

use bellwire_common::ids::{Offset, SessionId};
use bellwire_common::notification::{Kind, Notification, Object};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Head, Identity, json};

mod client;

pub(super) use client::{on_binary, on_oversize, on_text};

/// Longest cursor token that is read, in bytes.
pub const CURSOR_BYTES_MAX: usize = 256;

/// Room for a notification frame beside its texts, in bytes.
const FRAME_BYTES: usize = 512;

/// What is wrong with a message of the client. Each tells whether the session stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// The message is not a JSON object.
    BadJson,
    /// The message is binary.
    Binary,
    /// The message is larger than [`FRAME_BYTES_MAX`](super::FRAME_BYTES_MAX).
    TooLarge,
    /// A field is missing or not what it must be; the text names it.
    BadField,
    /// The `op` is none that a client may send.
    UnknownOp,
    /// Something else came before the hello.
    HelloExpected,
    /// A second hello.
    HelloRepeated,
    /// The client sends more than it may, tests for example; what it sent is not done.
    Rate,
    /// What was asked for cannot be done now; it may be asked again later.
    Unavailable,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 9] = [
        Self::BadJson,
        Self::Binary,
        Self::TooLarge,
        Self::BadField,
        Self::UnknownOp,
        Self::HelloExpected,
        Self::HelloRepeated,
        Self::Rate,
        Self::Unavailable,
    ];

    /// The code as it is sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::Binary => "binary",
            Self::TooLarge => "too_large",
            Self::BadField => "bad_field",
            Self::UnknownOp => "unknown_op",
            Self::HelloExpected => "hello_expected",
            Self::HelloRepeated => "hello_repeated",
            Self::Rate => "rate",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The token of a place in a log: what a browser keeps, opaque to it.
#[must_use]
pub fn cursor_token(log: &str, offset: Offset) -> String {
    format!("{log}:{offset}")
}

/// Log name and offset of a token; none for what is no token.
#[must_use]
pub fn cursor_of(token: &str) -> Option<(&str, Offset)> {
    let (log, offset) = token.rsplit_once(':').filter(|_| token.len() <= CURSOR_BYTES_MAX)?;
    let digits = !offset.is_empty() && offset.bytes().all(|b| b.is_ascii_digit());
    let offset = offset.parse().ok().filter(|_| digits && !log.is_empty())?;
    Some((log, Offset(offset)))
}

/// A token that stands for a place in each of two logs: while the number of shards changes, a browser reads both, and may keep
/// only the last token that it got.
#[must_use]
pub fn joined(one: String, other: String) -> String {
    [&*one, &*other].join(",")
}

/// Each place that a token stands for: one, or those of [`joined`].
pub fn cursors_of(token: &str) -> impl Iterator<Item = (&str, Offset)> {
    token.split(',').filter(|_| token.len() <= CURSOR_BYTES_MAX).filter_map(cursor_of)
}

/// The answer to the hello. `cursor` is where the browser goes on, `token` what the client of an event stream proves with
/// that it is the one, `ping_interval_ms` how often a [`ping`] comes at least.
#[must_use]
pub fn welcome(
    session: SessionId,
    identity: &Identity,
    cursor: Option<&str>,
    token: Option<&str>,
    version: &str,
    ping_interval_ms: u64,
) -> String {
    #[derive(Serialize)]
    struct Welcome<'a> {
        op: &'a str,
        session: String,
        user: &'a str,
        browser: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<&'a str>,
        version: &'a str,
        ping_interval_ms: u64,
    }
    let session = format!("{}-{}", session.node, session.number);
    let (user, browser) = (identity.user.as_str(), identity.browser.as_str());
    json::text(&Welcome { op: "welcome", session, user, browser, cursor, token, version, ping_interval_ms }, 384)
}

/// `dropped` notifications before the next one are gone for good: expired, or too many were waiting.
#[must_use]
pub fn gap(dropped: u64) -> String {
    #[derive(Serialize)]
    struct Gap {
        op: &'static str,
        dropped: u64,
    }
    json::text(&Gap { op: "gap", dropped }, 48)
}

/// This node will close the connection in `after_ms`; a client that opens another one before loses no time.
#[must_use]
pub fn drain(after_ms: u64) -> String {
    #[derive(Serialize)]
    struct Drain {
        op: &'static str,
        after_ms: u64,
    }
    json::text(&Drain { op: "drain", after_ms }, 48)
}

/// What is wrong with a message of the client; `message` is for people.
#[must_use]
pub fn error(code: ErrorCode, message: &str) -> String {
    #[derive(Serialize)]
    struct Error<'a> {
        op: &'a str,
        code: &'a str,
        message: &'a str,
    }
    json::text(&Error { op: "error", code: code.as_str(), message }, 96)
}

/// The server is alive: pages cannot see the pings of WebSocket itself.
#[must_use]
pub fn ping() -> String {
    r#"{"op":"ping"}"#.to_owned()
}

pub(super) fn status(key: &str, value_json: &[u8]) -> Option<String> {
    #[derive(Serialize)]
    struct Status<'a> {
        op: &'a str,
        key: &'a str,
        value: &'a RawValue,
    }
    let value = serde_json::from_slice(value_json).ok()?;
    Some(json::text(&Status { op: "status", key, value }, 48 + key.len() + value_json.len()))
}

pub(super) fn notification(head: Head<'_>, n: &Notification) -> String {
    #[derive(Serialize)]
    struct Frame<'a> {
        op: &'a str,
        id: &'a str,
        cursor: &'a str,
        timestamp: i64,
        kind: Kind,
        #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
        notification_type: &'a str,
        state: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<&'a Object>,
        #[serde(skip_serializing_if = "Option::is_none")]
        service: Option<&'a Object>,
        title: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        body: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        icon: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<&'a str>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        digested: bool,
    }
    let frame = Frame {
        op: "notification",
        id: head.id.as_str(),
        cursor: head.cursor,
        timestamp: n.timestamp,
        kind: n.kind,
        notification_type: &n.notification_type,
        state: n.state,
        host: n.host.as_ref(),
        service: n.service.as_ref(),
        title: &n.title,
        body: &n.body,
        icon: n.icon.as_deref().filter(|icon| !icon.is_empty()),
        url: n.url.as_deref().filter(|url| !url.is_empty()),
        digested: head.digested,
    };
    json::text(&frame, FRAME_BYTES + n.title.len() + n.body.len())
}
