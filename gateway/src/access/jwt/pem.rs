//! Public keys in PEM form (RFC 7468, RFC 5280 `SubjectPublicKeyInfo`), as `openssl pkey -pubout` writes them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::keys::{KEYS_LEN_MAX, Key, KeysError, Unusable};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
const LABEL: &str = "PUBLIC KEY";

/// `rsaEncryption` with its parameters (null), and two curves.
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const P256: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// Every key of a file, or why it is of no use. Text between the keys is passed over.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Result<Key, Unusable>>, KeysError> {
    let text = std::str::from_utf8(bytes).map_err(|_| KeysError::Form("it is no text".into()))?;
    let mut keys = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix(BEGIN).and_then(|line| line.strip_suffix(DASHES)) else { continue };
        if label != LABEL {
            return Err(KeysError::Label(label.chars().take(LABEL_LEN_MAX).collect()));
        }
        if keys.len() == KEYS_LEN_MAX {
            return Err(KeysError::TooMany);
        }
        let body: String = lines.by_ref().take_while(|line| !line.starts_with(END)).collect();
        keys.push(STANDARD.decode(body).map_err(|_| Unusable::Form).and_then(|der| key(&der)));
    }
    Ok(keys)
}

/// Of a label in an error.
const LABEL_LEN_MAX: usize = 40;

fn key(der: &[u8]) -> Result<Key, Unusable> {
    let info = only(SEQUENCE, der)?;
    let (algorithm, rest) = value(SEQUENCE, info)?;
    // The first byte says how many bits of the last one do not count.
    let bits = only(BIT_STRING, rest)?.strip_prefix(&[0]).ok_or(Unusable::Form)?;
    match algorithm {
        RSA => {
            let (n, rest) = value(INTEGER, only(SEQUENCE, bits)?)?;
            Key::rsa(n, only(INTEGER, rest)?)
        }
        P256 => Key::p256(bits),
        ED25519 => Key::ed25519(bits),
        _ => Err(Unusable::Type),
    }
}

/// The value that is all of `der`.
fn only(tag: u8, der: &[u8]) -> Result<&[u8], Unusable> {
    match value(tag, der)? {
        (value, []) => Ok(value),
        _ => Err(Unusable::Form),
    }
}

/// The first value of `der`, and what comes after it. Lengths of up to 65,535 bytes are enough.
fn value(tag: u8, der: &[u8]) -> Result<(&[u8], &[u8]), Unusable> {
    let (len, rest) = match der {
        [first, len @ ..=0x7f, rest @ ..] if *first == tag => (usize::from(*len), rest),
        [first, 0x81, len, rest @ ..] if *first == tag => (usize::from(*len), rest),
        [first, 0x82, high, low, rest @ ..] if *first == tag => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return Err(Unusable::Form),
    };
    rest.split_at_checked(len).ok_or(Unusable::Form)
}
