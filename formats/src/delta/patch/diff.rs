//! Pieces of two versions of a file that are nearly the same: Colin Percival, "Naive differences of executable code" (bsdiff),
//! <https://www.daemonology.net/papers/bsdiff.pdf>.
//!
//! A program with a small change is mostly the same program with other addresses in it. So this finds pieces in which most
//! bytes are the same; only the differences of the other bytes need to be stored.

use super::suffix::{Suffixes, common};
use libsais::LibsaisError;

/// A piece of the new bytes that is nearly the same as a piece of the old bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) old: usize,
    pub(super) new: usize,
    pub(super) len: usize,
}

/// Number of additional equal bytes that another place must have before the piece continues there.
const SLACK: usize = 8;
/// With this many equal bytes in a row, no other place is searched.
const ENOUGH: usize = 64;

/// The pieces in the order of the new bytes; they do not overlap there.
pub(super) fn matches(old: &[u8], new: &[u8]) -> Result<Vec<Match>, LibsaisError> {
    let suffixes = Suffixes::new(old)?;
    let mut found = Vec::new();
    let mut here = Match { old: 0, new: 0, len: 0 };
    let (mut scan, mut len, mut place) = (0, 0, 0);
    while scan < new.len() {
        scan += len;
        // Number of equal bytes up to `counted` if the current piece continues.
        let (mut right, mut counted) = (0, scan);
        let same = |at: usize| (at + here.old).checked_sub(here.new).and_then(|from| old.get(from)) == new.get(at);
        while scan < new.len() {
            let ahead = (scan + here.old).checked_sub(here.new).filter(|from| *from < old.len());
            let on = ahead.map_or(0, |from| common(&old[from..], &new[scan..]));
            (len, place) = match ahead {
                Some(from) if on >= ENOUGH => (on, from),
                _ => suffixes.longest(&new[scan..]),
            };
            while counted < scan + len {
                right += usize::from(same(counted));
                counted += 1;
            }
            if (len == right && len != 0) || len > right + SLACK {
                break;
            }
            // It has been counted if its length is not 0.
            if counted > scan {
                right -= usize::from(same(scan));
            } else {
                counted = scan + 1;
            }
            scan += 1;
        }
        if len == right && scan < new.len() {
            continue;
        }
        let at = scan.min(new.len());
        let forward = forward(&old[here.old..], &new[here.new..at]);
        let backward = if at < new.len() { backward(&old[..place], &new[here.new..at]) } else { 0 };
        let overlap = (here.new + forward + backward).saturating_sub(at);
        let shift = best_split(old, new, here, forward, at, place, overlap);
        // The first part of the overlap stays with the current piece.
        let forward = forward - overlap + shift;
        let backward = backward - shift;
        if forward > 0 {
            found.push(Match { len: forward, ..here });
        }
        here = Match { old: place - backward, new: at - backward, len: 0 };
    }
    Ok(found)
}

/// Length up to which a piece continues so that most of its bytes are equal.
fn forward(old: &[u8], new: &[u8]) -> usize {
    extent(old.iter().zip(new))
}

/// Length by which a piece extends backwards from its end.
fn backward(old: &[u8], new: &[u8]) -> usize {
    extent(old.iter().rev().zip(new.iter().rev()))
}

fn extent<'a>(pairs: impl Iterator<Item = (&'a u8, &'a u8)>) -> usize {
    let (mut score, mut best, mut extent) = (0_i64, 0, 0);
    for (number, (old, new)) in pairs.enumerate() {
        score += if old == new { 1 } else { -1 };
        if score > best {
            (best, extent) = (score, number + 1);
        }
    }
    extent
}

/// Length of the overlap of two pieces that should belong to the first.
fn best_split(old: &[u8], new: &[u8], here: Match, forward: usize, at: usize, place: usize, overlap: usize) -> usize {
    let first = here.new + forward - overlap;
    let (mut score, mut best, mut split) = (0_i64, 0, 0);
    for number in 0..overlap {
        let new_at = first + number;
        let one = old.get(here.old + new_at - here.new) == new.get(new_at);
        let other = (place + new_at).checked_sub(at).and_then(|from| old.get(from)) == new.get(new_at);
        score += i64::from(one) - i64::from(other);
        if score > best {
            (best, split) = (score, number + 1);
        }
    }
    split
}
