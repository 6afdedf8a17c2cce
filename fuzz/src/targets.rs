//! The targets and what they hold the codecs to.

use bellwire_common::directory::credentials::{Credentials, Host};
use bellwire_common::ids::{BrowserId, NotificationId, Offset, UnixMillis, UserId};
use bellwire_common::log::RECORD_BYTES_MAX;
use bellwire_common::notification::Notification;
use bellwire_common::record::Record;
use bellwire_gateway::access::verdict::Verdict;
use bellwire_gateway::protocol::{
    Dialect, FRAME_BYTES_MAX, Head, Identity, Proof, Protocol, SharedKey, Step, TabEvent, TestMessage, encode,
    native as wire,
};
use bellwire_ingest::BATCH_ITEMS_MAX;
use bellwire_ingest::http::{alert_records, message_record};
use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

const SECRET: u64 = 7;
const OTHER_SECRET: u64 = 8;

/// Where the clock of `message` stands, and the time to live there. Milliseconds.
const NOW_MS: u64 = 1_795_000_000_000;
const TTL_MS: u64 = 600_000;

/// Most messages of one input.
const MESSAGES_LEN_MAX: usize = 64;

/// Room for what an answer has beside an echo of the message, in bytes.
const ANSWER_BYTES: usize = 256;

/// Any bytes as a record: what is read is written and read again, in fewer bytes or the same ones, and what it
/// would show can be said in every protocol.
pub fn record(bytes: &[u8]) {
    let Ok(record) = Record::decode(Bytes::copy_from_slice(bytes)) else { return };
    let again = record.encode();
    // Only numbers may be spelled longer than they are written.
    assert!(again.len() < bytes.len() || again == bytes, "{bytes:02x?} became {again:02x?}");
    assert_eq!(Record::decode(again).as_ref(), Ok(&record));
    if let Record::Notify(notify) = record
        && let Ok(notification) = serde_json::from_slice(&notify.payload)
    {
        shown(&notify.user, &notify.id, &notification);
    }
}

/// A body of `POST /message`: what it becomes is a record that the log takes, that does not outlive its limit, and that
/// can be said in every protocol; the same body becomes the same record, so that a repeat is known by its id.
pub fn message(bytes: &[u8]) {
    let now = UnixMillis(NOW_MS);
    let Some(encoded) = message_record(bytes, now, TTL_MS) else { return };
    assert!(encoded.len() <= RECORD_BYTES_MAX, "{} bytes", encoded.len());
    assert_eq!(message_record(bytes, now, TTL_MS).as_ref(), Some(&encoded));
    let Ok(Record::Notify(notify)) = Record::decode(encoded) else { panic!("not a notification") };
    // One that is as old as it may be is taken.
    assert!(notify.expires_at >= now && notify.expires_at <= now.plus(TTL_MS), "{:?}", notify.expires_at);
    let notification = serde_json::from_slice(&notify.payload).expect("the payload is a notification");
    shown(&notify.user, &notify.id, &notification);
}

/// A body of `POST /v1/alertmanager`, whose users the label `user` names: the same holds for each alert in it.
pub fn alertmanager(bytes: &[u8]) {
    let now = UnixMillis(NOW_MS);
    let all = alert_records(bytes, "user", now, TTL_MS);
    assert!(all.len() <= BATCH_ITEMS_MAX, "{} notifications", all.len());
    assert_eq!(alert_records(bytes, "user", now, TTL_MS), all);
    for encoded in all {
        assert!(encoded.len() <= RECORD_BYTES_MAX, "{} bytes", encoded.len());
        let Ok(Record::Notify(notify)) = Record::decode(encoded) else { panic!("not a notification") };
        assert_eq!(notify.expires_at, now.plus(TTL_MS));
        let notification = serde_json::from_slice(&notify.payload).expect("the payload is a notification");
        shown(&notify.user, &notify.id, &notification);
    }
}

/// A `mysql.cnf`: what is taken from it is taken again from a file of our own spelling, and no error quotes it.
pub fn credentials(bytes: &[u8]) {
    let read = match Credentials::parse(bytes) {
        Ok(read) => read,
        Err(error) => return assert!(error.to_string().len() < 80, "{error}"),
    };
    let Credentials { host, port, user, password, database } = &read;
    let socket = if let Host::Local { socket: Some(socket) } = host { socket } else { "" };
    let again = format!(
        "[client]\nhost=\"{host}\"\nsocket=\"{socket}\"\nport={port}\nuser=\"{user}\"\npassword=\"{}\"\ndatabase=\"{database}\"",
        password.expose()
    );
    assert_eq!(Credentials::parse(again.as_bytes()).as_ref(), Ok(&read), "{again:?}");
}

/// Any bytes as openITCOCKPIT's answer to a login check: a user that it names is one that V1 and V2 tabs can claim to be.
pub fn login(bytes: &[u8]) {
    let Verdict::Yes(user) = Verdict::of(200, bytes, None) else { return };
    let number: i64 = user.as_str().parse().expect("a number");
    assert!(number > 0 && number.to_string() == user.as_str(), "{user}");
}

/// Lines as the messages of a V1 tab.
pub fn v1(bytes: &[u8]) {
    conversation(Protocol::V1, bytes);
}

/// Lines as the messages of a V2 tab.
pub fn v2(bytes: &[u8]) {
    conversation(Protocol::V2, bytes);
}

/// Lines as the messages of a native tab.
pub fn native(bytes: &[u8]) {
    conversation(Protocol::Native, bytes);
}

/// `>binary` and `>oversize` stand for such messages, `{first}`, `{at:0}` to `{at:9}` and `{other:1}` for ids.
fn conversation(protocol: Protocol, bytes: &[u8]) {
    let identity = Identity { user: id("7", UserId::try_new), browser: id("b1", BrowserId::try_new) };
    let mut tab = Dialect::new(protocol, (protocol == Protocol::V2).then_some(identity), SECRET);
    let key = SharedKey::try_new("secret").expect("the key is long enough");
    let text = with_ids(protocol, &String::from_utf8_lossy(bytes));
    let mut announced = false;
    for line in text.lines().take(MESSAGES_LEN_MAX) {
        let step = match line {
            ">binary" => tab.on_binary(),
            ">oversize" => tab.on_oversize(),
            _ if line.len() > FRAME_BYTES_MAX => tab.on_oversize(),
            _ => tab.on_text(line, Some(&key)),
        };
        check_reply(protocol, line, &step);
        if check_event(protocol, line, &step, &mut announced) {
            return;
        }
        assert_eq!(tab.announced(), announced);
    }
}

fn check_reply(protocol: Protocol, line: &str, step: &Step) {
    let Some(reply) = &step.reply else { return };
    let body = match protocol {
        Protocol::V2 => reply.strip_suffix('\n').expect("V2 frames end with a newline"),
        Protocol::V1 | Protocol::Native | Protocol::Events => reply,
    };
    assert!(protocol != Protocol::V2 || !body.contains(['<', '>', '&']), "not escaped: {body}");
    // V2 writes each of three characters as six (openITCOCKPIT facts, 2.2).
    let longer = if protocol == Protocol::V2 { 6 } else { 1 };
    assert!(body.len() <= longer * line.len() + ANSWER_BYTES, "{} bytes answer {}", body.len(), line.len());
    // Not a `Value`: an echo may be nested deeper than those go.
    let object = serde_json::from_str::<&RawValue>(body).expect("an answer is JSON");
    assert!(object.get().starts_with('{'), "{body}");
}

/// Whether the session is over.
fn check_event(protocol: Protocol, line: &str, step: &Step, announced: &mut bool) -> bool {
    match &step.event {
        Some(TabEvent::End(end)) => {
            assert_eq!(end.initiator(), "server");
            assert_eq!(end.close_frame(protocol).is_none(), protocol == Protocol::V2);
            return true;
        }
        Some(TabEvent::Announce { cursor, .. }) => {
            assert!(!std::mem::replace(announced, true), "announced twice");
            assert!(cursor.as_ref().is_none_or(|cursor| wire::cursor_of(cursor).is_some()));
        }
        Some(TabEvent::PageProof(Proof::Cursor(cursor))) => {
            assert!(*announced && protocol.is_native() && wire::cursor_of(cursor).is_some());
        }
        Some(TabEvent::PageProof(Proof::Offset(offset))) => check_proof(protocol, line, *offset),
        Some(TabEvent::Test(test)) => check_test(test, announced),
        None => {}
    }
    false
}

/// A proof names an id that this tab was greeted with.
fn check_proof(protocol: Protocol, line: &str, offset: Offset) {
    let own = greeting_id(protocol, SECRET, Some(offset));
    if let Ok(message) = serde_json::from_str::<Value>(line) {
        assert!(has_text(&message, &own), "{line} is no proof of {own}");
    }
}

fn check_test(test: &TestMessage, announced: &mut bool) {
    assert!(test.announce.is_some() != *announced, "a test announces a tab that is not announced, and only that");
    *announced = true;
    let notification = test.notification(1_700_000_000);
    assert!(notification.title.len() <= TestMessage::TITLE_BYTES_MAX);
    assert!(notification.icon.as_ref().is_none_or(|icon| icon.len() <= TestMessage::ICON_BYTES_MAX));
    shown(&id("7", UserId::try_new), &id("n1", NotificationId::try_new), &notification);
}

/// The frames of a notification say what it says.
fn shown(user: &UserId, id: &NotificationId, notification: &Notification) {
    for protocol in Protocol::SPOKEN {
        let Some(frame) = encode(protocol, user, Head { id, cursor: "log-0:42", digested: false }, notification) else {
            assert_ne!(protocol, Protocol::Native);
            continue;
        };
        let frame: Value = serde_json::from_str(&frame).expect("a frame is JSON");
        let (title, body) = match protocol {
            Protocol::V1 => (frame.pointer("/data/title"), frame.pointer("/message")),
            Protocol::V2 => (frame.pointer("/payload/title"), frame.pointer("/message")),
            Protocol::Native | Protocol::Events => (frame.pointer("/title"), frame.pointer("/body")),
        };
        assert_eq!(title.and_then(Value::as_str), Some(notification.title.as_str()));
        assert_eq!(body.and_then(Value::as_str).unwrap_or(""), notification.body);
        if protocol == Protocol::Native {
            let again: Notification = serde_json::from_value(frame).expect("a native frame holds the notification");
            let empty = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
            let (icon, url) = (empty(&notification.icon), empty(&notification.url));
            assert_eq!(again, Notification { icon, url, ..notification.clone() });
        }
    }
}

fn with_ids(protocol: Protocol, text: &str) -> String {
    // Native tabs have no greetings.
    if protocol == Protocol::Native || !text.contains('{') {
        return text.to_owned();
    }
    let mut text = text.replace("{first}", &greeting_id(protocol, SECRET, None));
    text = text.replace("{other:1}", &greeting_id(protocol, OTHER_SECRET, Some(Offset(1))));
    for offset in 0..10 {
        let name = format!("{{at:{offset}}}");
        if text.contains(&name) {
            text = text.replace(&name, &greeting_id(protocol, SECRET, Some(Offset(offset))));
        }
    }
    text
}

fn greeting_id(protocol: Protocol, secret: u64, offset: Option<Offset>) -> String {
    let tab = Dialect::new(protocol, None, secret);
    let frame = offset.map_or_else(|| tab.first_frame(), |offset| tab.greeting(offset));
    let frame: Value = serde_json::from_str(&frame.expect("V1 and V2 have greetings")).expect("a frame is JSON");
    let id = frame.pointer("/data/uuid").or(frame.pointer("/payload/clientUuid")).and_then(Value::as_str);
    id.expect("a greeting has an id").to_owned()
}

fn has_text(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Array(values) => values.iter().any(|value| has_text(value, wanted)),
        Value::Object(fields) => fields.values().any(|value| has_text(value, wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn id<T, E: std::fmt::Debug>(text: &str, make: impl FnOnce(&str) -> Result<T, E>) -> T {
    make(text).expect("the id is within its limits")
}
