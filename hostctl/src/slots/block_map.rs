//! Where the blocks of a new image can be had without fetching them.

use berth_contract::digest::Sha256;

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nowhere here.
    Missing,
    /// Nowhere and everywhere: it is all zeros.
    Zeros,
    /// In the running slot at this position.
    Running(u64),
    /// In the idle slot at this position, which is written later than the block is read.
    Idle(u64),
}

/// Entries are positions of 31 bits; the highest bit is the slot.
const IDLE: u32 = 1 << 31;
const MISSING: u32 = u32::MAX;
const ZEROS: u32 = u32::MAX - 1;
/// Positions from here on cannot be noted, and are left out: 8 TiB.
const POSITIONS: u32 = IDLE - 2;

/// For each block of the new image where it is: 4 bytes each.
#[derive(Debug)]
pub(super) struct BlockMap(Vec<u32>);

impl BlockMap {
    /// Where block `number` is.
    pub(super) fn source(&self, number: u64) -> Source {
        let entry = usize::try_from(number).ok().and_then(|number| self.0.get(number));
        match entry.copied().unwrap_or(MISSING) {
            MISSING => Source::Missing,
            ZEROS => Source::Zeros,
            entry if entry & IDLE != 0 => Source::Idle(u64::from(entry & !IDLE)),
            entry => Source::Running(u64::from(entry)),
        }
    }
}

/// Finds blocks by the first 8 bytes of their digests. 8 bytes per block of the new image, whatever the slots hold.
///
/// The new image is written from first to last block, so what the idle slot holds can be used up to the moment when its
/// own place is written: block n of the new image may come from its positions n and later. At position n itself nothing
/// is written at all, which is best; next best is the running slot, since nobody writes to it.
pub(super) struct Matcher<F> {
    /// The first bytes of a block's digest.
    hash: F,
    /// Numbers of the new image's blocks, ordered by hash, then by number.
    order: Vec<u32>,
    map: Vec<u32>,
}

/// What is compared of a digest.
pub(super) fn short(digest: &[u8; 32]) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&digest[..8]);
    short
}

impl<F: Fn(u32) -> [u8; 8]> Matcher<F> {
    /// Of an image of `blocks` blocks, less than 2^31; `zeros` is the digest of a block of zeros.
    pub(super) fn new(blocks: u32, hash: F, zeros: &[u8; 32]) -> Self {
        let map = (0..blocks).map(|block| if hash(block) == short(zeros) { ZEROS } else { MISSING }).collect();
        let mut order: Vec<u32> = (0..blocks).collect();
        order.sort_unstable_by_key(|block| (hash(*block), *block));
        Self { hash, order, map }
    }

    /// Blocks of the new image that are `digest`, in their order.
    fn alike(&self, digest: &Sha256) -> std::ops::Range<usize> {
        let wanted = short(&digest.0);
        let start = self.order.partition_point(|block| (self.hash)(*block) < wanted);
        let len = self.order[start..].partition_point(|block| (self.hash)(*block) == wanted);
        start..start + len
    }

    fn entry(&mut self, at: usize) -> &mut u32 {
        &mut self.map[self.order[at] as usize]
    }

    /// The running slot holds `digest` at `position`. Call this for all of its blocks before [`Self::idle`].
    pub(super) fn running(&mut self, position: u64, digest: &Sha256) {
        let Some(position) = u32::try_from(position).ok().filter(|position| *position < POSITIONS) else { return };
        let alike = self.alike(digest);
        // All that are alike are found with the first one.
        if alike.is_empty() || *self.entry(alike.start) != MISSING {
            return;
        }
        for at in alike {
            *self.entry(at) = position;
        }
    }

    /// The idle slot holds `digest` at `position`. Positions must rise from call to call.
    pub(super) fn idle(&mut self, position: u64, digest: &Sha256) {
        let Some(position) = u32::try_from(position).ok().filter(|position| *position < POSITIONS) else { return };
        if (position as usize) < self.map.len() && (self.hash)(position) == short(&digest.0) {
            self.map[position as usize] = position | IDLE;
        }
        let alike = self.alike(digest);
        let before = self.order[alike.clone()].partition_point(|block| *block < position);
        // Whatever lies before an earlier position has been found there: what is missing stands together at the end.
        for at in alike.take(before).rev() {
            match self.entry(at) {
                entry if *entry == MISSING => *entry = position | IDLE,
                _ => break,
            }
        }
    }

    /// All that the slots hold is known.
    pub(super) fn finish(self) -> BlockMap {
        BlockMap(self.map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const Z: u8 = 0;

    fn digest(of: u8) -> Sha256 {
        Sha256([of; 32])
    }

    /// The sources of an image whose blocks are `new`, with `running` and `idle` in the slots.
    fn sources(new: &[u8], running: &[u8], idle: &[u8]) -> Vec<Source> {
        let blocks = u32::try_from(new.len()).unwrap();
        let mut matcher = Matcher::new(blocks, |block| short(&digest(new[block as usize]).0), &[Z; 32]);
        (0..).zip(running).for_each(|(position, of)| matcher.running(position, &digest(*of)));
        (0..).zip(idle).for_each(|(position, of)| matcher.idle(position, &digest(*of)));
        let map = matcher.finish();
        (0..u64::from(blocks)).map(|block| map.source(block)).collect()
    }

    #[test]
    fn a_block_is_taken_from_the_best_place() {
        use Source::{Idle, Missing, Running, Zeros};
        assert_eq!(sources(&[1, 2, Z], &[], &[]), [Missing, Missing, Zeros]);
        // Position for position, before the running slot; and what the running slot has, before a later position.
        assert_eq!(sources(&[1, 2, 3], &[3, 2, 1], &[1, 9, 2]), [Idle(0), Running(1), Running(0)]);
        // Of the idle slot only what is not overwritten yet.
        assert_eq!(sources(&[1, 2, 3], &[], &[2, 3, 1]), [Idle(2), Missing, Missing]);
        assert_eq!(sources(&[5, 5, 5, 5, 5], &[], &[9, 5, 9, 5]), [Idle(1), Idle(1), Idle(3), Idle(3), Missing]);
        assert_eq!(
            sources(&[5, 5, 5, 5, 5], &[9, 5], &[9, 5]),
            [Running(1), Idle(1), Running(1), Running(1), Running(1)]
        );
        // Slots that are longer than the image.
        assert_eq!(sources(&[7], &[8, 8, 8], &[8, 8, 8, 7]), [Idle(3)]);
    }

    #[test]
    fn what_is_found_is_there_and_what_is_there_is_found() {
        // A cheap generator is chance enough.
        let mut state = 1_u32;
        let mut next = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u8::try_from((state >> 16) % below).unwrap()
        };
        for _ in 0..500 {
            let mut blocks = || (0..next(40)).map(|_| next(12)).collect::<Vec<u8>>();
            let (new, running, idle) = (blocks(), blocks(), blocks());
            let at = |position: u64| usize::try_from(position).unwrap();
            for (number, source) in sources(&new, &running, &idle).into_iter().enumerate() {
                let wanted = new[number];
                match source {
                    Source::Zeros => assert_eq!(wanted, Z),
                    Source::Running(position) => assert_eq!(running[at(position)], wanted),
                    Source::Idle(position) => {
                        assert!(at(position) >= number);
                        assert_eq!(idle[at(position)], wanted);
                    }
                    Source::Missing => {
                        assert!(!running.contains(&wanted) && !idle[number.min(idle.len())..].contains(&wanted));
                    }
                }
                if idle.get(number) == Some(&wanted) && wanted != Z {
                    assert_eq!(source, Source::Idle(number as u64));
                }
            }
        }
    }
}
