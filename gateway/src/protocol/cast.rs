//! PHP's cast to an integer, for the user ids of V1: its server took whatever casts.

use serde_json::value::RawValue;

use super::fields;

/// `(int)` of a JSON number or text. Booleans, arrays and objects, of which PHP makes 0 or 1, are 0 here:
/// nobody should become user 1 by sending `true`.
pub(super) fn integer(raw: &RawValue) -> i64 {
    match raw.get().as_bytes().first() {
        Some(b'"') => fields::string(raw).map_or(0, |text| of_text(&text)),
        Some(b'-' | b'0'..=b'9') => of_number(raw.get()),
        _ => 0,
    }
}

/// Fractions are cut off; what does not fit into 64 bits is 0 (PHP: not defined).
fn of_number(text: &str) -> i64 {
    if let Ok(number) = text.parse() {
        return number;
    }
    match text.parse::<f64>() {
        Ok(number) if number.abs() < 9.2e18 => number as i64,
        _ => 0,
    }
}

/// The number at the start of a text, behind white space; what follows does not matter. Too large ones
/// become the largest.
fn of_text(text: &str) -> i64 {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
    let number = &text[..number_len(text.as_bytes())];
    number.parse().unwrap_or_else(|_| number.parse::<f64>().map_or(0, |number| number as i64))
}

/// Length of the longest start of `text` that is a number: sign, digits, fraction, exponent.
fn number_len(text: &[u8]) -> usize {
    let digits = |from: usize| text[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let sign_at = |at: usize| usize::from(matches!(text.get(at), Some(b'+' | b'-')));
    let start = sign_at(0);
    let whole = digits(start);
    let mut end = start + whole;
    let mut any = whole > 0;
    if text.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        any |= fraction > 0;
        end += if any { 1 + fraction } else { 0 };
    }
    if !any {
        return 0;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let first = end + 1 + sign_at(end + 1);
        let exponent = digits(first.min(text.len()));
        if exponent > 0 {
            end = first + exponent;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cast(json: &str) -> i64 {
        integer(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn numbers_and_texts_are_cast_as_php_does() {
        let cases = [
            ("7", 7),
            ("-7", -7),
            ("7.9", 7),
            ("-7.9", -7),
            ("7e2", 700),
            ("0", 0),
            ("9223372036854775807", i64::MAX),
            ("1e400", 0),
            ("99999999999999999999", 0),
            (r#""7""#, 7),
            (r#"" \t\n7""#, 7),
            (r#""+7""#, 7),
            (r#""-7""#, -7),
            (r#""007""#, 7),
            (r#""7abc""#, 7),
            (r#""7.9""#, 7),
            (r#"".5""#, 0),
            (r#""1.""#, 1),
            (r#""1e3""#, 1000),
            (r#""1e""#, 1),
            (r#""1e+""#, 1),
            (r#""1E+2x""#, 100),
            (r#""0x1A""#, 0),
            (r#""99999999999999999999""#, i64::MAX),
            (r#""\u0037""#, 7),
        ];
        for (json, number) in cases {
            assert_eq!(cast(json), number, "{json}");
        }
    }

    #[test]
    fn what_is_no_number_is_nobody() {
        for json in [
            r#""""#,
            r#""abc""#,
            r#"".""#,
            r#""+""#,
            r#""e5""#,
            r#""ä7""#,
            "true",
            "false",
            "[]",
            "[5]",
            "{}",
            r#""\ud800""#,
        ] {
            assert_eq!(cast(json), 0, "{json}");
        }
    }
}
