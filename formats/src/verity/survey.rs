//! Finds every wrong block of a slot: the blocks of the data, and the blocks of the hash tree.
//!
//! Only the root hash is believed. A block of the tree is right if its digest is in the right block above it. A wrong block of the tree is
//! often known all the same, because it consists of the digests of the blocks below it.

use super::{BLOCK, BLOCK_LEN, DIGEST, FANOUT, Superblock, blocks::digests};
use berth_contract::digest::{RootHash, Sha256};
use std::{collections::BTreeMap, fs::File, os::unix::fs::FileExt};

/// Blocks that are read at once.
const PIECE: usize = 128;
/// For so many wrong blocks below one block of the tree, all combinations are tried: 1024 digests.
const MOST_DOUBTFUL: usize = 10;

/// The wrong blocks of a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Number of blocks of data and tree, without the superblock.
    pub blocks: u64,
    /// The wrong or unreadable blocks of the data: number and right digest.
    pub data: BTreeMap<u64, Sha256>,
    /// The wrong or unreadable blocks of the tree whose right content is known: offset and content.
    pub tree: BTreeMap<u64, Vec<u8>>,
    /// Number of other blocks of the tree that are wrong or unreadable. Of the data below them it is not known what is right.
    pub lost: u64,
}

impl Survey {
    /// Number of wrong blocks.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.data.len() as u64 + self.tree.len() as u64 + self.lost
    }
}

/// The digests of the blocks of one level; `None` for a block that cannot be read.
type Found = Vec<Option<[u8; DIGEST]>>;

/// Reads all of data and tree. `pause` is called after each piece of the data, so that a caller can go slow. Takes 1/64 of the data's size
/// as memory. A block that cannot be read counts as wrong.
#[must_use]
pub fn survey(data: &File, tree: &File, superblock: &Superblock, root: &RootHash, pause: &mut dyn FnMut()) -> Survey {
    let levels = superblock.levels();
    let all = superblock.data_blocks + levels.iter().map(|level| level.blocks).sum::<u64>();
    let mut survey = Survey { blocks: all, ..Survey::default() };
    // From the data up: what is on the disk.
    let mut found = vec![found(data, 0, superblock.data_blocks, superblock, pause)];
    found.extend(levels.iter().map(|level| self::found(tree, level.offset, level.blocks, superblock, &mut || {})));
    // From the root down: what is right.
    let mut right: Found = vec![Some(root.0.0)];
    for (number, level) in levels.iter().enumerate().rev() {
        let mut below = Found::with_capacity(found[number].len());
        for (index, wanted) in right.iter().enumerate() {
            let offset = level.offset + index as u64 * BLOCK;
            let block = match (wanted, found[number + 1].get(index).copied().flatten()) {
                (None, _) => None,
                (Some(wanted), Some(digest)) if *wanted == digest => read(tree, offset),
                (Some(wanted), _) => {
                    let made = made(&found, number, index, superblock, wanted);
                    match &made {
                        Some(block) => drop(survey.tree.insert(offset, block.clone())),
                        None => survey.lost += 1,
                    }
                    made
                }
            };
            let children = (found[number].len() - index * FANOUT).min(FANOUT);
            below.extend((0..children).map(|child| Some(*block.as_ref()?[child * DIGEST..].first_chunk()?)));
        }
        right = below;
    }
    for (number, (wanted, digest)) in (0..).zip(right.iter().zip(&found[0])) {
        if let Some(wanted) = wanted.filter(|wanted| Some(*wanted) != *digest) {
            survey.data.insert(number, Sha256(wanted));
        }
    }
    survey
}

/// The digests of the blocks of a device from `offset` on.
fn found(device: &File, offset: u64, blocks: u64, superblock: &Superblock, pause: &mut dyn FnMut()) -> Found {
    let count = usize::try_from(blocks).unwrap_or(usize::MAX);
    let (mut found, mut buffer, mut hashed) = (Found::new(), vec![0; PIECE * BLOCK_LEN], vec![0; PIECE * DIGEST]);
    while found.len() < count {
        let (at, piece) = (offset + found.len() as u64 * BLOCK, PIECE.min(count - found.len()));
        let bytes = &mut buffer[..piece * BLOCK_LEN];
        if device.read_exact_at(bytes, at).is_ok() && superblock.salt.is_empty() {
            digests(bytes, &mut hashed);
            found.extend(hashed.as_chunks().0[..piece].iter().map(|digest| Some(*digest)));
        } else {
            // One bad sector must not hide the other blocks.
            let each = (0..piece).map(|block| Some(superblock.digest(&read(device, at + block as u64 * BLOCK)?)));
            found.extend(each);
        }
        pause();
    }
    found
}

/// The block `index` of a level of the tree, made of the digests of the blocks below it, if its digest is `wanted`. Below are the blocks
/// of `found[number]`. A block below may be wrong too: then the digest of what it should be is tried as well.
fn made(
    found: &[Found],
    number: usize,
    index: usize,
    superblock: &Superblock,
    wanted: &[u8; DIGEST],
) -> Option<Vec<u8>> {
    let children = index * FANOUT..found[number].len().min((index + 1) * FANOUT);
    let mut digests = found[number][children.clone()].to_vec();
    // For each block below that is not made of the blocks below itself: its place, and the digest of what it should be.
    let mut doubtful = Vec::new();
    for (place, child) in children.enumerate().filter(|_| number > 0) {
        let other = of_digests(&found[number - 1][child * FANOUT..found[number - 1].len().min((child + 1) * FANOUT)]);
        let other = other.map(|block| superblock.digest(&block)).filter(|other| Some(*other) != digests[place]);
        doubtful.extend(other.map(|other| (place, other)));
    }
    doubtful.truncate(MOST_DOUBTFUL);
    let own = digests.clone();
    (0_u32..1 << doubtful.len()).find_map(|choice| {
        for (bit, (place, other)) in doubtful.iter().enumerate() {
            digests[*place] = if choice & 1 << bit == 0 { own[*place] } else { Some(*other) };
        }
        of_digests(&digests).filter(|block| superblock.digest(block) == *wanted)
    })
}

/// A block of the tree, made of the digests of the blocks below it. `None` if one of them cannot be read.
fn of_digests(digests: &[Option<[u8; DIGEST]>]) -> Option<Vec<u8>> {
    let mut block = digests.iter().copied().collect::<Option<Vec<_>>>()?.concat();
    block.resize(BLOCK_LEN, 0);
    Some(block)
}

fn read(device: &File, offset: u64) -> Option<Vec<u8>> {
    let mut block = vec![0; BLOCK_LEN];
    device.read_exact_at(&mut block, offset).ok()?;
    Some(block)
}
