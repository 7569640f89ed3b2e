//! Puts lines into the order of time. logd stores them as they come, and after its start those of one log after those of another.

use super::line::StoredLine;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Maximum number of lines that wait for an earlier one. The lines of a boot before logd starts are fewer.
const WINDOW: usize = 20_000;

/// Lines by boot, time, and place in the store.
#[derive(Debug, Default)]
pub(super) struct Merge {
    waiting: BinaryHeap<Reverse<Waiting>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Waiting(StoredLine);

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |line: &StoredLine| (line.boot, line.at_us, line.line);
        key(&self.0).cmp(&key(&other.0))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Merge {
    /// Adds a line. Returns the first line in the order of time, when more lines wait than there is room for.
    pub(super) fn add(&mut self, line: StoredLine) -> Option<StoredLine> {
        self.waiting.push(Reverse(Waiting(line)));
        if self.waiting.len() > WINDOW { self.next() } else { None }
    }

    /// The first line in the order of time.
    pub(super) fn next(&mut self) -> Option<StoredLine> {
        self.waiting.pop().map(|Reverse(Waiting(line))| line)
    }
}
