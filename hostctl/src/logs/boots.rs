//! The boots that have stored lines.

use super::{LogPaths, LogsError};
use berth_formats::log_segment::{Event, LogReader, Position, Segment, segments};
use std::{fmt, fs, str::FromStr};

/// A boot with stored lines.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Boot {
    /// Its number in the store.
    pub number: u32,
    /// 0 is the running boot, -1 the boot before.
    pub relative: i64,
    /// The kernel's id of the boot, 32 hexadecimal digits.
    pub boot_id: String,
    /// Its start in microseconds since 1970, if the clock was read.
    pub started_us: Option<i64>,
    /// Number of lines that are still stored.
    pub lines: u64,
}

/// The boot that a user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootChoice {
    /// 0 is the running boot, -1 the boot before.
    Relative(i64),
    /// A number of the store.
    Number(u32),
}

impl FromStr for BootChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number: i64 =
            text.parse().map_err(|_| format!("expected 0, -1, -2 or a number of --list-boots, found {text:?}"))?;
        Ok(match u32::try_from(number) {
            Ok(number) if number > 0 => Self::Number(number),
            _ => Self::Relative(number),
        })
    }
}

impl fmt::Display for BootChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relative(number) => write!(f, "{number}"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// The segments of one boot.
#[derive(Clone, Debug)]
pub(super) struct BootSegments {
    pub(super) number: u32,
    pub(super) relative: i64,
    pub(super) boot_id: [u8; 16],
    segments: Vec<Segment>,
}

/// All boots, oldest first. A boot without a readable segment is left out.
pub(super) fn all(paths: &LogPaths) -> Result<Vec<BootSegments>, LogsError> {
    let running = fs::read_to_string(&paths.boot_id)?.trim().replace('-', "");
    let segments = segments(&paths.folders)?;
    let mut boots = Vec::new();
    for of_boot in segments.chunk_by(|a, b| a.first.boot == b.first.boot) {
        let number = of_boot[0].first.boot;
        let mut reader = LogReader::new(paths.folders.clone(), of_boot[0].first);
        let header = loop {
            match reader.next_event()? {
                Some(Event::Boot(header)) => break Some(header),
                Some(_) => {}
                None => break None,
            }
        };
        if let Some(header) = header.filter(|header| header.first.boot == number) {
            boots.push(BootSegments { number, relative: 0, boot_id: header.boot_id, segments: of_boot.to_vec() });
        }
    }
    // If the running boot has no lines yet, the newest one is the boot before.
    let runs = boots.last().is_some_and(|last| hex(&last.boot_id) == running);
    let newest = if runs { 0 } else { -1 };
    for (boot, relative) in boots.iter_mut().rev().zip(0..) {
        boot.relative = newest - relative;
    }
    Ok(boots)
}

impl BootSegments {
    /// Place of the first line that is still stored.
    pub(super) fn first(&self) -> Position {
        self.segments.first().map_or(Position { boot: self.number, line: 1 }, |segment| segment.first)
    }

    /// Whether a user means this boot.
    pub(super) fn is(&self, choice: BootChoice) -> bool {
        match choice {
            BootChoice::Relative(number) => self.relative == number,
            BootChoice::Number(number) => self.number == number,
        }
    }

    /// The last known difference of the wall clock: the clock was set meanwhile. `None` if it was never read.
    pub(super) fn offset_us(&self, paths: &LogPaths) -> Result<Option<i64>, LogsError> {
        let Some(last) = self.segments.last() else { return Ok(None) };
        let mut reader = LogReader::new(paths.folders.clone(), last.first);
        let mut offset = None;
        while let Some(event) = reader.next_event()? {
            match event {
                Event::Clock { offset_us } => offset = Some(offset_us),
                Event::Boot(header) if header.first.boot != self.number => break,
                _ => {}
            }
        }
        Ok(offset)
    }

    /// Number of lines, without those that were removed already.
    fn lines(&self, paths: &LogPaths) -> Result<u64, LogsError> {
        let Some(last) = self.segments.last() else { return Ok(0) };
        let mut reader = LogReader::new(paths.folders.clone(), last.first);
        let mut end = last.first.line;
        while let Some(event) = reader.next_event()? {
            match event {
                Event::Line(place, _) if place.boot == self.number => end = place.line + 1,
                Event::Boot(header) if header.first.boot != self.number => break,
                _ => {}
            }
        }
        Ok(end - self.segments[0].first.line)
    }

    /// What a user sees of it.
    pub(super) fn shown(&self, paths: &LogPaths) -> Result<Boot, LogsError> {
        Ok(Boot {
            number: self.number,
            relative: self.relative,
            boot_id: hex(&self.boot_id),
            started_us: self.offset_us(paths)?,
            lines: self.lines(paths)?,
        })
    }
}

pub(super) fn hex(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
