//! V1: openITCOCKPIT 5.3 and older (section 1).

use bellwire_common::ids::{BrowserId, UserId};
use bellwire_common::notification::{Kind, Notification};
use serde::Serialize;
use serde_json::value::RawValue;

use super::dialect::{Dialect, Step, TabEvent};
use super::fields::{Names, fields, present, string};
use super::{End, Identity, SharedKey, cast, json};

const CONNECTED: &str = "Connected, waiting for your registration";
const TEST: &str = "This tab reaches the server and back";
const TEST_TITLE: &str = "\"Test notification\"";

/// Room for a notification frame beside its texts, in bytes.
const FRAME_BYTES: usize = 320;

/// The first frame, and each repeated greeting.
pub(super) fn connection(id: &str) -> String {
    #[derive(Serialize)]
    struct Data<'a> {
        uuid: &'a str,
    }
    json::text(&Frame { kind: "connection", message: CONNECTED, data: Data { uuid: id } }, 128)
}

/// A notification; none for a user that V1 cannot name.
pub(super) fn notification(user: &UserId, n: &Notification) -> Option<String> {
    let (host, service) = clicked(n);
    let data = Data {
        timestamp: n.timestamp,
        user_id: user_number(user)?,
        title: &n.title,
        message: &n.body,
        kind: kind(n.kind),
        host_uuid: host,
        // The front end makes a click lead somewhere unless both are null; for hosts its server sent "".
        service_uuid: host.map(|_| service.unwrap_or_default()),
        icon: n.icon.as_deref().filter(|icon| !icon.is_empty()),
    };
    let capacity = FRAME_BYTES + n.title.len() + 2 * n.body.len();
    Some(json::text(&Frame { kind: "message", message: &n.body, data }, capacity))
}

/// The host and the service that a click leads to, by their ids. Both old front ends know openITCOCKPIT's own pages only:
/// where the sender named another page, none is better than a wrong one.
pub(super) fn clicked(n: &Notification) -> (Option<&str>, Option<&str>) {
    if n.url.as_ref().is_some_and(|url| !url.is_empty()) {
        return (None, None);
    }
    (n.host.as_ref().map(|host| host.id.as_str()), n.service.as_ref().map(|service| service.id.as_str()))
}

/// The integer by which V1 and V2 know the user.
pub(super) fn user_number(user: &UserId) -> Option<i64> {
    let number: i64 = user.as_str().parse().ok().filter(|number| *number > 0)?;
    // "+7" and "07" are other users than "7".
    user.as_str().bytes().next().filter(|first| matches!(first, b'1'..=b'9'))?;
    Some(number)
}

/// Both old protocols know hosts and services only; a message without either shows nothing of its type.
pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Host | Kind::Message => "host",
        Kind::Service => "service",
    }
}

/// Reacts as 1.4 says. What is not a message is ignored: the tab could not come back.
pub(super) fn on_text(dialect: &mut Dialect, text: &str, key: Option<&SharedKey>) -> Step {
    let Some([Some(given), Some(task), Some(uuid), data]) = fields(text, ["key", "task", "uuid", "data"], Names::Exact)
    else {
        return Step::default();
    };
    if !key.is_some_and(|key| string(given).is_some_and(|given| key.matches(&given))) {
        return Step::end(End::BadKey);
    }
    let proof = string(uuid).and_then(|uuid| dialect.proof_of(&uuid));
    let step = match string(task).as_deref() {
        Some("register") => register(dialect, data),
        Some("keepAlive") => Step::reply(pong()),
        Some("testMessage") => Step::reply(test(data)),
        _ => Step::default(),
    };
    step.with_proof(proof)
}

fn register(dialect: &mut Dialect, data: Option<&RawValue>) -> Step {
    let Some(Some([Some(user), Some(browser)])) =
        data.map(|data| fields(data.get(), ["userId", "browserUuid"], Names::Exact))
    else {
        return Step::end(End::NoIdentity);
    };
    let Some(browser) = string(browser).and_then(|text| BrowserId::try_new(&text).ok()) else {
        return Step::end(End::NoIdentity);
    };
    let user = cast::integer(user);
    // PHP kept records of user 0, to whom nothing is ever sent; the connection stays all the same.
    if user <= 0 {
        return Step::default();
    }
    let Ok(user) = UserId::try_new(&user.to_string()) else { return Step::default() };
    // The first registration decides whose tab it is; repeating it changes nothing.
    if dialect.announce_once() {
        Step::event(TabEvent::Announce { identity: Identity { user, browser }, cursor: None })
    } else {
        Step::default()
    }
}

fn pong() -> String {
    json::text(&Frame { kind: "keepAlive", message: "Pong", data: [(); 0] }, 64)
}

/// The tab's own data, with what the front end needs and the tab left out: it throws without `data`, shows
/// "undefined" without `title`, and makes a click lead nowhere unless both ids are null.
fn test(data: Option<&RawValue>) -> String {
    const NEEDED: [(&str, &str); 4] =
        [("title", TEST_TITLE), ("icon", "null"), ("hostUuid", "null"), ("serviceUuid", "null")];
    let given = data.and_then(|data| Some((data.get(), present(data.get(), NEEDED.map(|(name, _)| name))?)));
    let (object, present) = given.unwrap_or(("{}", [false; 4]));
    let mut echo = object.strip_suffix('}').unwrap_or(object).to_owned();
    let mut separator = if echo.trim_end() == "{" { "" } else { "," };
    for ((name, value), _) in NEEDED.iter().zip(present).filter(|(_, present)| !present) {
        echo.push_str(&format!("{separator}\"{name}\":{value}"));
        separator = ",";
    }
    echo.push('}');
    let data = RawValue::from_string(echo).ok();
    json::text(&Frame { kind: "message", message: TEST, data }, 256)
}

#[derive(Serialize)]
struct Frame<'a, D> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: &'a str,
    data: D,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    timestamp: i64,
    user_id: i64,
    title: &'a str,
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    host_uuid: Option<&'a str>,
    service_uuid: Option<&'a str>,
    icon: Option<&'a str>,
}
