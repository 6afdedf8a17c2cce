//! What clients say.

use std::borrow::Cow;
use std::fmt::Display;

use bellwire_common::ids::{BrowserId, UserId};
use bellwire_common::notification::Kind;
use serde_json::value::RawValue;

use super::{ErrorCode, cursor_of, error};
use crate::protocol::dialect::{Dialect, Proof, Step, TabEvent, TestMessage};
use crate::protocol::fields::{Names, fields, string};
use crate::protocol::{End, FRAME_BYTES_MAX, Identity};

pub(in crate::protocol) fn on_binary() -> Step {
    fatal(ErrorCode::Binary, "messages must be text", End::Binary)
}

pub(in crate::protocol) fn on_oversize() -> Step {
    let message = format!("a message must have at most {FRAME_BYTES_MAX} bytes");
    fatal(ErrorCode::TooLarge, &message, End::TooLarge)
}

/// Wrong JSON and a hello without an identity end the session; everything else that is wrong is only told.
pub(in crate::protocol) fn on_text(dialect: &mut Dialect, text: &str) -> Step {
    let Some([op, rest @ ..]) = fields(text, NAMES, Names::Exact) else {
        return fatal(ErrorCode::BadJson, "a message must be one JSON object", End::BadMessage);
    };
    let op = op.and_then(string);
    match op.as_deref() {
        Some("hello") => hello(dialect, rest),
        Some("ping") => Step::reply(r#"{"op":"pong"}"#.to_owned()),
        Some("pong") => Step::default(),
        Some("ack" | "test") if !dialect.announced() => wrong(ErrorCode::HelloExpected, "say hello first"),
        Some("ack") => ack(rest),
        Some("test") => test(rest).unwrap_or_else(|message| wrong(ErrorCode::BadField, &message)),
        Some(_) => wrong(ErrorCode::UnknownOp, "op must be hello, ack, test, ping or pong"),
        None => wrong(ErrorCode::BadField, "op must be a text"),
    }
}

const NAMES: [&str; 9] = ["op", "user", "browser", "cursor", "title", "icon", "kind", "type", "state"];

/// The values of [`NAMES`] behind `op`.
type Rest<'a> = [Option<&'a RawValue>; 8];

fn hello(dialect: &mut Dialect, [user, browser, cursor, ..]: Rest<'_>) -> Step {
    if dialect.announced() {
        return wrong(ErrorCode::HelloRepeated, "hello was said already");
    }
    let user = match id(user, "user", UserId::try_new) {
        Ok(user) => user,
        Err(message) => return fatal(ErrorCode::BadField, &message, End::NoIdentity),
    };
    let browser = match id(browser, "browser", BrowserId::try_new) {
        Ok(browser) => browser,
        Err(message) => return fatal(ErrorCode::BadField, &message, End::NoIdentity),
    };
    dialect.announce_once();
    // A browser with a damaged cursor is served like one without.
    let cursor = cursor.and_then(string).filter(|token| cursor_of(token).is_some()).map(Cow::into_owned);
    Step::event(TabEvent::Announce { identity: Identity { user, browser }, cursor })
}

fn id<T, E: Display>(
    raw: Option<&RawValue>,
    field: &str,
    make: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, String> {
    let text = raw.and_then(string).ok_or_else(|| format!("{field} must be a text"))?;
    make(&text).map_err(|error| format!("{field} {error}"))
}

fn ack([_, _, cursor, ..]: Rest<'_>) -> Step {
    match cursor.and_then(string).filter(|token| cursor_of(token).is_some()) {
        Some(token) => Step::event(TabEvent::PageProof(Proof::Cursor(token.into_owned()))),
        None => wrong(ErrorCode::BadField, "cursor must be that of a notification"),
    }
}

fn test([_, _, _, title, icon, kind, notification_type, state]: Rest<'_>) -> Result<Step, String> {
    let state = match state.map(|raw| serde_json::from_str(raw.get())) {
        None => 0,
        Some(Ok(state)) => state,
        Some(Err(_)) => return Err("state must be an integer".to_owned()),
    };
    let kind = match kind.map(|raw| serde_json::from_str(raw.get())) {
        None => Kind::Message,
        Some(Ok(kind)) => kind,
        Some(Err(_)) => return Err("kind must be host, service or message".to_owned()),
    };
    Ok(Step::event(TabEvent::Test(TestMessage {
        announce: None,
        title: bounded(title, "title", TestMessage::TITLE_BYTES_MAX)?,
        icon: bounded(icon, "icon", TestMessage::ICON_BYTES_MAX)?,
        kind,
        notification_type: bounded(notification_type, "type", TestMessage::TYPE_BYTES_MAX)?.unwrap_or_default(),
        state,
    })))
}

fn bounded(raw: Option<&RawValue>, field: &str, bytes_max: usize) -> Result<Option<String>, String> {
    let Some(raw) = raw else { return Ok(None) };
    match string(raw).filter(|text| text.len() <= bytes_max) {
        Some(text) => Ok(Some(text.into_owned()).filter(|text| !text.is_empty())),
        None => Err(format!("{field} must be a text of at most {bytes_max} bytes")),
    }
}

fn wrong(code: ErrorCode, message: &str) -> Step {
    Step::reply(error(code, message))
}

fn fatal(code: ErrorCode, message: &str, end: End) -> Step {
    Step { reply: Some(error(code, message)), event: Some(TabEvent::End(end)) }
}
