//! A folder with a size limit.

use berth_formats::log_segment::{HEADER, Header, Record, Segment, segments};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Limits of a segment's size in bytes. Between them it is a part of the folder's limit.
const SEGMENT_SIZES: (u64, u64) = (32 << 10, 4 << 20);
/// A folder's limit is this number of segments.
const SEGMENTS: u64 = 16;
/// Segments are at most a little larger than their limit.
const MOST_READ: u64 = 16 << 20;

/// A batch may make a segment larger than its limit: 256 KiB of lines, one more line, and the marks at the start.
const LARGEST_BATCH: u64 = 384 << 10;

#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) max_size: u64,
}

/// What the newest readable segment contains.
#[derive(Debug)]
pub(super) struct Last {
    pub(super) header: Header,
    pub(super) lines: u64,
    /// Number of the last line of each log.
    pub(super) numbers: BTreeMap<String, u64>,
}

#[derive(Debug)]
pub(super) struct Found {
    /// The highest number of a boot.
    pub(super) newest_boot: u32,
    pub(super) last: Option<Last>,
}

impl Folder {
    /// Size from which on a segment gets no more lines.
    pub(super) fn segment_size(&self) -> u64 {
        (self.max_size / SEGMENTS).clamp(SEGMENT_SIZES.0, SEGMENT_SIZES.1)
    }

    /// Removes the oldest segments, so that a new segment fits within the limit.
    pub(super) fn make_room(&self) -> io::Result<()> {
        let all = self.segments()?;
        let size = |segment: &Segment| fs::metadata(&segment.path).map_or(0, |found| found.len());
        let mut total: u64 = all.iter().map(size).sum();
        let limit = self.max_size.saturating_sub(self.segment_size() + LARGEST_BATCH);
        for segment in &all {
            if total <= limit {
                break;
            }
            total -= size(segment).min(total);
            remove(&segment.path)?;
        }
        Ok(())
    }

    /// Removes segments whose last line was written more than `age` ago, except `current`.
    #[expect(clippy::disallowed_methods, reason = "the age of a file is by the wall clock")]
    pub(super) fn remove_older(&self, age: Duration, current: Option<&Path>) -> io::Result<()> {
        let Some(limit) = SystemTime::now().checked_sub(age) else { return Ok(()) };
        for segment in self.segments()? {
            let is_old = fs::metadata(&segment.path)?.modified()? < limit;
            if is_old && current != Some(&*segment.path) {
                remove(&segment.path)?;
            }
        }
        Ok(())
    }

    fn segments(&self) -> io::Result<Vec<Segment>> {
        segments(std::slice::from_ref(&self.path))
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads the newest readable segment of some folders. A folder that cannot be read has none.
pub(super) fn last_of(folders: &[PathBuf]) -> Found {
    let mut all: Vec<Segment> =
        folders.iter().filter_map(|folder| segments(std::slice::from_ref(folder)).ok()).flatten().collect();
    all.sort();
    let newest_boot = all.last().map_or(0, |segment| segment.first.boot);
    Found { newest_boot, last: all.iter().rev().find_map(read) }
}

fn read(segment: &Segment) -> Option<Last> {
    if fs::metadata(&segment.path).ok()?.len() > MOST_READ {
        return None;
    }
    let bytes = fs::read(&segment.path).ok()?;
    let header = Header::parse(&bytes).ok().filter(|header| header.first == segment.first)?;
    let mut last = Last { header, lines: 0, numbers: BTreeMap::new() };
    let mut at = HEADER;
    while let Ok(Some((record, size))) = Record::parse(&bytes[at..]) {
        at += size;
        match record {
            Record::Line(line) => {
                last.lines += 1;
                match last.numbers.get_mut(line.log) {
                    Some(number) => *number = line.number,
                    None => drop(last.numbers.insert(line.log.to_owned(), line.number)),
                }
            }
            Record::Mark { log, number } => drop(last.numbers.insert(log.to_owned(), number)),
            Record::Clock { .. } => {}
        }
    }
    Some(last)
}
