//! The value of `--since`.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

/// Parses `90s`, `10m`, `1h`, `2d` (before `now`), or a time like `2026-11-30T10:00:00Z` or `2026-11-30 10:00` (UTC). Returns microseconds
/// since 1970.
///
/// # Errors
/// Another form.
pub fn parse(text: &str, now: Timestamp) -> Result<i64, String> {
    let expected =
        || format!("expected an age like 10m, 1h or 2d, or a time like 2026-11-30T10:00:00Z, found {text:?}");
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_microsecond());
    }
    if let Ok(time) = text.parse::<DateTime>() {
        return time.to_zoned(TimeZone::UTC).map(|time| time.timestamp().as_microsecond()).map_err(|_| expected());
    }
    let unit = text.chars().last().ok_or_else(expected)?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(expected()),
    };
    let count: i64 = text[..text.len() - 1].parse().map_err(|_| expected())?;
    let age = count.checked_mul(seconds).filter(|age| *age >= 0).ok_or_else(expected)?;
    let time = now.checked_sub(SignedDuration::from_secs(age)).map_err(|_| expected())?;
    Ok(time.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_times_are_read() {
        let now: Timestamp = "2026-11-30T10:00:00Z".parse().unwrap();
        for (text, wanted) in [
            ("90s", "2026-11-30T09:58:30Z"),
            ("1h", "2026-11-30T09:00:00Z"),
            ("2d", "2026-11-28T10:00:00Z"),
            ("2026-11-29T10:00:00+01:00", "2026-11-29T09:00:00Z"),
            ("2026-11-29 10:30", "2026-11-29T10:30:00Z"),
            ("2026-11-29", "2026-11-29T00:00:00Z"),
        ] {
            assert_eq!(parse(text, now).unwrap(), wanted.parse::<Timestamp>().unwrap().as_microsecond(), "{text}");
        }
        for text in ["", "1", "h", "-1h", "1w", "\u{e4}", "99999999999999d", "yesterday"] {
            assert!(parse(text, now).is_err(), "{text}");
        }
    }
}
