//! Where the blocks of a new image are found in the slots, so that they need not be fetched.

use berth_contract::digest::Sha256;

/// Where a block of the new image can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// In neither slot.
    Missing,
    /// Nowhere: the block is all zeros.
    Zeros,
    /// In the running slot at this position.
    Running(u64),
    /// In the idle slot at this position. The position is overwritten only after the block is read.
    Idle(u64),
}

/// An entry is a position of 31 bits; the highest bit says that it is in the idle slot.
const IDLE: u32 = 1 << 31;
const MISSING: u32 = u32::MAX;
const ZEROS: u32 = u32::MAX - 1;
/// Positions from here on (8 TiB) do not fit an entry, and are left out.
const POSITIONS: u32 = IDLE - 2;

/// For each block of the new image its location, in 4 bytes.
#[derive(Debug)]
pub(super) struct BlockMap(Vec<u32>);

impl BlockMap {
    /// The location of block `number`.
    pub(super) fn location(&self, number: u64) -> Location {
        let entry = usize::try_from(number).ok().and_then(|number| self.0.get(number));
        match entry.copied().unwrap_or(MISSING) {
            MISSING => Location::Missing,
            ZEROS => Location::Zeros,
            entry if entry & IDLE != 0 => Location::Idle(u64::from(entry & !IDLE)),
            entry => Location::Running(u64::from(entry)),
        }
    }
}

/// Finds blocks by the first 8 bytes of their digests. Needs 8 bytes of memory per block of the new image, whatever the slots hold.
///
/// The new image is written from the first to the last block, so a block of the idle slot can be used until its position is overwritten:
/// block n of the new image may come from position n or later. A block at position n itself is best, because nothing is written. Next best
/// is the running slot, because nobody writes to it.
pub(super) struct Matcher<F> {
    /// Returns the first bytes of the digest of a block.
    hash: F,
    /// The block numbers of the new image, sorted by hash, then by number.
    order: Vec<u32>,
    map: Vec<u32>,
}

/// The part of a digest that is compared.
pub(super) fn short(digest: &[u8; 32]) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&digest[..8]);
    short
}

impl<F: Fn(u32) -> [u8; 8]> Matcher<F> {
    /// For an image of `blocks` blocks, fewer than 2^31. `zeros` is the digest of a block of zeros.
    pub(super) fn new(blocks: u32, hash: F, zeros: &[u8; 32]) -> Self {
        let map = (0..blocks).map(|block| if hash(block) == short(zeros) { ZEROS } else { MISSING }).collect();
        let mut order: Vec<u32> = (0..blocks).collect();
        order.sort_unstable_by_key(|block| (hash(*block), *block));
        Self { hash, order, map }
    }

    /// The blocks of the new image with this digest, as a range of `order`.
    fn alike(&self, digest: &Sha256) -> std::ops::Range<usize> {
        let wanted = short(&digest.0);
        let start = self.order.partition_point(|block| (self.hash)(*block) < wanted);
        let len = self.order[start..].partition_point(|block| (self.hash)(*block) == wanted);
        start..start + len
    }

    fn entry(&mut self, at: usize) -> &mut u32 {
        &mut self.map[self.order[at] as usize]
    }

    /// Notes that the running slot holds `digest` at `position`. Call this for all blocks of the running slot before [`Self::idle`].
    pub(super) fn running(&mut self, position: u64, digest: &Sha256) {
        let Some(position) = u32::try_from(position).ok().filter(|position| *position < POSITIONS) else { return };
        let alike = self.alike(digest);
        // Equal blocks are all found together with the first one.
        if alike.is_empty() || *self.entry(alike.start) != MISSING {
            return;
        }
        for at in alike {
            *self.entry(at) = position;
        }
    }

    /// Notes that the idle slot holds `digest` at `position`. Positions must rise from call to call.
    pub(super) fn idle(&mut self, position: u64, digest: &Sha256) {
        let Some(position) = u32::try_from(position).ok().filter(|position| *position < POSITIONS) else { return };
        if (position as usize) < self.map.len() && (self.hash)(position) == short(&digest.0) {
            self.map[position as usize] = position | IDLE;
        }
        let alike = self.alike(digest);
        let before = self.order[alike.clone()].partition_point(|block| *block < position);
        // Blocks before an earlier position were found there already, so the missing ones are together at the end.
        for at in alike.take(before).rev() {
            match self.entry(at) {
                entry if *entry == MISSING => *entry = position | IDLE,
                _ => break,
            }
        }
    }

    /// Call this after all blocks of both slots were noted.
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

    /// The locations of the blocks `new`, with `running` and `idle` in the slots.
    fn locations(new: &[u8], running: &[u8], idle: &[u8]) -> Vec<Location> {
        let blocks = u32::try_from(new.len()).unwrap();
        let mut matcher = Matcher::new(blocks, |block| short(&digest(new[block as usize]).0), &[Z; 32]);
        (0..).zip(running).for_each(|(position, of)| matcher.running(position, &digest(*of)));
        (0..).zip(idle).for_each(|(position, of)| matcher.idle(position, &digest(*of)));
        let map = matcher.finish();
        (0..u64::from(blocks)).map(|block| map.location(block)).collect()
    }

    #[test]
    fn a_block_is_read_from_the_best_location() {
        use Location::{Idle, Missing, Running, Zeros};
        assert_eq!(locations(&[1, 2, Z], &[], &[]), [Missing, Missing, Zeros]);
        // The same position is better than the running slot, and the running slot is better than a later position.
        assert_eq!(locations(&[1, 2, 3], &[3, 2, 1], &[1, 9, 2]), [Idle(0), Running(1), Running(0)]);
        // Of the idle slot only blocks that are not overwritten yet.
        assert_eq!(locations(&[1, 2, 3], &[], &[2, 3, 1]), [Idle(2), Missing, Missing]);
        assert_eq!(locations(&[5, 5, 5, 5, 5], &[], &[9, 5, 9, 5]), [Idle(1), Idle(1), Idle(3), Idle(3), Missing]);
        assert_eq!(
            locations(&[5, 5, 5, 5, 5], &[9, 5], &[9, 5]),
            [Running(1), Idle(1), Running(1), Running(1), Running(1)]
        );
        // Slots that are longer than the image.
        assert_eq!(locations(&[7], &[8, 8, 8], &[8, 8, 8, 7]), [Idle(3)]);
    }

    #[test]
    fn every_location_is_right_and_no_block_in_the_slots_is_missed() {
        // A linear congruential generator is random enough here.
        let mut state = 1_u32;
        let mut next = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u8::try_from((state >> 16) % below).unwrap()
        };
        for _ in 0..500 {
            let mut blocks = || (0..next(40)).map(|_| next(12)).collect::<Vec<u8>>();
            let (new, running, idle) = (blocks(), blocks(), blocks());
            let at = |position: u64| usize::try_from(position).unwrap();
            for (number, source) in locations(&new, &running, &idle).into_iter().enumerate() {
                let wanted = new[number];
                match source {
                    Location::Zeros => assert_eq!(wanted, Z),
                    Location::Running(position) => assert_eq!(running[at(position)], wanted),
                    Location::Idle(position) => {
                        assert!(at(position) >= number);
                        assert_eq!(idle[at(position)], wanted);
                    }
                    Location::Missing => {
                        assert!(!running.contains(&wanted) && !idle[number.min(idle.len())..].contains(&wanted));
                    }
                }
                if idle.get(number) == Some(&wanted) && wanted != Z {
                    assert_eq!(source, Location::Idle(number as u64));
                }
            }
        }
    }
}
