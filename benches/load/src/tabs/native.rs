//! The page of the native protocol (`docs/protocol.md`): acknowledges the last cursor of each burst.

use crate::tabs::page::field;

/// First of the two subprotocols that it offers, and the one that must be answered.
pub(super) use bellwire_testkit::tab::NATIVE_SUBPROTOCOL as SUBPROTOCOL;

/// The page's first message.
pub(super) fn hello(user: &str, browser: &str) -> String {
    format!(r#"{{"op":"hello","user":"{user}","browser":"{browser}"}}"#)
}

/// Whether the text is the server's answer to it.
pub(super) fn is_welcome(text: &[u8]) -> bool {
    text.starts_with(br#"{"op":"welcome""#)
}

/// The cursor of a notification.
pub(super) fn cursor(text: &[u8]) -> Option<&str> {
    field(text, r#""cursor":""#)
}

/// Tells the server that the page has handled everything up to the cursor.
pub(super) fn ack(cursor: &str) -> String {
    format!(r#"{{"op":"ack","cursor":"{cursor}"}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_acknowledged_as_it_came() {
        let text = br#"{"op":"notification","id":"n","cursor":"log-1:7","title":"t"}"#;
        assert_eq!(ack(cursor(text).unwrap()), r#"{"op":"ack","cursor":"log-1:7"}"#);
        assert!(is_welcome(br#"{"op":"welcome","session":"s"}"#) && !is_welcome(text));
    }
}
