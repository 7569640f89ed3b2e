//! Segments of stored logs: Berth's own format, which docs/logs.md specifies.
//!
//! A segment is a header and records. It is only appended to. Each record has a checksum: after a power cut, every record before the first
//! unfinished or damaged one is readable. A folder of segments is a log; the names of the files are their order.
//!
//! All numbers are little-endian. Header: magic (8), boot id (16), number of the boot (4), zero (4), number of the first line (8), CRC-32
//! of these 40 bytes (4). Record: length of the payload (4), CRC-32 of the payload (4), payload. The first byte of a payload is its kind.
//! Line: 1, level (1), length of the log's name (1), time (8), number in the log (8), name, text. Clock: 2, time (8), offset (8).
//! Mark: 3, number in the log (8), name.

mod folder;
mod reader;

pub use folder::{Segment, SegmentName, segments};
pub use reader::{Event, LogReader};

/// Size of the header in bytes.
pub const HEADER: usize = 44;
/// Size of the fixed part of a record in bytes.
const FRAME: usize = 8;
/// Longest payload in bytes.
const LONGEST: usize = 64 * 1024;
const MAGIC: &[u8; 8] = b"BERTHLG1";
const LINE: u8 = 1;
const CLOCK: u8 = 2;
const MARK: u8 = 3;
/// Size of the fixed part of a line in bytes.
const LINE_FIXED: usize = 19;

/// A line's place among all stored lines: first the boot, then the number of the line in the boot, which starts at 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Number of the boot.
    pub boot: u32,
    /// Number of the line in this boot.
    pub line: u64,
}

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The kernel's id of the boot.
    pub boot_id: [u8; 16],
    /// Place of the first line.
    pub first: Position,
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A line of a log.
    Line(Line<'a>),
    /// From now on, the wall clock is the time of a line plus this offset, both in microseconds.
    Clock {
        /// When the clock was read: microseconds since kernel start.
        at_us: i64,
        /// Wall clock minus time since kernel start.
        offset_us: i64,
    },
    /// Number of the last line of a log in earlier segments, so that the writer must read only the last segment when it starts.
    Mark {
        /// The log.
        log: &'a str,
        /// Number of its last line.
        number: u64,
    },
}

/// A line of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The log: `kernel`, the name of a service, ...
    pub log: &'a str,
    /// Severity as in syslog(3).
    pub level: u8,
    /// Microseconds since kernel start.
    pub at_us: i64,
    /// Number of the line in its log, given by the source of the log.
    pub number: u64,
    /// The text.
    pub text: &'a str,
}

/// Why bytes are not a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// The file does not start with the header of a segment.
    #[error("expected the header of a log segment, found other bytes")]
    Header,
    /// A record is damaged or unfinished.
    #[error("record at byte {at}: expected a record with a matching checksum, found other bytes")]
    Record {
        /// Position in the bytes.
        at: usize,
    },
}

impl Header {
    /// The header's bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..24].copy_from_slice(&self.boot_id);
        bytes[24..28].copy_from_slice(&self.first.boot.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first.line.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..40]);
        bytes[40..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Parses a header.
    ///
    /// # Errors
    /// [`SegmentError::Header`], also if bytes are missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, SegmentError> {
        let bytes: &[u8; HEADER] = bytes.first_chunk().ok_or(SegmentError::Header)?;
        let good =
            bytes[..8] == *MAGIC && bytes[28..32] == [0; 4] && number32(bytes, 40) == crc32fast::hash(&bytes[..40]);
        let boot_id = bytes[8..24].try_into().map_err(|_| SegmentError::Header)?;
        let first = Position { boot: number32(bytes, 24), line: number64(bytes, 32) };
        if good { Ok(Self { boot_id, first }) } else { Err(SegmentError::Header) }
    }
}

impl<'a> Record<'a> {
    /// Appends the record to `out`. The name of a log is cut to 255 bytes, and a text to 60 KiB.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; FRAME]);
        match self {
            Self::Line(line) => {
                let log = short(line.log);
                let text = &line.text[..line.text.floor_char_boundary(60 * 1024)];
                out.extend([LINE, line.level, u8::try_from(log.len()).unwrap_or(0)]);
                out.extend(line.at_us.to_le_bytes());
                out.extend(line.number.to_le_bytes());
                out.extend_from_slice(log.as_bytes());
                out.extend_from_slice(text.as_bytes());
            }
            Self::Clock { at_us, offset_us } => {
                out.push(CLOCK);
                out.extend(at_us.to_le_bytes());
                out.extend(offset_us.to_le_bytes());
            }
            Self::Mark { log, number } => {
                out.push(MARK);
                out.extend(number.to_le_bytes());
                out.extend_from_slice(short(log).as_bytes());
            }
        }
        let payload = &out[start + FRAME..];
        let (length, sum) = (u32::try_from(payload.len()).unwrap_or(0), crc32fast::hash(payload));
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + FRAME].copy_from_slice(&sum.to_le_bytes());
    }

    /// Parses the record at the start of `bytes`. Returns it with its size, or `None` if bytes are missing at the end.
    ///
    /// # Errors
    /// [`SegmentError::Record`] with position 0.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, SegmentError> {
        let damaged = SegmentError::Record { at: 0 };
        if bytes.len() < FRAME {
            return Ok(None);
        }
        let length = usize::try_from(number32(bytes, 0)).unwrap_or(usize::MAX);
        if length == 0 || length > LONGEST {
            return Err(damaged);
        }
        let Some(payload) = bytes.get(FRAME..FRAME + length) else { return Ok(None) };
        if crc32fast::hash(payload) != number32(bytes, 4) {
            return Err(damaged);
        }
        let record = match payload[0] {
            LINE => Self::Line(parse_line(payload).ok_or(damaged)?),
            CLOCK if payload.len() == 17 => {
                Self::Clock { at_us: number64(payload, 1).cast_signed(), offset_us: number64(payload, 9).cast_signed() }
            }
            MARK if payload.len() >= 9 => {
                let log = str::from_utf8(&payload[9..]).map_err(|_| damaged)?;
                Self::Mark { log, number: number64(payload, 1) }
            }
            _ => return Err(damaged),
        };
        Ok(Some((record, FRAME + length)))
    }
}

fn short(log: &str) -> &str {
    &log[..log.floor_char_boundary(255)]
}

fn parse_line(payload: &[u8]) -> Option<Line<'_>> {
    let (fixed, rest) = payload.split_at_checked(LINE_FIXED)?;
    let (log, text) = rest.split_at_checked(usize::from(fixed[2]))?;
    Some(Line {
        log: str::from_utf8(log).ok()?,
        level: fixed[1],
        at_us: number64(fixed, 3).cast_signed(),
        number: number64(fixed, 11),
        text: str::from_utf8(text).ok()?,
    })
}

/// The callers have checked the length.
fn number32(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().copied().map_or(0, u32::from_le_bytes)
}

fn number64(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().copied().map_or(0, u64::from_le_bytes)
}
