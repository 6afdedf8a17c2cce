//! Times as RFC 3339 writes them.

use bellwire_common::ids::UnixMillis;

/// None for what is no time, or one before 1970: Alertmanager writes the year 1 for "not yet".
pub(super) fn parse(text: &str) -> Option<UnixMillis> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| {
        let digits = bytes.get(from..to)?;
        digits.iter().try_fold(0_i64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
    };
    let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|byte| wanted.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let digits = if is(19, b".") { bytes[20..].iter().take_while(|byte| byte.is_ascii_digit()).count() } else { 0 };
    let zone = 19 + if is(19, b".") { 1 + digits } else { 0 };
    let millis = (0..3)
        .try_fold(0, |sum, place| Some(sum * 10 + if place < digits { number(20 + place, 21 + place)? } else { 0 }))?;
    let offset = match bytes.get(zone)? {
        b'Z' | b'z' if bytes.len() == zone + 1 => 0,
        sign @ (b'+' | b'-') if bytes.len() == zone + 6 && is(zone + 3, b":") => {
            let minutes = number(zone + 1, zone + 3)? * 60 + number(zone + 4, zone + 6)?;
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + (minute - offset) * 60 + second;
    u64::try_from(seconds * 1_000 + millis).ok().map(UnixMillis)
}

/// Days since 1970. The year begins in March, so that the leap day comes last in it.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let (cycle, year_of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    cycle * 146_097 + year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_of_senders_are_read() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2018-08-03T09:52:26.739266876+02:00", 1_533_282_746_739),
            ("2018-08-03T09:52:26.7-02:30", 1_533_299_000_000 - 53_300),
            ("2024-02-29T23:59:59.001Z", 1_709_251_199_001),
        ] {
            assert_eq!(parse(text), Some(UnixMillis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "0001-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999Z",
            "1970-01-01T00:00:00",
            "1970-01-01",
            "1970-13-01T00:00:00Z",
            "1970-01-00T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:00.Z5",
            "1970-01-01T00:00:00+0200",
            "1970-01-01T00:00:00Zx",
            "+970-01-01T00:00:00Z",
            "1970-01-01T00:00:00é",
            "1970-01-01T00:00:00.",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_we_write_is_read(millis in 0_u64..253_402_300_799_999) {
            let time = UnixMillis(millis);
            prop_assert_eq!(parse(&time.utc().to_string()), Some(time));
        }

        #[test]
        fn any_text_is_taken_or_not(text in "[0-9TZ:.+ -]{0,30}|\\PC{0,30}") {
            parse(&text);
        }
    }
}
