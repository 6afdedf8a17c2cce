//! The golden files and the documentation, run against the code.
//!
//! Files under `testdata/protocol/` and the fenced blocks of `docs/protocol.md` are in the same small format
//! ([`transcript`]): the test takes the inputs out of a file, renders what the code answers, and compares the
//! whole text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

mod properties;
mod requests;
mod transcript;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/protocol")
}

fn check(style: &str, name: &str, golden: &str) {
    let actual = if style == "requests" { requests::render(golden) } else { transcript::render(style, golden) };
    assert!(actual == golden, "{name} differs; the code answers:\n{actual}");
}

fn goldens(folder: &str) -> Vec<(String, String)> {
    let files = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap())).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

#[test]
fn transcripts_hold() {
    for protocol in Protocol::ALL {
        for (name, golden) in goldens(protocol.label()) {
            check(protocol.label(), &name, &golden);
        }
    }
}

#[test]
fn handshakes_hold() {
    for (name, golden) in goldens("handshakes") {
        check("handshakes", &name, &golden);
    }
}

#[test]
fn requests_hold() {
    for (name, golden) in goldens("requests") {
        check("requests", &name, &golden);
    }
}

#[test]
fn frames_hold() {
    for (name, golden) in goldens("frames") {
        check("frames", &name, &golden);
    }
}

fn documentation() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    // Line ends may be changed by a checkout, the text may not.
    fs::read_to_string(path).unwrap().replace("\r\n", "\n")
}

#[test]
fn examples_of_the_documentation_hold() {
    let text = documentation();
    let mut seen = BTreeSet::new();
    for block in text.split("\n```").skip(1).step_by(2) {
        let (style, block) = block.split_once('\n').unwrap();
        if ["v1", "v2", "native", "events", "requests", "frames", "handshakes"].contains(&style) {
            seen.insert(style);
            check(style, style, &format!("{block}\n"));
        }
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
}

#[test]
fn native_frames_of_the_documentation_are_those_of_the_code() {
    use bellwire_common::ids::{NodeId, SessionId};
    let session = SessionId { node: NodeId(0xab), number: 12 };
    let identity = Identity { user: UserId::try_new("7").unwrap(), browser: BrowserId::try_new("b1").unwrap() };
    let frames = [
        native::welcome(session, &identity, Some("log-0:41"), None, "0.1.0", 25_000),
        native::gap(3),
        native::drain(12_000),
        native::error(native::ErrorCode::Rate, "at most one test a second"),
        native::ping(),
    ];
    assert!(documentation().contains(&format!("\n```native-frames\n{}\n```\n", frames.join("\n"))));
    let without = native::welcome(session, &identity, None, None, "0.1.0", 25_000);
    assert_eq!(without, frames[0].replace(r#""cursor":"log-0:41","#, ""));
}

#[test]
fn the_event_stream_of_the_documentation_is_that_of_the_code() {
    use bellwire_common::ids::{NodeId, SessionId};
    let session = SessionId { node: NodeId(0xab), number: 12 };
    let identity = Identity { user: UserId::try_new("7").unwrap(), browser: BrowserId::try_new("b1").unwrap() };
    let token = Some("5d0e3c1f8a7b46299c02e4d1b6a8f073");
    let notification = serde_json::from_str(r#"{"timestamp":1700000000,"kind":"message","title":"Hello"}"#).unwrap();
    let id = NotificationId::try_new("n1").unwrap();
    let messages = [
        (None, native::welcome(session, &identity, Some("log-0:41"), token, "0.1.0", 25_000)),
        (None, native::ping()),
        (
            Some("log-0:42"),
            encode(
                Protocol::Events,
                &identity.user,
                Head { id: &id, cursor: "log-0:42", digested: false },
                &notification,
            )
            .unwrap(),
        ),
        (None, native::drain(1_500)),
        (None, events::close(4000, "drain")),
    ];
    let mut stream = events::PREAMBLE.as_bytes().to_vec();
    messages.iter().for_each(|(id, message)| events::event(&mut stream, *id, message));
    let stream = String::from_utf8(stream).unwrap();
    assert!(documentation().contains(&format!("\n```event-stream\n{stream}```\n")), "{stream}");
}

/// The first `columns` cells of the documentation's table rows that begin with `start`.
fn rows(start: &str, columns: usize) -> Vec<String> {
    let text = documentation();
    let rows = text.lines().filter(|line| line.starts_with(start));
    rows.map(|row| row.split('|').skip(1).take(columns).map(str::trim).collect::<Vec<_>>().join(" | ")).collect()
}

#[test]
fn close_codes_of_the_documentation_are_those_of_the_code() {
    let mut codes: Vec<_> = End::ALL.iter().filter_map(|end| end.close_frame(Protocol::Native)).collect();
    codes.sort_unstable();
    let codes: Vec<_> = codes
        .into_iter()
        .map(|(code, reason)| {
            let advice = match Advice::of(code) {
                Advice::AtOnce => "connect again at once",
                Advice::Later => "connect again later",
                Advice::NewIdentity => "connect again with another key or identity",
                Advice::Never => "do not connect again",
            };
            format!("{code} | `{reason}` | {advice}")
        })
        .collect();
    assert_eq!(rows("| 4", 3), codes);
}

#[test]
fn error_codes_of_the_documentation_are_those_of_the_code() {
    let codes: Vec<_> = native::ErrorCode::ALL.iter().map(|code| format!("`{}`", code.as_str())).collect();
    assert_eq!(rows("| `", 1).into_iter().filter(|row| codes.contains(row)).collect::<Vec<_>>(), codes);
}

#[test]
fn limits_of_the_documentation_are_those_of_the_code() {
    let limits = [
        ("message of a tab", FRAME_BYTES_MAX),
        ("body of a `POST /events`", events::BODY_BYTES_MAX),
        ("user, browser", bellwire_common::ids::ID_BYTES_MAX),
        ("cursor", native::CURSOR_BYTES_MAX),
        ("title of a test", TestMessage::TITLE_BYTES_MAX),
        ("icon of a test", TestMessage::ICON_BYTES_MAX),
        ("type of a test", TestMessage::TYPE_BYTES_MAX),
        ("shared key", KEY_BYTES_MAX),
    ];
    let listed = limits.map(|(name, bytes)| format!("{name} | {bytes}"));
    let rows = rows("| ", 2);
    for limit in listed {
        assert!(rows.contains(&limit), "{limit}");
    }
}

/// Ten thousands of them are kept.
#[test]
fn a_tab_is_small() {
    assert!(size_of::<Dialect>() <= 64, "{}", size_of::<Dialect>());
}
