//! The format of golden files. Lines that begin with a word of the left column are inputs; the lines below them
//! are what the code answers.
//!
//! ```text
//! # text        a remark
//! == title      a new tab connects (also at the start); the answer is its first frame
//! > text        the tab sends a text message; in an event stream what a POST says
//! >binary       the tab sends a binary message
//! >oversize     the tab sends a message that is too large
//! @ 5           the server repeats its greeting for offset 5
//! ? offered | query     a handshake (files of handshakes)
//! = notification        encode it for each protocol (files of frames)
//! ~ key value           a status value (files of frames)
//! < text        answer: a frame to the tab
//! ! event       answer: what the session acts on
//! ```
//!
//! `{first}` stands for the id of this tab's first greeting, `{at:5}` for that of its greeting for offset 5,
//! `{other:5}` for another tab's.

use super::super::greeting;
use super::super::*;
use bellwire_common::ids::{NotificationId, Offset};

pub(super) const KEY: &str = "secret";
const SECRET: u64 = 7;
const OTHER_SECRET: u64 = 8;

/// The whole file again, with its inputs as they are and the answers as the code gives them.
pub(super) fn render(style: &str, golden: &str) -> String {
    let mut out = String::new();
    let protocol = Protocol::ALL.into_iter().find(|protocol| protocol.label() == style);
    let mut tab = protocol.map(Tab::new);
    if let (Some(tab), false) =
        (&tab, golden.lines().find(|line| !line.starts_with('#')).is_some_and(|line| line.starts_with("==")))
    {
        out.push_str(&tab.first());
    }
    for line in golden.lines() {
        let (sign, rest) = line.split_at(line.len().min(2));
        let answer = match (sign, &mut tab) {
            ("", _) | ("# ", _) => String::new(),
            ("==", Some(tab)) => {
                *tab = Tab::new(tab.protocol);
                tab.first()
            }
            ("> " | ">b" | ">o" | "@ ", Some(tab)) => tab.answer(line, rest),
            ("? ", None) => handshake(rest),
            ("= ", None) => frames(rest),
            ("~ ", None) => statuses(rest),
            _ => continue,
        };
        out.push_str(&format!("{line}\n{answer}"));
    }
    out
}

struct Tab {
    protocol: Protocol,
    dialect: Dialect,
    key: SharedKey,
}

impl Tab {
    fn new(protocol: Protocol) -> Self {
        let key = SharedKey::try_new(KEY).unwrap();
        if protocol == Protocol::Events {
            return Self { protocol, dialect: Dialect::new(protocol, None, SECRET), key };
        }
        let offered = match protocol {
            Protocol::V1 => None,
            Protocol::V2 => Some("access_token, secret"),
            Protocol::Native | Protocol::Events => Some("bellwire.v1, secret"),
        };
        let Handshake::Accept { protocol: accepted, identity, .. } = decide(
            Offer { subprotocols: offered, query: Some("userId=7&browserUuid=b1"), token: None },
            Some(&key),
            true,
        ) else {
            panic!("the handshake of {offered:?} was refused");
        };
        assert_eq!(accepted, protocol);
        Self { protocol, dialect: Dialect::new(protocol, identity, SECRET), key }
    }

    fn first(&self) -> String {
        self.dialect.first_frame().map_or_else(String::new, |frame| self.sent(&frame))
    }

    fn answer(&mut self, line: &str, rest: &str) -> String {
        let step = match line {
            ">binary" => self.dialect.on_binary(),
            ">oversize" => self.dialect.on_oversize(),
            _ if line.starts_with('@') => {
                let greeting = self.dialect.greeting(Offset(rest.parse().unwrap()));
                return greeting.map_or_else(|| "! none\n".to_owned(), |frame| self.sent(&frame));
            }
            _ => self.dialect.on_text(&with_ids(rest), Some(&self.key)),
        };
        let reply = step.reply.map_or_else(String::new, |frame| self.sent(&frame));
        reply + &step.event.map_or_else(String::new, |event| format!("! {}\n", self.told(&event)))
    }

    fn sent(&self, frame: &str) -> String {
        format!("< {}\n", without_ids(line_of(self.protocol, frame)))
    }

    fn told(&self, event: &TabEvent) -> String {
        match event {
            TabEvent::Announce { identity, cursor } => {
                let cursor = cursor.as_ref().map_or_else(String::new, |cursor| format!(" cursor {cursor}"));
                format!("announce user {} browser {}{cursor}", identity.user, identity.browser)
            }
            TabEvent::PageProof(Proof::Offset(offset)) => format!("proof of offset {offset}"),
            TabEvent::PageProof(Proof::Cursor(cursor)) => format!("proof of cursor {cursor}"),
            TabEvent::Test(test) => {
                let announce = test.announce.as_ref().map_or_else(String::new, |identity| {
                    format!("announce user {} browser {}, ", identity.user, identity.browser)
                });
                format!("{announce}test {}", serde_json::to_string(&test.notification(1_700_000_000)).unwrap())
            }
            TabEvent::End(end) => {
                let frame = end.close_frame(self.protocol);
                let frame = frame.map_or_else(|| "no close frame".to_owned(), |(code, _)| format!("close {code}"));
                format!("end by {}, {}, {frame}", end.initiator(), end.reason())
            }
        }
    }
}

/// The frame without the newline that V2 frames, and only they, end with.
fn line_of(protocol: Protocol, frame: &str) -> &str {
    assert!(serde_json::from_str::<serde_json::Value>(frame).unwrap().is_object());
    let line = if protocol == Protocol::V2 { frame.strip_suffix('\n').unwrap() } else { frame };
    assert!(!line.contains('\n'));
    line
}

/// Every placeholder that files may use, with its id.
pub(super) fn ids() -> Vec<(String, String)> {
    let id = |secret, offset| greeting::id(secret, offset).unwrap();
    let mut ids = vec![("{first}".to_owned(), id(SECRET, None))];
    for offset in 0..10 {
        ids.push((format!("{{at:{offset}}}"), id(SECRET, Some(Offset(offset)))));
        ids.push((format!("{{other:{offset}}}"), id(OTHER_SECRET, Some(Offset(offset)))));
    }
    ids
}

fn with_ids(text: &str) -> String {
    ids().iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id))
}

fn without_ids(text: &str) -> String {
    ids().iter().fold(text.to_owned(), |text, (name, id)| text.replace(id, name))
}

fn handshake(rest: &str) -> String {
    let mut parts = rest.split('|').map(str::trim);
    let mut part = |absent: &str| parts.next().filter(|given| *given != absent);
    let offer = Offer { subprotocols: part("-"), query: part(""), token: part("") };
    let key = SharedKey::try_new(KEY).unwrap();
    match decide(offer, Some(&key), true) {
        Handshake::Accept { protocol, subprotocol, identity, token } => {
            let identity = identity.map_or_else(String::new, |i| format!(", user {} browser {}", i.user, i.browser));
            let subprotocol = subprotocol.map_or_else(String::new, |name| format!(", answers {name}"));
            let token = token.map_or_else(String::new, |token| format!(", token {token}"));
            format!("! {}{subprotocol}{identity}{token}\n", protocol.label())
        }
        Handshake::Refuse { status, body, reason } => format!("! {status} {body:?}, {reason}\n"),
    }
}

fn frames(rest: &str) -> String {
    let (rest, digested) = rest.strip_suffix(" in a storm").map_or((rest, false), |rest| (rest, true));
    let notification = serde_json::from_str(rest).unwrap_or_else(|error| panic!("{rest}: {error}"));
    let (user, id) = (UserId::try_new("7").unwrap(), NotificationId::try_new("n1").unwrap());
    let frame =
        |protocol| encode(protocol, &user, Head { id: &id, cursor: "log-0:42", digested }, &notification).unwrap();
    let line = |protocol: Protocol| format!("< {}: {}\n", protocol.label(), line_of(protocol, &frame(protocol)));
    Protocol::SPOKEN.map(line).concat()
}

fn statuses(rest: &str) -> String {
    let (key, value) = rest.split_once(' ').unwrap();
    let line = |protocol: Protocol| match status(protocol, key, value.as_bytes()) {
        Some(frame) => format!("< {}: {}\n", protocol.label(), line_of(protocol, &frame)),
        None => format!("< {}: nothing\n", protocol.label()),
    };
    Protocol::SPOKEN.map(line).concat()
}
