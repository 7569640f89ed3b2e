//! Lifetimes of signatures.

use crate::date::Date;
use jiff::Timestamp;
use std::{fmt, str::FromStr};

/// A duration in seconds, at most 100 years. Its text is a number and a unit: `s`, `m`, `h`, `d` or `w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(u64);

/// A text that is not a [`Lifetime`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a time like 12h, 30d or 52w, of at most 36500d")]
pub struct BadLifetime;

const DAY: u64 = 86_400;
const UNITS: [(char, u64); 5] = [('w', 7 * DAY), ('d', DAY), ('h', 3600), ('m', 60), ('s', 1)];

impl FromStr for Lifetime {
    type Err = BadLifetime;

    fn from_str(text: &str) -> Result<Self, BadLifetime> {
        let (unit, seconds) = UNITS.into_iter().find(|(unit, _)| text.ends_with(*unit)).ok_or(BadLifetime)?;
        let digits = text.trim_end_matches(unit);
        let plain = digits.len() + 1 == text.len() && digits.bytes().all(|c| c.is_ascii_digit());
        let number: u64 = digits.parse().ok().filter(|_| plain).ok_or(BadLifetime)?;
        let total = number.checked_mul(seconds).filter(|total| (1..=36_500 * DAY).contains(total));
        total.map(Self).ok_or(BadLifetime)
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, seconds) =
            UNITS.into_iter().find(|(_, seconds)| self.0.is_multiple_of(*seconds)).unwrap_or(('s', 1));
        write!(f, "{}{unit}", self.0 / seconds)
    }
}

impl Lifetime {
    /// The expiry of signatures made at `now`, in seconds since 1970.
    #[must_use]
    pub fn from(self, now: u64) -> Timestamp {
        Date(now.saturating_add(self.0)).timestamp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_print_in_the_form_that_is_parsed_and_give_the_right_expiry() {
        for text in ["1s", "90m", "12h", "30d", "52w"] {
            assert_eq!(text.parse::<Lifetime>().unwrap().to_string(), text);
        }
        assert_eq!("365d".parse::<Lifetime>().unwrap().from(86_400).to_string(), "1971-01-02T00:00:00Z");
        for bad in ["", "d", "0d", "1", "1y", "-1d", "+1d", "1dd", "99999999999999999999w", "36501d"] {
            assert_eq!(bad.parse::<Lifetime>(), Err(BadLifetime), "{bad}");
        }
    }
}
