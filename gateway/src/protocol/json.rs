//! Writing JSON frames.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// `value` as JSON. `capacity` is a guess of its length in bytes.
pub(super) fn text<T: Serialize>(value: &T, capacity: usize) -> String {
    written(value, capacity, CompactFormatter)
}

/// As [`text`], with the escapes of Go's encoder: `<`, `>`, `&` and the two line separators of Unicode.
pub(super) fn text_escaped<T: Serialize>(value: &T, capacity: usize) -> String {
    written(value, capacity, GoFormatter)
}

fn written<T: Serialize, F: Formatter>(value: &T, capacity: usize, formatter: F) -> String {
    let mut out = Vec::with_capacity(capacity);
    value
        .serialize(&mut Serializer::with_formatter(&mut out, formatter))
        .expect("a struct with text keys can always be written to memory");
    String::from_utf8(out).expect("the JSON of texts is UTF-8")
}

struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut written = 0;
        // Byte by byte: texts are long and specials rare.
        for (at, byte) in fragment.bytes().enumerate() {
            let (escape, length): (&[u8], usize) = match byte {
                b'<' => (b"\\u003c", 1),
                b'>' => (b"\\u003e", 1),
                b'&' => (b"\\u0026", 1),
                0xe2 if fragment[at..].starts_with('\u{2028}') => (b"\\u2028", 3),
                0xe2 if fragment[at..].starts_with('\u{2029}') => (b"\\u2029", 3),
                _ => continue,
            };
            writer.write_all(&fragment.as_bytes()[written..at])?;
            writer.write_all(escape)?;
            written = at + length;
        }
        writer.write_all(&fragment.as_bytes()[written..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_go() {
        let text = "<a href=\"x\">\u{2028}&\u{2029}ä\n</a>";
        let escaped = text_escaped(&text, 0);
        assert_eq!(escaped, r#""\u003ca href=\"x\"\u003e\u2028\u0026\u2029ä\n\u003c/a\u003e""#);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        assert_eq!(super::text(&"a<b", 0), r#""a<b""#);
    }
}
