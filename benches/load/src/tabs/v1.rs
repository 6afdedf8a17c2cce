//! The page of the oldest front end: registers on every greeting, also the repeated ones.

use crate::tabs::page::field;

/// If the text is a greeting: the page's registration.
pub(super) fn answer(text: &[u8], key: &str, user: &str, browser: &str) -> Option<String> {
    if !text.starts_with(br#"{"type":"connection""#) {
        return None;
    }
    let uuid = field(text, r#""uuid":""#)?;
    Some(format!(
        r#"{{"task":"register","key":"{key}","uuid":"{uuid}","data":{{"userId":{user},"browserUuid":"{browser}"}}}}"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_answered_with_its_id() {
        let greeting = br#"{"type":"connection","message":"x","data":{"uuid":"u-1"}}"#;
        assert_eq!(
            answer(greeting, "k", "7", "b").unwrap(),
            r#"{"task":"register","key":"k","uuid":"u-1","data":{"userId":7,"browserUuid":"b"}}"#
        );
        assert_eq!(answer(br#"{"type":"keepAlive","message":"Pong","data":[]}"#, "k", "7", "b"), None);
    }
}
