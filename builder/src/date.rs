//! Points in time as archives, lock files and releases have them: whole seconds, UTC.

use jiff::{SignedDuration, Timestamp, civil::DateTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// Seconds since 1970-01-01T00:00:00Z. Printed, parsed and serialised as RFC 3339 in UTC (`2026-09-12T07:55:41Z`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub u64);

/// A text that is no date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a date like {wanted}, found {found:?}")]
pub struct BadDate {
    /// An example.
    pub wanted: &'static str,
    /// The text as given.
    pub found: String,
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

impl Date {
    /// Reads the form of an InRelease file: `Sat, 12 Sep 2026 07:55:41 UTC` (RFC 5322, always in UTC).
    ///
    /// # Errors
    /// On any other form, and on time zones other than UTC.
    pub fn parse_in_release(text: &str) -> Result<Self, BadDate> {
        let parsed = || {
            let (_weekday, rest) = text.split_once(',')?;
            let words: Vec<&str> = rest.split_ascii_whitespace().collect();
            let (zone, words) = words.split_last()?;
            if !["UTC", "GMT", "Z", "+0000"].contains(zone) {
                return None;
            }
            Self::from_civil(DateTime::strptime("%d %b %Y %H:%M:%S", words.join(" ")).ok()?)
        };
        parsed().ok_or_else(|| BadDate { wanted: "Sat, 12 Sep 2026 07:55:41 UTC", found: text.to_owned() })
    }

    /// The same moment as `tough` has it in metadata; the last one that it knows, where it knows none so late.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        i64::try_from(self.0).ok().and_then(|second| Timestamp::from_second(second).ok()).unwrap_or(Timestamp::MAX)
    }

    /// `None` before 1970.
    fn from_civil(utc: DateTime) -> Option<Self> {
        u64::try_from(utc.duration_since(EPOCH).as_secs()).ok().map(Self)
    }
}

impl FromStr for Date {
    type Err = BadDate;

    fn from_str(text: &str) -> Result<Self, BadDate> {
        let parsed = || Self::from_civil(text.strip_suffix('Z')?.parse().ok()?);
        // Of the many forms that RFC 3339 allows, the one that is written.
        let date = parsed().filter(|date| date.to_string() == text);
        date.ok_or_else(|| BadDate { wanted: "2026-09-12T07:55:41Z", found: text.to_owned() })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = i64::try_from(self.0).unwrap_or(i64::MAX);
        match EPOCH.checked_add(SignedDuration::from_secs(since)) {
            Ok(utc) => write!(f, "{utc}Z"),
            // After the year 9999.
            Err(_) => write!(f, "{} seconds after 1970", self.0),
        }
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_what_date_1_says() {
        for seconds in [
            0,
            951_782_400,
            951_868_799,
            951_868_800,
            1_709_164_800,
            1_789_199_741,
            4_107_542_399,
            4_107_542_400,
            253_402_300_799,
        ] {
            let judge = |format: &str| {
                let mut date = std::process::Command::new("date");
                let out = date.env("LC_ALL", "C").args(["-u", "-d", &format!("@{seconds}"), format]).output().unwrap();
                String::from_utf8(out.stdout).unwrap().trim().to_owned()
            };
            assert_eq!(Date(seconds).to_string(), judge("+%Y-%m-%dT%H:%M:%SZ"));
            assert_eq!(judge("+%Y-%m-%dT%H:%M:%SZ").parse(), Ok(Date(seconds)));
            assert_eq!(Date::parse_in_release(&judge("+%a, %d %b %Y %H:%M:%S UTC")), Ok(Date(seconds)));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for bad in [
            "",
            "Sat, 12 Sep 2026 07:55:41",
            "Sat, 12 Sep 2026 07:55:41 CEST",
            "Sat, 31 Feb 2026 07:55:41 UTC",
            "Sat, 12 Sep 1969 07:55:41 UTC",
            "Sat, 12 Sep 2026 24:00:00 UTC",
            "Sat, 12 Sep 18446744073709551615 07:55:41 UTC",
        ] {
            assert!(Date::parse_in_release(bad).is_err(), "{bad}");
        }
        for bad in ["", "2026-9-12T07:55:41Z", "2026-09-12T07:55:41+02:00", "2026-09-12", "2026-13-12T07:55:41Z"] {
            assert!(bad.parse::<Date>().is_err(), "{bad}");
        }
    }
}
