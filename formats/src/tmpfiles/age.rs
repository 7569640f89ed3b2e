//! The field "age": after which time systemd-tmpfiles --clean removes what lies in a directory.

use std::time::Duration;

/// An age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Age {
    /// `~` before it: what lies directly in the directory stays, whatever its age.
    pub keep_first_level: bool,
    /// The timestamps of files that must all be older.
    pub files: Vec<Timestamp>,
    /// The timestamps of directories that must all be older.
    pub directories: Vec<Timestamp>,
    /// `None` if they never are.
    pub limit: Option<Duration>,
}

/// A timestamp of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamp {
    /// Last read.
    Access,
    /// Creation.
    Birth,
    /// Last change of the inode.
    Change,
    /// Last change of the content.
    Modification,
}

const TIMESTAMPS: [(char, Timestamp); 4] =
    [('a', Timestamp::Access), ('b', Timestamp::Birth), ('c', Timestamp::Change), ('m', Timestamp::Modification)];

/// Units with their microseconds, from systemd.time(7).
const UNITS: [(&[&str], u64); 9] = [
    (&["seconds", "second", "sec", "s", ""], 1_000_000),
    (&["minutes", "minute", "min", "m"], 60_000_000),
    (&["hours", "hour", "hr", "h"], 3_600_000_000),
    (&["days", "day", "d"], 86_400_000_000),
    (&["weeks", "week", "w"], 604_800_000_000),
    (&["months", "month", "M"], 2_629_800_000_000),
    (&["years", "year", "y"], 31_557_600_000_000),
    (&["msec", "ms"], 1000),
    (&["usec", "us", "\u{b5}s", "\u{3bc}s"], 1),
];

impl Age {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (keep_first_level, text) = text.strip_prefix('~').map_or((false, text), |rest| (true, rest));
        let (by, text) = text.split_once(':').map_or((None, text), |(by, rest)| (Some(by), rest));
        let (mut files, mut directories) = (Vec::new(), Vec::new());
        for letter in by.unwrap_or_default().chars().filter(|c| !c.is_ascii_whitespace()) {
            let (_, timestamp) = TIMESTAMPS.iter().find(|(it, _)| *it == letter.to_ascii_lowercase())?;
            let timestamps = if letter.is_ascii_lowercase() { &mut files } else { &mut directories };
            timestamps.push(*timestamp);
        }
        if by.is_some() && files.is_empty() && directories.is_empty() {
            return None;
        }
        // The change of a directory's inode says nothing of its content.
        let default = |timestamps: &mut Vec<Timestamp>, without: &[Timestamp]| {
            if timestamps.is_empty() {
                timestamps.extend(TIMESTAMPS.map(|(_, it)| it).iter().filter(|it| !without.contains(it)));
            }
        };
        default(&mut files, &[]);
        default(&mut directories, &[Timestamp::Change]);
        Some(Self { keep_first_level, files, directories, limit: span(text)? })
    }
}

/// A time span such as `1d 12h` or `1.5h`; `Some(None)` for `infinity`.
fn span(text: &str) -> Option<Option<Duration>> {
    let mut rest = text.trim_matches([' ', '\t']);
    if rest == "infinity" {
        return Some(None);
    }
    let mut total = 0_u64;
    loop {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(unit_at);
        let after = after.trim_start();
        let end = after.find(|c: char| c.is_ascii_digit() || c.is_ascii_whitespace()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, unit) = UNITS.iter().find(|(names, _)| names.contains(&unit))?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || number.ends_with('.') {
            return None;
        }
        total = total.checked_add(whole.parse::<u64>().ok()?.checked_mul(*unit)?)?;
        let mut share = *unit;
        for digit in fraction.chars() {
            share /= 10;
            total = total.checked_add(share * u64::from(digit.to_digit(10)?))?;
        }
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(Some(Duration::from_micros(total)));
        }
    }
}
