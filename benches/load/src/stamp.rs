//! The mark in a notification's text by which its receiver knows it again, and when it was meant to be sent.

/// `bw!`, then run, sequence number and time as fixed hexadecimal digits: no JSON encoder changes any of these.
pub const STAMP_BYTES: usize = MARK.len() + 8 + 8 + 16;

const MARK: &[u8; 3] = b"bw!";
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A notification's mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Which measurement it belongs to.
    pub run: u32,
    /// Its number among those for the same user in this run.
    pub number: u32,
    /// When it was meant to be sent, in nanoseconds of the generator's own clock.
    pub nanos: u64,
}

impl Stamp {
    /// Writes the mark over the first [`STAMP_BYTES`] of `out`, which must have them.
    pub fn write(&self, out: &mut [u8]) {
        let (mark, rest) = out.split_at_mut(MARK.len());
        let (run, rest) = rest.split_at_mut(8);
        let (number, rest) = rest.split_at_mut(8);
        mark.copy_from_slice(MARK);
        put_hex(run, u64::from(self.run));
        put_hex(number, u64::from(self.number));
        put_hex(&mut rest[..16], self.nanos);
    }

    /// The first mark in a frame's text.
    #[must_use]
    pub fn find(text: &[u8]) -> Option<Self> {
        let start = text.windows(MARK.len()).position(|w| w == MARK)? + MARK.len();
        let digits = text.get(start..start + STAMP_BYTES - MARK.len())?;
        Some(Self {
            run: u32::try_from(hex(&digits[..8])?).ok()?,
            number: u32::try_from(hex(&digits[8..16])?).ok()?,
            nanos: hex(&digits[16..])?,
        })
    }
}

fn put_hex(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = DIGITS[(value & 15) as usize];
        value >>= 4;
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value: u64, digit| Some(value << 4 | u64::from((*digit as char).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_again_in_a_text() {
        let stamp = Stamp { run: 0xffff_fff1, number: 7, nanos: u64::MAX - 3 };
        let mut text = b"{\"message\":\"________________________________________\"}".to_vec();
        stamp.write(&mut text[13..]);
        assert_eq!(Stamp::find(&text), Some(stamp));
        assert_eq!(Stamp::find(&text[14..]), None);
        assert_eq!(Stamp::find(&text[..40]), None);
        assert_eq!(Stamp::find(b"bw!0000000g0000000000000000000000000000"), None);
    }
}
