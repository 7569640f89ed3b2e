//! Reads the lines of a folder, also while another process appends to it.

use super::{HEADER, Header, Line, Position, Record, Segment, folder::segments};
use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

/// Bytes that are read at once.
const BLOCK: usize = 64 * 1024;

/// What a reader finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The lines that follow belong to this boot.
    Boot(Header),
    /// From now on the wall clock is the time of a line plus this offset, in microseconds.
    Clock {
        /// Wall clock minus time since kernel start.
        offset_us: i64,
    },
    /// A line and its place.
    Line(Position, Line<'a>),
    /// Lines that the reader should have found next do not exist any more, or are damaged.
    Missing {
        /// Their number, if it is known.
        lines: Option<u64>,
    },
}

/// A position in the log of one or more folders. It takes the segments of all folders in the order of their lines.
#[derive(Debug)]
pub struct LogReader {
    folders: Vec<PathBuf>,
    /// The next line that is wanted.
    next: Position,
    open: Option<OpenSegment>,
    /// The segment that was opened last.
    last: Option<Segment>,
    /// Number and id of the boot that was reported last.
    boot: Option<(u32, [u8; 16])>,
    /// The offset of the clock that was reported last.
    offset_us: Option<i64>,
}

#[derive(Debug)]
struct OpenSegment {
    file: File,
    first: Position,
    /// Place of the next line in the file.
    line: u64,
    bytes: Vec<u8>,
    start: usize,
    /// Its header was read.
    has_header: bool,
    /// The rest of the file is damaged.
    damaged: bool,
}

impl LogReader {
    /// A reader that starts at the line `from`, or at the first line after it that exists.
    #[must_use]
    pub fn new(folders: Vec<PathBuf>, from: Position) -> Self {
        Self { folders, next: from, open: None, last: None, boot: None, offset_us: None }
    }

    /// Place of the next line that the reader wants.
    #[must_use]
    pub fn position(&self) -> Position {
        self.next
    }

    /// The next event, or `None` at the present end of the log. Damaged bytes are not an error: what follows them in their segment is
    /// passed over, and the next segment is read.
    ///
    /// # Errors
    /// A file or folder cannot be read.
    pub fn next_event(&mut self) -> io::Result<Option<Event<'_>>> {
        let (place, at, size) = loop {
            let Some(open) = &mut self.open else {
                match self.open_next()? {
                    Some(missing) => return Ok(Some(missing)),
                    None if self.open.is_some() => continue,
                    None => return Ok(None),
                }
            };
            match open.step()? {
                Step::Header(header) => {
                    self.next = self.next.max(header.first);
                    let boot = (header.first.boot, header.boot_id);
                    if self.boot.replace(boot) != Some(boot) {
                        self.offset_us = None;
                        return Ok(Some(Event::Boot(header)));
                    }
                }
                Step::Clock(offset_us) => {
                    if self.offset_us.replace(offset_us) != Some(offset_us) {
                        return Ok(Some(Event::Clock { offset_us }));
                    }
                }
                Step::Line { place, at, size } if place >= self.next => break (place, at, size),
                Step::Line { .. } => {}
                // Lines may have been appended after the last look and before the next segment was made: look again.
                Step::End if !self.has_later()? => return Ok(None),
                Step::End => {
                    if let Some(open) = &mut self.open
                        && (open.damaged || open.fill()? == 0)
                    {
                        self.open = None;
                    }
                }
            }
        };
        self.next = Position { line: place.line + 1, ..place };
        let bytes = self.open.as_ref().map_or(&[][..], |open| &open.bytes[at..at + size]);
        match Record::parse(bytes) {
            Ok(Some((Record::Line(line), _))) => Ok(Some(Event::Line(place, line))),
            _ => Ok(None),
        }
    }

    fn has_later(&self) -> io::Result<bool> {
        Ok(segments(&self.folders)?.iter().any(|segment| Some(segment) > self.last.as_ref()))
    }

    /// Opens the segment that has the next line, or the first one after it. Returns a gap, if there is one.
    fn open_next(&mut self) -> io::Result<Option<Event<'static>>> {
        let all = segments(&self.folders)?;
        let Some(index) = find(&all, self.next, self.last.as_ref()) else { return Ok(None) };
        let segment = &all[index];
        // Removed meanwhile: the next call finds another.
        let file = match File::open(&segment.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let (first, line) = (segment.first, segment.first.line);
        self.last = Some(segment.clone());
        self.open =
            Some(OpenSegment { file, first, line, bytes: Vec::new(), start: 0, has_header: false, damaged: false });
        let wanted = self.next;
        if first <= wanted || wanted == Position::default() {
            return Ok(None);
        }
        let lines = if first.boot == wanted.boot { Some(first.line - wanted.line.max(1)) } else { None };
        // A boot that ended where the reader has ended is no gap, nor is an empty place before the first line of a boot.
        let is_gap = lines.is_some_and(|lines| lines > 0) || first.boot != wanted.boot && first.line > 1;
        self.next = first;
        Ok(is_gap.then_some(Event::Missing { lines }))
    }
}

/// Index of the segment to read: the last one that starts at or before `next`, if it was not read to its end already; else the first one
/// after it.
fn find(all: &[Segment], next: Position, last: Option<&Segment>) -> Option<usize> {
    let after = all.partition_point(|segment| segment.first <= next);
    match after.checked_sub(1) {
        Some(index) if last.is_none_or(|last| *last < all[index]) => Some(index),
        // After a segment without a readable line, there may be others that start before `next`.
        _ => (after..all.len()).find(|&index| last.is_none_or(|last| *last < all[index])),
    }
}

enum Step {
    Header(Header),
    Clock(i64),
    Line { place: Position, at: usize, size: usize },
    End,
}

impl OpenSegment {
    fn step(&mut self) -> io::Result<Step> {
        loop {
            if self.damaged {
                return Ok(Step::End);
            }
            if !self.has_header {
                if self.bytes.len() < HEADER {
                    if self.fill()? == 0 {
                        return Ok(Step::End);
                    }
                    continue;
                }
                self.has_header = true;
                self.start = HEADER;
                match Header::parse(&self.bytes) {
                    Ok(header) if header.first == self.first => return Ok(Step::Header(header)),
                    _ => self.damaged = true,
                }
                continue;
            }
            match Record::parse(&self.bytes[self.start..]) {
                Ok(Some((record, size))) => {
                    let at = self.start;
                    self.start += size;
                    match record {
                        Record::Clock { offset_us, .. } => return Ok(Step::Clock(offset_us)),
                        Record::Line(_) => {
                            let place = Position { line: self.line, ..self.first };
                            self.line += 1;
                            return Ok(Step::Line { place, at, size });
                        }
                        Record::Mark { .. } => {}
                    }
                }
                Ok(None) => {
                    if self.fill()? == 0 {
                        return Ok(Step::End);
                    }
                }
                Err(_) => self.damaged = true,
            }
        }
    }

    /// Reads more bytes. Returns their number.
    fn fill(&mut self) -> io::Result<usize> {
        self.bytes.drain(..self.start);
        self.start = 0;
        let length = self.bytes.len();
        self.bytes.resize(length + BLOCK, 0);
        let result = self.file.read(&mut self.bytes[length..]);
        let count = *result.as_ref().unwrap_or(&0);
        self.bytes.truncate(length + count);
        match result {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(count),
        }
    }
}
