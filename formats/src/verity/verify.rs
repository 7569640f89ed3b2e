//! Checks data against a tree, and a tree against its root hash.

use super::{
    BLOCK, BLOCK_LEN, BadSuperblock, DIGEST, IoError, Superblock,
    tree::{Leaves, buffer},
};
use crate::workers;
use berth_contract::digest::{RootHash, Sha256};
use std::{fmt, fs::File, os::unix::fs::FileExt};

/// Which blocks differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Blocks of the file system.
    Data,
    /// Blocks of the tree.
    Tree,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "data",
            Self::Tree => "tree",
        })
    }
}

/// Why data, tree and root hash do not match.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Not a supported tree.
    #[error(transparent)]
    Superblock(#[from] BadSuperblock),
    /// Data or tree cannot be read.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A block has another digest than the tree says.
    #[error("verity {fault}: block {block} at byte {offset}: expected {expected}, found {found}", offset = block * BLOCK)]
    Mismatch {
        /// Data or tree.
        fault: Fault,
        /// Number of the block on its device; the superblock is the tree's block 0.
        block: u64,
        /// Digest in the tree, or root hash.
        expected: Sha256,
        /// Digest of the block.
        found: Sha256,
    },
}

impl VerifyError {
    fn compare(fault: Fault, block: u64, expected: &[u8], found: &[u8]) -> Result<(), Self> {
        if expected == found {
            return Ok(());
        }
        let digest = |bytes: &[u8]| Sha256(bytes.try_into().unwrap_or_default());
        Err(Self::Mismatch { fault, block, expected: digest(expected), found: digest(found) })
    }
}

/// Reads all of a tree and of its data, with a thread for each CPU. Names the first wrong block: first the upper levels of the
/// tree from the top, then each leaf with its data.
///
/// # Errors
/// Data, tree and root hash do not match, or cannot be read.
pub fn verify(data: &File, tree: &File, root: &RootHash) -> Result<(), VerifyError> {
    let read =
        |bytes: &mut [u8], offset| tree.read_exact_at(bytes, offset).map_err(IoError::of("read", "hash tree", offset));
    let mut raw = [0; 512];
    read(&mut raw, 0)?;
    let superblock = Superblock::parse(&raw)?;
    let levels = superblock.levels();

    // The digests that the last level holds for the level below. They are checked; padding follows them.
    let mut digests = root.0.0.to_vec();
    for level in levels.iter().skip(1).rev() {
        let mut below = Vec::new();
        for (number, expected) in (0..level.blocks).zip(digests.chunks_exact(DIGEST)) {
            let (mut block, offset) = ([0; BLOCK_LEN], level.offset + number * BLOCK);
            read(&mut block, offset)?;
            VerifyError::compare(Fault::Tree, offset / BLOCK, expected, &superblock.digest(&block))?;
            below.extend(block);
        }
        digests = below;
    }
    let leaves = Leaves::new(&superblock, data);
    workers::each(leaves.count(), workers::per_cpu(), buffer, |buffer, number| {
        let expected = &digests[number * DIGEST..(number + 1) * DIGEST];
        let mut wanted = [0; BLOCK_LEN];
        match levels.first() {
            Some(level) => {
                let offset = level.offset + number as u64 * BLOCK;
                read(&mut wanted, offset)?;
                VerifyError::compare(Fault::Tree, offset / BLOCK, expected, &superblock.digest(&wanted))?;
            }
            None => wanted[..DIGEST].copy_from_slice(expected),
        }
        let found = leaves.leaf(number, buffer)?;
        let first = (number * super::FANOUT) as u64;
        for ((block, wanted), found) in (first..).zip(wanted.chunks_exact(DIGEST)).zip(found.chunks_exact(DIGEST)) {
            VerifyError::compare(Fault::Data, block, wanted, found)?;
        }
        Ok(())
    })
}
