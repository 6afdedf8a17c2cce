//! The repeated greeting's id: a UUID that stands for an offset.
//!
//! Both unmodified front ends answer each greeting with a registration that carries the greeting's id. An id
//! made of the tab's secret and an offset therefore comes back as the proof that the page has handled everything
//! up to that offset, and nothing needs to be remembered to recognise it.
//!
//! A UUID of version 4 has 122 free bits: 58 of the secret, then 64 for the offset plus one; 0 is the
//! first greeting, which proves nothing.

use bellwire_common::ids::Offset;

const SECRET_BITS: u32 = 58;

/// The id of the greeting for `upto`; of the first one for none. The largest offset of all has none.
pub(super) fn id(secret: u64, upto: Option<Offset>) -> Option<String> {
    let place = upto.map_or(Some(0), |offset| offset.0.checked_add(1))?;
    let secret = u128::from(secret & ((1 << SECRET_BITS) - 1));
    let free = (secret << 64) | u128::from(place);
    let bits = (free >> 74 << 80) | (4 << 76) | ((free >> 62 & 0xfff) << 64) | (0b10 << 62) | (free & ((1 << 62) - 1));
    let mut text = String::with_capacity(ID_LEN);
    for place in 0..ID_LEN {
        match shift_of(place) {
            Some(shift) => text.push(char::from_digit((bits >> shift & 0xf) as u32, 16)?),
            None => text.push('-'),
        }
    }
    Some(text)
}

/// The offset that `text` stands for, if it is the id of one of this secret's greetings but the first.
pub(super) fn offset_of(secret: u64, text: &str) -> Option<Offset> {
    if text.len() != ID_LEN {
        return None;
    }
    let mut bits = 0u128;
    for (place, byte) in text.bytes().enumerate() {
        if let Some(shift) = shift_of(place) {
            bits |= u128::from(char::from(byte).to_digit(16)?) << shift;
        }
    }
    let place = ((bits >> 64 & 0b11) << 62 | (bits & ((1 << 62) - 1))) as u64;
    let offset = Offset(place.checked_sub(1)?);
    // Only the exact id counts: secret, hyphens, lower case and all.
    (id(secret, Some(offset))? == text).then_some(offset)
}

const ID_LEN: usize = 36;

/// By how many bits the digit at this place of a UUID's text is shifted; none for a hyphen.
fn shift_of(place: usize) -> Option<usize> {
    let hyphens = match place {
        8 | 13 | 18 | 23 => return None,
        0..8 => 0,
        9..13 => 1,
        14..18 => 2,
        19..23 => 3,
        _ => 4,
    };
    Some(124 - 4 * (place - hyphens))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_uuids_of_version_4() {
        assert_eq!(id(0, None).unwrap(), "00000000-0000-4000-8000-000000000000");
        assert_eq!(id(0, Some(Offset(0))).unwrap(), "00000000-0000-4000-8000-000000000001");
        assert_eq!(id(u64::MAX, Some(Offset(u64::MAX - 1))).unwrap(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(id(7, Some(Offset(u64::MAX))), None);
    }

    #[test]
    fn the_first_greeting_proves_nothing() {
        assert_eq!(offset_of(7, &id(7, None).unwrap()), None);
    }

    #[test]
    fn other_spellings_prove_nothing() {
        let own = id(0xabcd_ef01, Some(Offset(12))).unwrap();
        assert_eq!(offset_of(0xabcd_ef01, &own), Some(Offset(12)));
        for text in [own.to_uppercase(), format!("{own} "), own.replace('-', ""), own.replacen('-', "", 1) + "-"] {
            assert_eq!(offset_of(0xabcd_ef01, &text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn offsets_come_back(secret: u64, offset in 0..u64::MAX) {
            let text = id(secret, Some(Offset(offset))).unwrap();
            prop_assert_eq!(offset_of(secret, &text), Some(Offset(offset)));
            prop_assert_eq!(&text[14..15], "4");
            prop_assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"));
        }

        #[test]
        fn only_own_ids_are_proofs(secret in 0..1u64 << SECRET_BITS, other in 0..1u64 << SECRET_BITS, offset in 0..u64::MAX) {
            prop_assume!(secret != other);
            prop_assert_eq!(offset_of(secret, &id(other, Some(Offset(offset))).unwrap()), None);
        }

        #[test]
        fn any_text_is_refused_or_own(secret: u64, text in "[-0-9a-fA-F\u{e4}]{30,40}") {
            prop_assert_eq!(offset_of(secret, &text), None);
        }
    }
}
