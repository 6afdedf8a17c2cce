//! Halves of characters in JSON: `\ud83d\ude00` is one character, `\ud83d` alone is none.
//!
//! Senders that take bytes for text make such halves (Python's `surrogateescape` writes the byte E9 as `\udce9`). JSON
//! allows them, Rust's texts cannot hold them; a notification with a replaced character is better than none.

/// The same JSON with each half that has no other half replaced by U+FFFD; none if there is no such half. Positions
/// stay, because the replacement has the same length.
#[must_use]
pub fn replace_lone(json: &str) -> Option<String> {
    let bytes = json.as_bytes();
    let mut out = String::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        at += found;
        // A backslash escapes whatever comes next, another backslash, too.
        let Some(unit) = escaped_unit(bytes, at) else {
            at += 2;
            continue;
        };
        if is_high(unit) && escaped_unit(bytes, at + ESCAPE_BYTES).is_some_and(is_low) {
            at += 2 * ESCAPE_BYTES;
            continue;
        }
        if is_high(unit) || is_low(unit) {
            out.push_str(&json[copied..at]);
            out.push_str(REPLACEMENT);
            copied = at + ESCAPE_BYTES;
        }
        at += ESCAPE_BYTES;
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&json[copied..]);
    Some(out)
}

const ESCAPE_BYTES: usize = "\\uXXXX".len();
const REPLACEMENT: &str = "\\ufffd";

/// The UTF-16 unit that is escaped at this place.
fn escaped_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + ESCAPE_BYTES)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)? as u16))
}

fn is_high(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_are_replaced_and_pairs_are_not() {
        for (json, wanted) in [
            (r#""caf\udce9""#, r#""caf\ufffd""#),
            (r#""\uD83D!""#, r#""\ufffd!""#),
            (r#""\ud83d\ud83d\ude00\ude00""#, r#""\ufffd\ud83d\ude00\ufffd""#),
            (r#""\ud83d\u0041""#, r#""\ufffd\u0041""#),
            (r#""\\\udce9""#, r#""\\\ufffd""#),
            (r#"{"\udce9":"ä\uDBFFä"}"#, r#"{"\ufffd":"ä\ufffdä"}"#),
        ] {
            assert_eq!(replace_lone(json).as_deref(), Some(wanted), "{json}");
            serde_json::from_str::<serde_json::Value>(wanted).unwrap();
        }
        for json in ["", r#""\ud83d\ude00""#, r#""\\udce9""#, r#""\\\\ud83d""#, r#""\udce""#, r#""\ud7ff\ue000""#, "\\"]
        {
            assert_eq!(replace_lone(json), None, "{json}");
        }
    }

    proptest! {
        #[test]
        fn texts_are_read_as_utf16_is(
            units in prop::collection::vec(
                prop_oneof![any::<u16>(), 0xd700_u16..0xe100, Just(0x5c), Just(0x22), Just(0x75)], 0..12,
            ),
            are_escaped in prop::collection::vec(any::<bool>(), 12),
        ) {
            let mut json = String::from("\"");
            for (unit, is_escaped) in units.iter().zip(are_escaped) {
                match char::from_u32(u32::from(*unit)) {
                    Some(c @ ('"' | '\\')) if !is_escaped => json.extend(['\\', c]),
                    Some(c) if !is_escaped && !c.is_control() => json.push(c),
                    _ => json.push_str(&format!("\\u{unit:04x}")),
                }
            }
            json.push('"');
            let mended = replace_lone(&json).unwrap_or(json);
            prop_assert_eq!(serde_json::from_str::<String>(&mended).unwrap(), String::from_utf16_lossy(&units));
        }
    }
}
