//! `bellwire.v1` without WebSocket: the server's messages as an event stream (`GET /events`), the client's each by a
//! request of its own (`POST /events`).
//!
//! The request for the stream says what the hello says over WebSocket; the last message says what the close frame does.

use std::borrow::Cow;

use bellwire_common::ids::{BrowserId, NodeId, SessionId, UserId};
use bellwire_common::notification::FieldError;
use serde::Serialize;

use super::fields::{Names, fields, string};
use super::native::cursor_of;
use super::{FRAME_BYTES_MAX, Identity, json, parameter};

/// What a stream begins with: when an `EventSource` comes back, and something that shows proxies and people that it has begun.
pub const PREAMBLE: &str = "retry: 3000\n: bellwire.v1\n\n";

/// Largest body of a POST, in bytes: the largest message, and what goes around it.
pub const BODY_BYTES_MAX: usize = FRAME_BYTES_MAX + 512;

/// Whose stream is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Whose tab it is.
    pub identity: Identity,
    /// The cursor token with which the browser comes back.
    pub cursor: Option<String>,
}

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<'a> {
    /// To which session.
    pub session: SessionId,
    /// The session's token, as given.
    pub token: Cow<'a, str>,
    /// A message of `bellwire.v1`, as it stands in the body.
    pub say: &'a str,
}

/// Reads the query string (without its `?`) and the header `Last-Event-ID`, which is newer than the query's cursor: an
/// `EventSource` repeats its address. As in a hello, a damaged cursor is none.
pub fn asked(query: &str, last_event_id: Option<&str>) -> Result<Asked, FieldError> {
    let user = id(query, "user", UserId::try_new)?;
    let browser = id(query, "browser", BrowserId::try_new)?;
    let given = [last_event_id.map(Cow::Borrowed), parameter(query, "cursor")];
    let cursor = given.into_iter().flatten().find(|token| cursor_of(token).is_some()).map(Cow::into_owned);
    Ok(Asked { identity: Identity { user, browser }, cursor })
}

fn id<T, E: std::fmt::Display>(
    query: &str,
    field: &'static str,
    make: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, FieldError> {
    let text = parameter(query, field).ok_or_else(|| wrong(field, "must stand in the query string"))?;
    make(&text).map_err(|error| wrong(field, error))
}

/// Reads the body of a POST. The message itself is the session's to judge.
pub fn said(body: &str) -> Result<Said<'_>, FieldError> {
    let Some([session, token, say]) = fields(body, ["session", "token", "say"], Names::Exact) else {
        return Err(wrong("", "the body must be one JSON object"));
    };
    let session = session.and_then(string).and_then(|text| session_of(&text));
    let session = session.ok_or_else(|| wrong("session", "must be that of the welcome"))?;
    let token = token.and_then(string).ok_or_else(|| wrong("token", "must be that of the welcome"))?;
    let say = say.map(|raw| raw.get()).filter(|text| text.starts_with('{'));
    let say = say.ok_or_else(|| wrong("say", "must be an object, a message of bellwire.v1"))?;
    Ok(Said { session, token, say })
}

/// The session that a welcome calls so.
fn session_of(text: &str) -> Option<SessionId> {
    let (node, number) = text.split_once('-')?;
    let session = SessionId { node: NodeId(u64::from_str_radix(node, 16).ok()?), number: number.parse().ok()? };
    // Only as it was told: other spellings of the numbers are no session.
    (format!("{}-{}", session.node, session.number) == text).then_some(session)
}

fn wrong(field: &'static str, message: impl std::fmt::Display) -> FieldError {
    FieldError { field: field.into(), message: message.to_string() }
}

/// Appends a message to what is to be written; `id` is a notification's cursor.
pub fn event(out: &mut Vec<u8>, id: Option<&str>, message: &str) {
    if let Some(id) = id {
        for part in ["id: ", id, "\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    // A status is JSON as its sender spelled it: between its words there may be line ends.
    for line in message.split(['\n', '\r']) {
        for part in ["data: ", line, "\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.push(b'\n');
}

/// The last message: what a close frame says over WebSocket.
#[must_use]
pub fn close(code: u16, reason: &str) -> String {
    #[derive(Serialize)]
    struct Close<'a> {
        op: &'a str,
        code: u16,
        reason: &'a str,
    }
    json::text(&Close { op: "close", code, reason }, 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_between_words_do_not_end_an_event() {
        let mut out = Vec::new();
        event(&mut out, Some("log-0:1"), "{\"a\":\r\n 1}");
        assert_eq!(String::from_utf8(out).unwrap(), "id: log-0:1\ndata: {\"a\":\ndata: \ndata:  1}\n\n");
    }

    #[test]
    fn sessions_are_spelled_as_they_were_told() {
        let session = SessionId { node: NodeId(0xab), number: 12 };
        assert_eq!(session_of("00000000000000ab-12"), Some(session));
        for text in ["ab-12", "00000000000000AB-12", "00000000000000ab-012", "00000000000000ab-+12", "-", "", "x-1"] {
            assert_eq!(session_of(text), None, "{text}");
        }
    }
}
