//! The bounded store of lines: segments in a folder on /var, or in memory while that folder cannot be written.

mod file;
mod folder;

use crate::clock;
use berth_formats::log_segment::{Line, Position, Record};
use file::SegmentFile;
use folder::Folder;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Maximum time from writing a line to the flush to the disk.
pub const FLUSH_AFTER: Duration = Duration::from_secs(5);
/// Minimum time between two flushes because of errors.
const FLUSH_ERRORS_AFTER: Duration = Duration::from_secs(1);
/// Severity from which on lines are flushed at once: errors.
const URGENT: u8 = 3;
/// Size limit of the lines that are kept in memory.
const IN_MEMORY: u64 = 4 << 20;
/// Bytes of lines that wait while no folder can be written.
const MOST_PENDING: usize = 1 << 20;
/// Time until a folder that could not be written is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// A change of the clock that is recorded, in microseconds.
const CLOCK_CHANGE: u64 = 100_000;
/// The age limit is applied only after this time.
const AGE_AFTER: Duration = Duration::from_secs(600);
/// Time between two checks of the age.
const AGE_EVERY: Duration = Duration::from_secs(3600);
/// Maximum number of logs whose last number is kept in each segment.
const MOST_MARKS: usize = 1000;

/// Where and how much a store writes.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The folder on /var.
    pub disk: PathBuf,
    /// The folder in memory.
    pub memory: PathBuf,
    /// Size limit of the folder on /var in bytes.
    pub max_size: u64,
    /// Age at which segments are removed.
    pub max_age: Duration,
    /// The report about the clock. Without a server the clock may be wrong by years: then no segment is too old.
    pub time_status: PathBuf,
    /// The kernel's id of this boot.
    pub boot_id: [u8; 16],
    /// Whether the times of lines are since kernel start. Otherwise they are of the wall clock, and the numbers of a log grow over boots.
    pub since_boot: bool,
    /// The last line that a receiver has got. New lines get higher places.
    pub at_least: Position,
}

/// The writer of a store.
#[derive(Debug)]
pub struct Store {
    options: StoreOptions,
    disk: Folder,
    memory: Folder,
    /// Place of the next line.
    next: Position,
    /// Number of the last line of each log.
    numbers: BTreeMap<String, u64>,
    /// Records that are not written yet, and the place of the first line in them.
    pending: Vec<u8>,
    pending_first: u64,
    file: Option<SegmentFile>,
    is_on_disk: bool,
    /// Whether the folder in memory could not be written, and this was said.
    memory_fails: bool,
    offset_us: Option<i64>,
    /// Monotonic time of the oldest line that is not flushed, and of the last flush.
    unflushed_since: Option<Duration>,
    flushed_at: Duration,
    is_urgent: bool,
    try_disk_at: Duration,
    check_age_at: Duration,
    /// Messages for the log of logd.
    said: Vec<String>,
}

impl Store {
    /// Opens the store and starts a new segment. Never fails: without a writable folder on /var, lines are kept in memory.
    #[must_use]
    pub fn open(options: StoreOptions, now: Duration) -> Self {
        let disk = Folder { path: options.disk.clone(), max_size: options.max_size };
        let memory = Folder { path: options.memory.clone(), max_size: IN_MEMORY };
        let found = folder::last_of(&[disk.path.clone(), memory.path.clone()]);
        let mut next = Position { boot: found.newest_boot.saturating_add(1), line: 1 };
        let mut numbers = BTreeMap::new();
        if let Some(last) = found.last {
            let is_same_boot = last.header.boot_id == options.boot_id;
            if is_same_boot {
                next = Position { boot: last.header.first.boot, line: last.header.first.line + last.lines };
            }
            if is_same_boot || !options.since_boot {
                numbers = last.numbers;
            }
        }
        if options.at_least.boot == next.boot {
            next.line = next.line.max(options.at_least.line + 1);
        } else if options.at_least.boot > next.boot {
            next = Position { boot: options.at_least.boot + 1, line: 1 };
        }
        let mut store = Self {
            options,
            disk,
            memory,
            next,
            numbers,
            pending: Vec::new(),
            pending_first: next.line,
            file: None,
            is_on_disk: true,
            memory_fails: false,
            offset_us: None,
            unflushed_since: None,
            flushed_at: now,
            is_urgent: false,
            try_disk_at: now,
            check_age_at: now + AGE_AFTER,
            said: Vec::new(),
        };
        store.open_segment(now);
        store
    }

    /// The folders, for readers.
    #[must_use]
    pub fn folders(options: &StoreOptions) -> Vec<PathBuf> {
        vec![options.disk.clone(), options.memory.clone()]
    }

    /// Number of the last stored line of each log, for the source to continue. After a new boot only if the numbers do not start again.
    #[must_use]
    pub fn numbers(&self) -> &BTreeMap<String, u64> {
        &self.numbers
    }

    /// Place of the next line.
    #[must_use]
    pub fn next(&self) -> Position {
        self.next
    }

    /// Messages since the last call.
    pub fn take_messages(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// Adds a line. [`Store::write`] writes it.
    pub fn push(&mut self, line: &Line<'_>) {
        if self.options.since_boot {
            let offset = clock::offset_us();
            if self.offset_us.is_none_or(|old| old.abs_diff(offset) > CLOCK_CHANGE) {
                self.offset_us = Some(offset);
                Record::Clock { at_us: clock::now_us(), offset_us: offset }.write(&mut self.pending);
            }
        }
        Record::Line(*line).write(&mut self.pending);
        self.next.line += 1;
        self.is_urgent |= line.level <= URGENT;
        match self.numbers.get_mut(line.log) {
            Some(number) => *number = line.number,
            None => drop(self.numbers.insert(line.log.to_owned(), line.number)),
        }
    }

    /// Bytes that wait for [`Store::write`].
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Writes the added lines, so that readers see them. If the folder on /var cannot be written, writes to memory.
    pub fn write(&mut self, now: Duration) {
        if !self.is_on_disk && now >= self.try_disk_at {
            self.return_to_disk(now);
        }
        if self.pending.is_empty() {
            return;
        }
        let is_full = self.file.as_ref().is_some_and(|file| file.length() >= self.folder().segment_size());
        if self.file.is_none() || is_full {
            self.flush(now);
            self.file = None;
            self.open_segment(now);
        }
        let mut written = self.append();
        if let Err(Some(error)) = &written
            && self.is_on_disk
        {
            self.fall_back(error, now);
            written = self.append();
        }
        match written {
            Ok(()) => self.memory_fails = false,
            Err(error) => {
                if let Some(error) = error {
                    self.complain_of_memory(&error);
                }
                // Its end is unknown, or it was removed. The lines wait here for the next segment.
                self.file = None;
                if self.pending.len() <= MOST_PENDING {
                    return;
                }
            }
        }
        self.pending.clear();
        self.pending_first = self.next.line;
        self.unflushed_since.get_or_insert(now);
    }

    /// Writes the added lines to the segment. The error is `None` if there is no segment.
    fn append(&mut self) -> Result<(), Option<io::Error>> {
        let lines = self.next.line - self.pending_first;
        self.file.as_mut().ok_or(None)?.append(&self.pending, lines).map_err(Some)
    }

    /// Says once that lines cannot be kept in memory either: each message is a line in turn.
    fn complain_of_memory(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.memory_fails, true) {
            let path = self.memory.path.display();
            let most = MOST_PENDING >> 20;
            self.said.push(format!("{path}: cannot write: {error}: more than {most} MiB of lines will be lost"));
        }
    }

    /// Does what is due: flushes, and removes old segments.
    pub fn tick(&mut self, now: Duration) {
        let waited = self.unflushed_since.map(|since| now.saturating_sub(since));
        let urgent = self.is_urgent && now.saturating_sub(self.flushed_at) >= FLUSH_ERRORS_AFTER;
        if waited.is_some_and(|waited| waited >= FLUSH_AFTER || urgent) {
            self.flush(now);
        }
        if now >= self.check_age_at {
            self.check_age_at = now + AGE_EVERY;
            if clock::is_followed(&self.options.time_status) {
                self.remove_older();
            }
        }
    }

    fn remove_older(&mut self) {
        let current = self.file.as_ref().map(SegmentFile::path);
        if let Err(error) = self.disk.remove_older(self.options.max_age, current) {
            self.said.push(format!("{}: cannot remove old segments: {error}", self.disk.path.display()));
        }
    }

    /// When to call [`Store::tick`] again.
    #[must_use]
    pub fn next_tick(&self) -> Duration {
        let wait = if self.is_urgent { FLUSH_ERRORS_AFTER } else { FLUSH_AFTER };
        let flush =
            self.unflushed_since.map(|since| if self.is_urgent { self.flushed_at + wait } else { since + wait });
        flush.map_or(self.check_age_at, |flush| flush.min(self.check_age_at))
    }

    /// Flushes to the disk what was written.
    pub fn flush(&mut self, now: Duration) {
        self.unflushed_since = None;
        self.is_urgent = false;
        self.flushed_at = now;
        if let Some(Err(error)) = self.file.as_ref().filter(|_| self.is_on_disk).map(SegmentFile::flush) {
            self.fall_back(&error, now);
        }
    }

    fn folder(&self) -> &Folder {
        if self.is_on_disk { &self.disk } else { &self.memory }
    }

    /// Starts a new segment for the lines that wait, on the disk if possible.
    fn open_segment(&mut self, now: Duration) {
        let first = Position { line: self.pending_first, ..self.next };
        let marks = self.marks();
        if self.is_on_disk {
            match SegmentFile::create(&self.disk, self.options.boot_id, first, &marks) {
                Ok(file) => return self.file = Some(file),
                Err(error) => self.leave_disk(&error, now),
            }
        }
        match SegmentFile::create(&self.memory, self.options.boot_id, first, &marks) {
            Ok(file) => self.file = Some(file),
            Err(error) => self.complain_of_memory(&error),
        }
    }

    /// The records at the start of a segment.
    fn marks(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(offset_us) = self.offset_us {
            Record::Clock { at_us: clock::now_us(), offset_us }.write(&mut bytes);
        }
        let mut marks: Vec<_> = self.numbers.iter().collect();
        // With numbers that are times, those of the newest logs.
        marks.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
        for (log, &number) in marks.into_iter().take(MOST_MARKS) {
            Record::Mark { log, number }.write(&mut bytes);
        }
        bytes
    }

    fn fall_back(&mut self, error: &io::Error, now: Duration) {
        if self.is_on_disk {
            self.leave_disk(error, now);
            self.file = None;
            self.open_segment(now);
        }
    }

    fn leave_disk(&mut self, error: &io::Error, now: Duration) {
        self.said.push(format!(
            "{}: cannot write: {error}: from now on the newest {} MiB of lines are kept in memory",
            self.disk.path.display(),
            IN_MEMORY >> 20
        ));
        self.is_on_disk = false;
        self.try_disk_at = now + TRY_AGAIN;
    }

    /// Tries the folder on /var again.
    fn return_to_disk(&mut self, now: Duration) {
        self.try_disk_at = now + TRY_AGAIN;
        let first = Position { line: self.pending_first, ..self.next };
        if let Ok(file) = SegmentFile::create(&self.disk, self.options.boot_id, first, &self.marks()) {
            self.file = Some(file);
            self.is_on_disk = true;
            self.said.push(format!("{}: can be written again", self.disk.path.display()));
        }
    }
}

/// The size limit of a store without a setting: 64 MiB, but not more than a tenth of the file system.
#[must_use]
pub fn default_size(folder: &Path) -> u64 {
    let tenth =
        rustix::fs::statvfs(folder).map_or(u64::MAX, |found| found.f_blocks.saturating_mul(found.f_frsize) / 10);
    berth_contract::log_config::DEFAULT_SIZE.min(tenth).max(1 << 20)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
