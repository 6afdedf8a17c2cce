//! The limits of a notification, and how a text is made fit to be shown.
//!
//! A text has up to two limits: what is taken (more is refused), and what is shown (more is cut). Together the
//! shown ones keep every frame under [`FRAME_BYTES_MAX`], even where a text stands twice in it.

/// Largest frame that any protocol may make of a notification, in bytes: openITCOCKPIT's tabs and proxies in
/// front of them are known to take this much.
pub const FRAME_BYTES_MAX: usize = 8 * 1024;

/// Longest `output` and `comment` taken, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Longest text shown below the title, in bytes.
pub const BODY_SHOWN_BYTES_MAX: usize = 1024;
/// Longest `body` taken, in bytes.
pub const BODY_BYTES_MAX: usize = OUTPUT_BYTES_MAX;
/// Longest `comment` taken, in bytes.
pub const COMMENT_BYTES_MAX: usize = OUTPUT_BYTES_MAX;
/// Longest `title` taken, in bytes.
pub const TITLE_BYTES_MAX: usize = 4 * 1024;
/// Longest title shown, in bytes.
pub const TITLE_SHOWN_BYTES_MAX: usize = 512;
/// Longest `host.id` and `service.id`, in bytes. They are never cut: a click leads there.
pub const OBJECT_ID_BYTES_MAX: usize = 255;
/// Longest `host.name` and `service.name` taken, in bytes: what openITCOCKPIT's database can hold.
pub const NAME_BYTES_MAX: usize = 6000;
/// Longest name shown, in bytes.
pub const NAME_SHOWN_BYTES_MAX: usize = 200;
/// Longest `author` taken, in bytes.
pub const AUTHOR_BYTES_MAX: usize = 1024;
/// Longest author shown, in bytes.
pub const AUTHOR_SHOWN_BYTES_MAX: usize = NAME_SHOWN_BYTES_MAX;
/// Longest `type`, in bytes.
pub const TYPE_BYTES_MAX: usize = 64;
/// Longest `kind`, in bytes; any known one is far shorter.
pub const KIND_BYTES_MAX: usize = 16;
/// Longest `url`, in bytes.
pub const URL_BYTES_MAX: usize = 1024;
/// Longest `icon`, in bytes.
pub const ICON_BYTES_MAX: usize = 255;
/// Smallest `state`.
pub const STATE_MIN: i64 = -255;
/// Largest `state`: an exit code fits.
pub const STATE_MAX: i64 = 255;
/// Shortest `ttl`, in seconds.
pub const TTL_SECONDS_MIN: i64 = 1;
/// Longest `ttl`, in seconds: gateways and the log remember no longer (design, rule 5).
pub const TTL_SECONDS_MAX: i64 = 30 * 60;
/// Largest `timestamp`, in seconds since 1970: the end of the year 9999. Catches milliseconds.
pub const TIMESTAMP_SECONDS_MAX: i64 = 253_402_300_799;

const ELLIPSIS: char = '…';

/// Whether a shown text may have several lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// Line ends become spaces.
    One,
    /// Line ends stay.
    Many,
}

/// The text as it is shown: the two characters `\n`, which engines put for a line end, are one; control
/// characters are gone; it is trimmed, and cut between characters, with an ellipsis, at `bytes_max` (at least 3).
#[must_use]
pub fn shown(text: &str, bytes_max: usize, lines: Lines) -> String {
    let text = text.trim();
    // Without an early end, so that it takes many bytes at once: nearly every text passes.
    if text.len() <= bytes_max && text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len().min(bytes_max));
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' if chars.next_if_eq(&'n').is_some() => '\n',
            '\r' => {
                let _ = chars.next_if_eq(&'\n');
                '\n'
            }
            '\t' => ' ',
            other => other,
        };
        let c = if c == '\n' && lines == Lines::One { ' ' } else { c };
        if (c.is_control() && c != '\n') || (c.is_whitespace() && out.is_empty()) {
            continue;
        }
        if out.len() + c.len_utf8() > bytes_max {
            cut(&mut out, bytes_max);
            return out;
        }
        out.push(c);
    }
    out.truncate(out.trim_end().len());
    out
}

/// Neither a control character, nor the start of one beyond ASCII (U+0080 to U+009F), nor of a literal `\n`.
fn is_plain(byte: u8) -> bool {
    (byte >= 0x20) & (byte != b'\\') & (byte != 0x7f) & (byte != 0xc2)
}

fn cut(out: &mut String, bytes_max: usize) {
    let mut end = (bytes_max - ELLIPSIS.len_utf8()).min(out.len());
    while !out.is_char_boundary(end) {
        end -= 1;
    }
    out.truncate(out[..end].trim_end().len());
    out.push(ELLIPSIS);
}

/// A click may lead to a path on the page's own host, or to another page by http or https; nowhere else, so that
/// nobody is sent to `javascript:` or the like.
#[must_use]
pub fn is_link(text: &str) -> bool {
    is_path(text) || (is_web_address(text) && text.chars().all(may_stand_in_link))
}

/// A path from the root of the page's own host. `//host` is none: it leads elsewhere.
#[must_use]
pub fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.starts_with("//") && text.chars().all(may_stand_in_link)
}

fn is_web_address(text: &str) -> bool {
    let after = |scheme: &str| {
        let (head, rest) = text.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    after("https://")
        .or_else(|| after("http://"))
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '['))
}

/// Browsers read `\` as `/`; the others are never part of an address unescaped.
fn may_stand_in_link(c: char) -> bool {
    !c.is_control() && !c.is_whitespace() && !matches!(c, '"' | '\\' | '<' | '>' | '`')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_cleaned() {
        assert_eq!(shown("a\\nb\r\nc\rd\te", 100, Lines::Many), "a\nb\nc\nd e");
        assert_eq!(shown("a\\nb\nc", 100, Lines::One), "a b c");
        assert_eq!(shown("\u{1b}[31mred\u{0}\u{7f}\u{85}\u{9b}é", 100, Lines::Many), "[31mredé");
        assert_eq!(shown(" \\n \u{0} x \\n", 100, Lines::Many), "x");
        assert_eq!(shown("C:\\temp \\\\n", 100, Lines::Many), "C:\\temp \\");
        assert_eq!(shown("\u{a0}à la carte", 100, Lines::One), "à la carte");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shown("abcdef", 6, Lines::One), "abcdef");
        assert_eq!(shown("abcdefg", 6, Lines::One), "abc…");
        assert_eq!(shown("aééé", 6, Lines::One), "aé…");
        assert_eq!(shown("ab   cdef", 7, Lines::One), "ab…");
        let long = "ä".repeat(OUTPUT_BYTES_MAX / 2);
        let cut = shown(&long, BODY_SHOWN_BYTES_MAX, Lines::Many);
        assert!(cut.ends_with("ä…") && cut.len() <= BODY_SHOWN_BYTES_MAX && cut.len() > BODY_SHOWN_BYTES_MAX - 4);
    }

    #[test]
    fn links_lead_to_pages_only() {
        for good in ["/", "/a/hosts/browser/1?x=1#y", "https://example.org/ä", "HTTP://[::1]:80/", "http://h"] {
            assert!(is_link(good), "{good}");
        }
        for bad in [
            "",
            "//evil.example",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            "ftp://h",
            "a/b",
            "/a b",
            "/\\evil.example",
            "/a\n",
            "https://h/\"",
            "data:text/html,x",
            " /a",
            "httpsé",
        ] {
            assert!(!is_link(bad), "{bad}");
        }
        assert!(is_path("/img/x.png") && !is_path("https://h/x.png"));
    }

    /// Texts of what has a meaning here, and of what has none.
    fn any_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "\\\\{1,3}n?",
            prop::sample::select(vec![
                "\\n", "\n", "\r\n", "\r", "\t", "\0", "\u{7f}", "\u{85}", "\u{a0}", " ", "n", "é", "…"
            ])
            .prop_map(str::to_owned),
            "[a-z]{1,6}",
            any::<char>().prop_map(String::from),
        ];
        proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
    }

    /// The same by other means, and not cut.
    fn whole(text: &str, lines: Lines) -> String {
        let text = text.trim().replace("\r\n", "\n").replace('\r', "\n").replace("\\n", "\n").replace('\t', " ");
        let text = if lines == Lines::One { text.replace('\n', " ") } else { text };
        text.chars().filter(|c| *c == '\n' || !c.is_control()).collect::<String>().trim_start().to_owned()
    }

    proptest! {
        #[test]
        fn what_is_shown_is_clean_and_short(text in any_text(), max in 3usize..64) {
            for lines in [Lines::One, Lines::Many] {
                let out = shown(&text, max, lines);
                prop_assert!(out.len() <= max);
                prop_assert!(!out.chars().any(|c| c.is_control() && (c != '\n' || lines == Lines::One)));
                prop_assert_eq!(out.trim(), &out);
                let whole = whole(&text, lines);
                if whole.len() <= max {
                    prop_assert_eq!(out, whole.trim());
                } else {
                    prop_assert!(out.strip_suffix(ELLIPSIS).is_some_and(|start| whole.starts_with(start)), "{}", out);
                }
            }
        }
    }
}
