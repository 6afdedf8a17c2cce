//! WebSocket frames (RFC 6455), as many of their kinds as a server of notifications sends and its tabs answer.

/// Opcode of a text frame.
pub const TEXT: u8 = 0x1;
/// Opcode of a binary frame.
pub const BINARY: u8 = 0x2;
/// Opcode of a close frame.
pub const CLOSE: u8 = 0x8;
/// Opcode of a ping.
pub const PING: u8 = 0x9;
/// Opcode of a pong.
pub const PONG: u8 = 0xA;

/// Longest server frame that is read; far above a notification's limit.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x9e];

/// One whole frame of a server.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// One of the constants of this module, or what the server sent instead.
    pub opcode: u8,
    /// What it carries.
    pub payload: &'a [u8],
    /// Bytes of the frame with its head.
    pub len: usize,
}

/// The bytes are not a frame that a server may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadFrame;

/// The first frame of `bytes`; none as long as it is not complete. Servers must not mask, and ours never
/// fragments: either is an error, as is a frame over [`FRAME_BYTES_MAX`].
pub fn server_frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, BadFrame> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0xf0 != FIN || second & MASKED != 0 {
        return Err(BadFrame);
    }
    let (head, len) = match (second, rest) {
        (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            let len = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            (10, usize::try_from(len).map_err(|_| BadFrame)?)
        }
        (126 | 127, _) => return Ok(None),
        (short, _) => (2, usize::from(*short)),
    };
    if len > FRAME_BYTES_MAX {
        return Err(BadFrame);
    }
    let Some(payload) = bytes.get(head..head + len) else { return Ok(None) };
    Ok(Some(Frame { opcode: first & 0x0f, payload, len: head + len }))
}

/// Appends a client's frame. Its mask is always the same one: this is no browser, nothing on the way needs
/// protection from it, and the server unmasks as it would any other.
pub fn put_client_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    put_head(out, opcode, payload.len(), MASKED);
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// Appends a server's frame.
pub fn put_server_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    put_head(out, opcode, payload.len(), 0);
    out.extend_from_slice(payload);
}

fn put_head(out: &mut Vec<u8>, opcode: u8, len: usize, masked: u8) {
    out.push(FIN | opcode);
    if len < 126 {
        out.push(masked | len as u8);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(masked | 126);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(masked | 127);
        out.extend_from_slice(&(len as u64).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_frame_of_each_length_is_read_back_and_never_early() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; len];
            let mut bytes = Vec::new();
            put_server_frame(&mut bytes, TEXT, &payload);
            let whole = bytes.len();
            assert_eq!(server_frame(&bytes[..whole - 1]), Ok(None), "{len}");
            bytes.extend_from_slice(b"\x89\x00");
            let frame = server_frame(&bytes).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.payload, frame.len), (TEXT, &payload[..], whole));
        }
        assert_eq!(server_frame(b""), Ok(None));
        assert_eq!(server_frame(b"\x81\x7e\x01"), Ok(None));
    }

    #[test]
    fn what_a_server_may_not_send_is_an_error() {
        assert_eq!(server_frame(b"\x81\x80"), Err(BadFrame), "masked");
        assert_eq!(server_frame(b"\x01\x00"), Err(BadFrame), "fragment");
        assert_eq!(server_frame(b"\xc1\x00"), Err(BadFrame), "reserved bit");
        assert_eq!(server_frame(b"\x82\x7f\x00\x00\x00\x00\x00\x10\x00\x01"), Err(BadFrame), "too long");
    }

    #[test]
    fn a_client_frame_is_masked() {
        let mut bytes = Vec::new();
        put_client_frame(&mut bytes, PONG, b"12345");
        assert_eq!(bytes[..2], [0x8a, 0x85]);
        let plain: Vec<u8> = bytes[6..].iter().zip(bytes[2..6].iter().cycle()).map(|(b, m)| b ^ m).collect();
        assert_eq!(plain, b"12345");
    }
}
