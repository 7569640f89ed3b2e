//! Points in time as Debian archives and lock files write them: whole seconds, UTC.

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

const DAY: u64 = 86_400;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Days from 1970-01-01 to a day of the Gregorian calendar; `None` for a day that does not exist or lies before.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month).ok()?.checked_sub(1)?;
    if !(1970..10_000).contains(&year) || before >= 12 || day == 0 || day > lengths[before] {
        return None;
    }
    let leaps = |y: u64| (y - 1) / 4 - (y - 1) / 100 + (y - 1) / 400;
    let years = (year - 1970) * 365 + leaps(year) - leaps(1970);
    Some(years + lengths[..before].iter().sum::<u64>() + day - 1)
}

impl Date {
    /// Reads the form of a Release file: `Sat, 12 Sep 2026 07:55:41 UTC` (RFC 5322, always in UTC).
    ///
    /// # Errors
    /// On any other form, and on time zones other than UTC.
    pub fn parse_release(text: &str) -> Result<Self, BadDate> {
        let parsed = || {
            let (_weekday, rest) = text.split_once(',')?;
            let words: Vec<&str> = rest.split_ascii_whitespace().collect();
            let [day, month, year, time, zone] = *words.as_slice() else { return None };
            if !["UTC", "GMT", "Z", "+0000"].contains(&zone) {
                return None;
            }
            let month = MONTHS.iter().position(|&name| name == month)? as u64 + 1;
            Self::from_parts(year.parse().ok()?, month, day.parse().ok()?, time)
        };
        parsed().ok_or_else(|| BadDate { wanted: "Sat, 12 Sep 2026 07:55:41 UTC", found: text.to_owned() })
    }

    fn from_parts(year: u64, month: u64, day: u64, time: &str) -> Option<Self> {
        let fields: Vec<u64> = time.split(':').map(|field| field.parse().ok()).collect::<Option<_>>()?;
        let [hour, minute, second] = *fields.as_slice() else { return None };
        // A leap second counts as the next second, as POSIX has it.
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        Some(Self(days(year, month, day)? * DAY + hour * 3600 + minute * 60 + second))
    }
}

impl FromStr for Date {
    type Err = BadDate;

    fn from_str(text: &str) -> Result<Self, BadDate> {
        let parsed = || {
            let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
            let fields: Vec<u64> = date.split('-').map(|field| field.parse().ok()).collect::<Option<_>>()?;
            let [year, month, day] = *fields.as_slice() else { return None };
            Self::from_parts(year, month, day, time)
        };
        let date = parsed().filter(|date| date.to_string() == text);
        date.ok_or_else(|| BadDate { wanted: "2026-09-12T07:55:41Z", found: text.to_owned() })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Days since 0000-03-01, so that leap days end a year: H. Hinnant, "chrono-compatible low-level date algorithms".
        let shifted = self.0 / DAY + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_index = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month_index + 2) / 5 + 1;
        let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let second = self.0 % DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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
        for seconds in [0, 951_782_400, 951_868_799, 1_709_164_800, 1_789_199_741, 4_107_542_400, 253_402_300_799] {
            let judge = |format: &str| {
                let mut date = std::process::Command::new("date");
                let out = date.env("LC_ALL", "C").args(["-u", "-d", &format!("@{seconds}"), format]).output().unwrap();
                String::from_utf8(out.stdout).unwrap().trim().to_owned()
            };
            assert_eq!(Date(seconds).to_string(), judge("+%Y-%m-%dT%H:%M:%SZ"));
            assert_eq!(judge("+%Y-%m-%dT%H:%M:%SZ").parse(), Ok(Date(seconds)));
            assert_eq!(Date::parse_release(&judge("+%a, %d %b %Y %H:%M:%S UTC")), Ok(Date(seconds)));
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
            assert!(Date::parse_release(bad).is_err(), "{bad}");
        }
        for bad in ["", "2026-9-12T07:55:41Z", "2026-09-12T07:55:41+02:00", "2026-09-12", "2026-13-12T07:55:41Z"] {
            assert!(bad.parse::<Date>().is_err(), "{bad}");
        }
    }
}
