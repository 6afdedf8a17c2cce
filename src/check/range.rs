//! Thresholds as the guidelines for monitoring plugins write them. Pure.

/// Which values raise an alert.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Range {
    start: f64,
    end: f64,
    is_inside: bool,
    text: String,
}

impl Range {
    /// Takes `10` (alert below 0 and above 10), `10:`, `~:10`, `10:20`, and `@10:20` (alert from 10 to 20).
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let error = || format!("must be seconds such as 5 or 0.5, or a range such as 0.1:5, not {text:?}");
        let (is_inside, bounds) = text.strip_prefix('@').map_or((false, text), |rest| (true, rest));
        let (start, end) = bounds.split_once(':').unwrap_or(("", bounds));
        let number = |text: &str, otherwise: f64| match text {
            "" => Some(otherwise),
            _ => text.parse::<f64>().ok().filter(|number| number.is_finite()),
        };
        let start = if start == "~" { f64::NEG_INFINITY } else { number(start, 0.0).ok_or_else(error)? };
        let end = number(end, f64::INFINITY).ok_or_else(error)?;
        if bounds.is_empty() || bounds == ":" || start > end {
            return Err(error());
        }
        Ok(Self { start, end, is_inside, text: text.to_owned() })
    }

    /// Whether this value raises an alert.
    pub(crate) fn alerts(&self, value: f64) -> bool {
        (self.start..=self.end).contains(&value) == self.is_inside
    }

    /// As it was given, which is how performance data has it.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_alert_as_the_guidelines_say() {
        for (range, alert, fine) in [
            ("10", &[-0.1, 10.1][..], &[0.0, 10.0][..]),
            ("0.5", &[0.51], &[0.5]),
            ("10:", &[9.9], &[10.0, 1e9]),
            ("~:10", &[10.1], &[-5.0, 10.0]),
            ("10:20", &[9.0, 21.0], &[10.0, 20.0]),
            ("@10:20", &[10.0, 20.0], &[9.0, 21.0]),
        ] {
            let parsed = Range::parse(range).unwrap();
            assert!(alert.iter().all(|value| parsed.alerts(*value)), "{range}");
            assert!(!fine.iter().any(|value| parsed.alerts(*value)), "{range}");
            assert_eq!(parsed.as_str(), range);
        }
    }

    #[test]
    fn what_is_no_range() {
        for text in ["", ":", "@", "x", "1s", "20:10", "1:2:3", "nan", "inf", "~", "1,5", "10 "] {
            assert!(Range::parse(text).unwrap_err().contains("seconds"), "{text}");
        }
    }
}
