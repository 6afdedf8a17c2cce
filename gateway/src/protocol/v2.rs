//! V2: openITCOCKPIT's new front end (section 2).

use std::borrow::Cow;

use bellwire_common::ids::UserId;
use bellwire_common::notification::{Kind, Notification};
use serde::Serialize;
use serde_json::value::RawValue;

use super::dialect::{Dialect, Step, TabEvent, TestMessage};
use super::fields::{Names, fields, string};
use super::{End, json, v1};

const CONNECTED: &str = "Connected";
const UNKNOWN: &str = "This server knows no message type ";

/// Longest part of an unknown type that is told back, in bytes.
const TYPE_ECHO_BYTES_MAX: usize = 64;

/// Room for a notification frame beside its texts, in bytes.
const FRAME_BYTES: usize = 320;

/// The first frame, and each repeated greeting.
pub(super) fn established(id: &str) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Payload<'a> {
        client_uuid: &'a str,
    }
    line(&Frame { kind: "ConnectionEstablished", message: CONNECTED, payload: Payload { client_uuid: id } }, 160)
}

/// A notification; none for a user that V2 cannot name.
pub(super) fn notification(user: &UserId, n: &Notification) -> Option<String> {
    let (host, service) = v1::clicked(n);
    let payload = Payload {
        timestamp: n.timestamp,
        user_id: v1::user_number(user)?,
        title: &n.title,
        message: &n.body,
        kind: v1::kind(n.kind),
        host_uuid: host.unwrap_or_default(),
        service_uuid: service.unwrap_or_default(),
        icon: n.icon.as_deref().unwrap_or(""),
    };
    let capacity = FRAME_BYTES + n.title.len() + 2 * n.body.len();
    Some(line(&Frame { kind: "ProcessPushNotification", message: &n.body, payload }, capacity))
}

/// `ExportStatus`; none if the value is not a boolean.
pub(super) fn export_status(value_json: &[u8]) -> Option<String> {
    let payload: bool = serde_json::from_slice(value_json).ok()?;
    Some(line(&Frame { kind: "ExportStatus", message: "", payload }, 64))
}

/// Reacts as 2.3 says. What is not a message ends the connection, without a close frame: the tab comes back.
pub(super) fn on_text(dialect: &mut Dialect, text: &str) -> Step {
    let Some([kind, message, payload]) = fields(text, ["type", "message", "payload"], Names::AnyCase) else {
        return Step::end(End::BadMessage);
    };
    // Absent texts are empty, others are refused, as Go's decoder does.
    let (Some(kind), Some(_)) = (kind.map_or(Some("".into()), string), message.map_or(Some("".into()), string)) else {
        return Step::end(End::BadMessage);
    };
    let is_object = payload.is_none_or(|payload| payload.get().starts_with('{'));
    let [id, title, icon] = payload
        .and_then(|payload| fields(payload.get(), ["clientUuid", "title", "icon"], Names::AnyCase))
        .unwrap_or_default();
    let step = match kind.as_ref() {
        "KeepAlive" => Step::reply(line(&Frame { kind: "KeepAlive", message: "Pong", payload: () }, 64)),
        "RegisterBrowserPushNotification" if is_object => register(dialect),
        "TestPushNotification" if is_object => test(dialect, title, icon),
        "RegisterBrowserPushNotification" | "TestPushNotification" => Step::default(),
        unknown => Step::reply(error(unknown)),
    };
    step.with_proof(id.and_then(string).and_then(|id| dialect.proof_of(&id)))
}

fn register(dialect: &mut Dialect) -> Step {
    match dialect.announce_from_handshake() {
        Some(identity) => Step::event(TabEvent::Announce { identity, cursor: None }),
        None => Step::default(),
    }
}

fn test(dialect: &mut Dialect, title: Option<&RawValue>, icon: Option<&RawValue>) -> Step {
    Step::event(TabEvent::Test(TestMessage {
        announce: dialect.announce_from_handshake(),
        title: given(title).map(|text| cut(&text, TestMessage::TITLE_BYTES_MAX).to_owned()),
        icon: given(icon).filter(|text| text.len() <= TestMessage::ICON_BYTES_MAX).map(|text| text.into_owned()),
        kind: Kind::Message,
        notification_type: String::new(),
        state: 0,
    }))
}

fn given(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    raw.and_then(string).filter(|text| !text.is_empty())
}

fn error(kind: &str) -> String {
    let message = format!("{UNKNOWN}\"{}\"", cut(kind, TYPE_ECHO_BYTES_MAX));
    line(&Frame { kind: "Error", message: &message, payload: () }, 192)
}

/// The start of `text` that has at most `bytes_max` bytes.
fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

/// Go's encoder ends each frame with a newline.
fn line<T: Serialize>(frame: &T, capacity: usize) -> String {
    let mut text = json::text_escaped(frame, capacity);
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Frame<'a, P> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: &'a str,
    payload: P,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    timestamp: i64,
    user_id: i64,
    title: &'a str,
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    host_uuid: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    service_uuid: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    icon: &'a str,
}
