//! What is asked of the event stream, and said to it.

use bellwire_common::ids::{BrowserId, UserId};
use bellwire_gateway::protocol::{Dialect, FRAME_BYTES_MAX, Protocol, Step, TabEvent, events as wire, native};

/// The first line is a query string, the second one a `Last-Event-ID`, and what follows is the body of a POST, for its
/// session as for any message of `bellwire.v1`.
pub fn events(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(3, '\n');
    let (query, last, body) = (parts.next().unwrap_or(""), parts.next(), parts.next().unwrap_or(""));
    asked(query, last);
    said(body);
}

/// What is asked for can be asked for again in other words.
fn asked(query: &str, last: Option<&str>) {
    let asked = match wire::asked(query, last) {
        Ok(asked) => asked,
        Err(wrong) => return assert!(["user", "browser"].contains(&&*wrong.field), "{wrong:?}"),
    };
    let (user, browser) = (asked.identity.user.as_str(), asked.identity.browser.as_str());
    assert!(UserId::try_new(user).is_ok() && BrowserId::try_new(browser).is_ok());
    let cursor = asked.cursor.as_deref();
    assert!(cursor.is_none_or(|cursor| native::cursor_of(cursor).is_some()), "{cursor:?}");
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let mut again = format!("browser={}&user={}", escaped(browser), escaped(user));
    if let Some(cursor) = cursor {
        again += &format!("&cursor={}", escaped(cursor));
    }
    assert_eq!(wire::asked(&again, None).as_ref(), Ok(&asked), "{again}");
}

/// What is said is a message for a session, whose answer is one event.
fn said(body: &str) {
    let said = match wire::said(body) {
        Ok(said) => said,
        Err(wrong) => return assert!(["", "session", "token", "say"].contains(&&*wrong.field), "{wrong:?}"),
    };
    let session = format!("{}-{}", said.session.node, said.session.number);
    assert!(body.contains(said.say) && said.say.starts_with('{') && said.say.len() < body.len());
    let token = serde_json::to_string(&said.token).expect("a text is JSON");
    let again = format!(r#"{{"say":{},"token":{token},"session":"{session}"}}"#, said.say);
    assert_eq!(wire::said(&again).as_ref(), Ok(&said), "{again}");
    let mut tab = Dialect::new(Protocol::Events, None, 7);
    let step = if said.say.len() > FRAME_BYTES_MAX { tab.on_oversize() } else { tab.on_text(said.say, None) };
    answered(&step);
}

fn answered(step: &Step) {
    assert!(!matches!(step.event, Some(TabEvent::Announce { .. })), "its request has announced it");
    let Some(reply) = &step.reply else { return };
    let mut stream = Vec::new();
    wire::event(&mut stream, Some("log-0:1"), reply);
    let stream = String::from_utf8(stream).expect("text");
    assert_eq!(stream.matches("\n\n").count(), 1, "{stream}");
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    assert_eq!(data.collect::<Vec<_>>().join("\n"), *reply);
}
