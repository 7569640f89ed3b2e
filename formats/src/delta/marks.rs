//! Marks: eight bytes of the digest of each block, in runs. A host that has the old version has most of the runs already. The
//! format is our own.
//!
//! The index names a run by its key and its digest ([`Run`]). A host compares the key with that of every sequence of its own
//! blocks ([`Window`]), wherever they are. It fetches only the marks of runs that it does not have.

use sha2::Digest;
use std::{collections::VecDeque, iter, ops::Range};

/// Bytes of a mark.
pub const MARK: usize = 8;
/// Blocks of a run; the last one of an image may be shorter.
pub const RUN_BLOCKS: usize = 32;
/// Largest number of known runs between two unknown runs that are fetched with them, to save a request.
const BRIDGED: usize = 4;

/// The first 8 bytes of a block's SHA-256. Two blocks with the same mark are nearly always the same. The root hash, which is
/// checked afterwards, tells the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(pub [u8; MARK]);

impl Mark {
    /// The mark of the block with this digest.
    #[must_use]
    pub fn of(digest: &[u8; 32]) -> Self {
        let mut mark = [0; MARK];
        mark.copy_from_slice(&digest[..MARK]);
        Self(mark)
    }

    fn number(self) -> u64 {
        u64::from_le_bytes(self.0)
    }
}

/// A run of marks, as in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The upper half of m₀B³¹ + m₁B³⁰ + … + m₃₁ modulo 2⁶⁴, the marks as little-endian numbers, B = 0x9e37_79b9_7f4a_7c15; of a
    /// shorter run in the same way.
    pub key: u32,
    /// The first 16 bytes of the marks' SHA-256.
    pub digest: [u8; 16],
}

/// An odd number whose powers are spread evenly.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
/// The factor of the oldest mark of a full window.
const OLDEST: u64 = BASE.wrapping_pow(31);

impl Run {
    /// The run of these marks.
    #[must_use]
    pub fn of(marks: &[Mark]) -> Self {
        let sum = marks.iter().fold(0_u64, |sum, mark| sum.wrapping_mul(BASE).wrapping_add(mark.number()));
        Self { key: key(sum), digest: digest(marks) }
    }

    /// Whether these are the marks of the run.
    #[must_use]
    pub fn is(&self, marks: &[Mark]) -> bool {
        digest(marks) == self.digest
    }
}

fn digest(marks: &[Mark]) -> [u8; 16] {
    let mut hasher = sha2::Sha256::new();
    marks.iter().for_each(|mark| hasher.update(mark.0));
    let mut digest = [0; 16];
    digest.copy_from_slice(&hasher.finalize()[..16]);
    digest
}

fn key(sum: u64) -> u32 {
    u32::try_from(sum >> 32).unwrap_or_default()
}

/// The last marks that were added, and the key of the run of these marks.
#[derive(Debug, Default)]
pub struct Window {
    marks: VecDeque<Mark>,
    sum: u64,
}

impl Window {
    /// Adds a mark. Returns the key, once there are enough marks.
    pub fn push(&mut self, mark: Mark) -> Option<u32> {
        if self.marks.len() == RUN_BLOCKS
            && let Some(oldest) = self.marks.pop_front()
        {
            self.sum = self.sum.wrapping_sub(oldest.number().wrapping_mul(OLDEST));
        }
        self.marks.push_back(mark);
        self.sum = self.sum.wrapping_mul(BASE).wrapping_add(mark.number());
        (self.marks.len() == RUN_BLOCKS).then(|| key(self.sum))
    }

    /// The marks in it, the oldest first.
    pub fn marks(&mut self) -> &[Mark] {
        self.marks.make_contiguous()
    }
}

/// The ranges of runs to fetch, one request each. `known` says of each run whether the host has it.
#[must_use]
pub fn requests(known: &[bool]) -> Vec<Range<usize>> {
    let mut requests: Vec<Range<usize>> = Vec::new();
    for (run, _) in iter::zip(0.., known).filter(|(_, known)| !**known) {
        match requests.last_mut() {
            Some(last) if run - last.end <= BRIDGED => last.end = run + 1,
            _ => requests.push(run..run + 1),
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(count: u64) -> Vec<Mark> {
        (0..count)
            .map(|n| Mark((n.wrapping_mul(n) ^ 0x5555).wrapping_mul(0x0123_4567_89ab_cdef).to_le_bytes()))
            .collect()
    }

    #[test]
    fn a_window_has_the_key_of_the_run_that_it_shows_wherever_that_is() {
        let marks = marks(200);
        let mut window = Window::default();
        for (end, mark) in (1..).zip(&marks) {
            let key = window.push(*mark);
            assert_eq!(key.is_some(), end >= RUN_BLOCKS);
            let Some(key) = key else { continue };
            let run = Run::of(&marks[end - RUN_BLOCKS..end]);
            assert_eq!(key, run.key);
            assert!(run.is(window.marks()));
        }
    }

    /// A key that was computed by hand: the format must not change.
    #[test]
    fn a_key_is_what_the_format_says() {
        let mark = |number: u64| Mark(number.to_le_bytes());
        assert_eq!(Run::of(&[mark(7 << 32)]).key, 7);
        // 1 * B + 2
        assert_eq!(Run::of(&[mark(1), mark(2)]).key, 0x9e37_79b9);
        let other = Run::of(&[mark(2), mark(1)]);
        assert!(!other.is(&[mark(1), mark(2)]));
    }

    #[test]
    fn what_lies_near_is_fetched_at_once() {
        let known = |unknown: &[usize]| (0..40).map(|run| !unknown.contains(&run)).collect::<Vec<_>>();
        assert_eq!(requests(&known(&[])), []);
        assert_eq!(requests(&known(&[0, 1, 5, 11, 39])), [0..6, 11..12, 39..40]);
        assert_eq!(requests(&known(&[3, 8, 12, 18])), [3..13, 18..19]);
    }
}
