//! The parts that records are made of: numbers, texts, optional offsets.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{DecodeError, TEXT_BYTES_MAX};
use crate::ids::{IdError, Offset};

pub(super) fn put_numbered(out: &mut BytesMut, kind: u8, number: u64) {
    out.put_u8(kind);
    put_varint(out, number);
}

pub(super) fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value as u8) | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

pub(super) fn put_optional(out: &mut BytesMut, offset: Option<Offset>) {
    put_varint(out, offset.map_or(0, |o| o.0.saturating_add(1)));
}

/// Texts here are ids and keys, whose types keep them within [`TEXT_BYTES_MAX`].
pub(super) fn put_text(out: &mut BytesMut, text: &str) {
    debug_assert!(text.len() <= TEXT_BYTES_MAX, "{text}");
    out.put_u8(text.len() as u8);
    out.put_slice(text.as_bytes());
}

pub(super) fn u8_of(bytes: &mut Bytes, field: &'static str) -> Result<u8, DecodeError> {
    if bytes.has_remaining() { Ok(bytes.get_u8()) } else { Err(DecodeError::Short(field)) }
}

pub(super) fn varint_of(bytes: &mut Bytes, field: &'static str) -> Result<u64, DecodeError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = u8_of(bytes, field)?;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return Err(DecodeError::Field(field));
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DecodeError::Field(field))
}

pub(super) fn optional_of(bytes: &mut Bytes, field: &'static str) -> Result<Option<Offset>, DecodeError> {
    Ok(varint_of(bytes, field)?.checked_sub(1).map(Offset))
}

fn slice_of<'a>(bytes: &'a Bytes, field: &'static str) -> Result<&'a [u8], DecodeError> {
    let length = usize::from(*bytes.first().ok_or(DecodeError::Short(field))?);
    bytes.get(1..=length).ok_or(DecodeError::Short(field))
}

pub(super) fn id_of<T>(
    bytes: &mut Bytes,
    field: &'static str,
    make: impl FnOnce(&str) -> Result<T, IdError>,
) -> Result<T, DecodeError> {
    let slice = slice_of(bytes, field)?;
    let length = slice.len();
    let text = std::str::from_utf8(slice).map_err(|_| DecodeError::Field(field))?;
    let id = make(text).map_err(|error| DecodeError::Id { field, error })?;
    bytes.advance(1 + length);
    Ok(id)
}

pub(super) fn text_of(bytes: &mut Bytes, field: &'static str) -> Result<String, DecodeError> {
    let slice = slice_of(bytes, field)?;
    let length = slice.len();
    let text = std::str::from_utf8(slice).map_err(|_| DecodeError::Field(field))?.to_owned();
    bytes.advance(1 + length);
    Ok(text)
}
