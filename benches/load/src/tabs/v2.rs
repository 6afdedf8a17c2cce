//! The page of openITCOCKPIT's newer front end: registers on every greeting, also the repeated ones.

use crate::tabs::page::field;

/// First of the two subprotocols that it offers, and the one that must be answered.
pub(super) const SUBPROTOCOL: &str = "access_token";

/// If the text is a greeting: the page's registration.
pub(super) fn answer(text: &[u8], browser: &str) -> Option<String> {
    if !text.starts_with(br#"{"type":"ConnectionEstablished""#) {
        return None;
    }
    let client = field(text, r#""clientUuid":""#)?;
    Some(format!(
        r#"{{"type":"RegisterBrowserPushNotification","message":"","payload":{{"clientUuid":"{client}","browserUuid":"{browser}"}}}}"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_answered_with_its_id() {
        let greeting = br#"{"type":"ConnectionEstablished","message":"x","payload":{"clientUuid":"u-1"}}"#;
        assert_eq!(
            answer(greeting, "b").unwrap(),
            r#"{"type":"RegisterBrowserPushNotification","message":"","payload":{"clientUuid":"u-1","browserUuid":"b"}}"#
        );
        assert_eq!(answer(br#"{"type":"ExportStatus","message":"","payload":true}"#, "b"), None);
    }
}
