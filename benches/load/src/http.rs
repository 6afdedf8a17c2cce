//! HTTP/1.1 heads, as little of them as a keep-alive publisher and a WebSocket handshake need.

/// Longest head that is read.
pub const HEAD_BYTES_MAX: usize = 8192;

/// The bytes are not an HTTP/1.1 message with a known length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadHead;

/// The head of a message: its first line and its header lines.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    text: &'a str,
    /// Bytes of the head, with the empty line behind it.
    pub len: usize,
}

impl<'a> Head<'a> {
    /// The head at the start of `bytes`; none as long as it is not complete.
    pub fn read(bytes: &'a [u8]) -> Result<Option<Self>, BadHead> {
        let Some(end) = bytes.windows(4).take(HEAD_BYTES_MAX).position(|w| w == b"\r\n\r\n") else {
            return if bytes.len() > HEAD_BYTES_MAX { Err(BadHead) } else { Ok(None) };
        };
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| BadHead)?;
        Ok(Some(Self { text, len: end + 4 }))
    }

    /// The first line.
    #[must_use]
    pub fn line(&self) -> &'a str {
        self.text.split("\r\n").next().unwrap_or_default()
    }

    /// The value of a header, whatever the case of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.text.split("\r\n").skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The status of an answer.
    pub fn status(&self) -> Result<u16, BadHead> {
        let rest = self.text.strip_prefix("HTTP/1.1 ").ok_or(BadHead)?;
        rest.get(..3).and_then(|code| code.parse().ok()).ok_or(BadHead)
    }

    /// Bytes of the body; a message without a length has none.
    pub fn body_len(&self) -> Result<usize, BadHead> {
        self.header("content-length").map_or(Ok(0), |value| value.parse().map_err(|_| BadHead))
    }
}

/// An answer's status, and its bytes with head and body; none as long as it is not complete.
pub fn answer(bytes: &[u8]) -> Result<Option<(u16, usize)>, BadHead> {
    let Some(head) = Head::read(bytes)? else { return Ok(None) };
    let len = head.len + head.body_len()?;
    Ok((bytes.len() >= len).then_some((head.status()?, len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\ndate: today\r\n\r\nok";

    #[test]
    fn an_answer_is_read_when_it_is_complete() {
        for cut in 0..ANSWER.len() {
            assert_eq!(answer(&ANSWER[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(answer(ANSWER), Ok(Some((202, ANSWER.len()))));
        assert_eq!(answer(b"HTTP/1.1 204 No Content\r\n\r\nHTTP"), Ok(Some((204, 27))));
    }

    #[test]
    fn headers_are_found_by_any_case() {
        let head = Head::read(ANSWER).unwrap().unwrap();
        assert_eq!(
            (head.header("DATE"), head.header("da"), head.line()),
            (Some("today"), None, "HTTP/1.1 202 Accepted")
        );
    }

    #[test]
    fn nonsense_is_an_error() {
        assert_eq!(answer(b"SMTP 220\r\n\r\n"), Err(BadHead));
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), Err(BadHead));
        assert_eq!(answer(&[b'a'; HEAD_BYTES_MAX + 1]), Err(BadHead));
    }
}
