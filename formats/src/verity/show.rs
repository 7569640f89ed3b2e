//! Names of the places in a hash tree.
//! <https://gitlab.com/cryptsetup/cryptsetup/-/wikis/DMVerity>, version 1.

use super::{BLOCK, Superblock};
use crate::{
    place::{Fields, Place},
    range::Range,
};

const SUPERBLOCK: Fields = &[
    (0, "signature"),
    (8, "version"),
    (12, "hash type"),
    (16, "UUID"),
    (32, "algorithm"),
    (64, "data block size"),
    (68, "hash block size"),
    (72, "number of data blocks"),
    (80, "salt size"),
    (82, "unused"),
    (88, "salt"),
    (344, "unused"),
    (BLOCK, ""),
];
const DIGEST: u64 = super::DIGEST as u64;

/// The place of the byte `at`. `None` if the structure around it cannot be read.
#[must_use]
pub fn place(tree: &Range<'_>, at: u64) -> Option<Place> {
    if let Some(field) = Place::field(SUPERBLOCK, 0, at) {
        return Some(field.within("superblock", 0));
    }
    let superblock = Superblock::parse(&tree.bytes(0, BLOCK)?).ok()?;
    let levels = superblock.levels();
    let found = levels.iter().position(|level| (level.offset..level.offset + level.blocks * BLOCK).contains(&at));
    let Some(height) = found else { return Some(Place::new("behind the tree", tree.len())) };
    let number = (at - levels[height].offset) / DIGEST;
    let end = levels[height].offset + (number + 1) * DIGEST;
    let of = match height {
        0 => format!("hash of data block {number}"),
        _ => format!("hash of block {number} of the level below"),
    };
    Some(Place::new(format!("level {height}: {of}"), end))
}
