//! Building a tree.

use super::{BLOCK, BLOCK_LEN, DIGEST, FANOUT, IoError, Superblock, blocks::digests};
use crate::{sparse::is_zero, workers};
use berth_contract::digest::{RootHash, Sha256};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::{Mutex, PoisonError},
};

/// A tree on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The root hash.
    pub root_hash: RootHash,
    /// Bytes of the hash device, superblock included; a multiple of [`BLOCK`].
    pub size: u64,
}

/// Digests of blocks, and what is needed to make them.
pub(super) struct Leaves<'a> {
    superblock: &'a Superblock,
    data: &'a File,
    /// Digest of a block of zeros.
    zero: [u8; DIGEST],
}

impl<'a> Leaves<'a> {
    pub(super) fn new(superblock: &'a Superblock, data: &'a File) -> Self {
        Self { superblock, data, zero: superblock.digest(&[0; BLOCK_LEN]) }
    }

    /// Number of leaves; a single data block has one leaf, too.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.superblock.data_blocks.div_ceil(FANOUT as u64)).unwrap_or(usize::MAX)
    }

    /// Number of data blocks under a leaf.
    fn blocks(&self, number: usize) -> usize {
        let left = self.superblock.data_blocks - number as u64 * FANOUT as u64;
        usize::try_from(left).unwrap_or(FANOUT).min(FANOUT)
    }

    /// The leaf whose data blocks are all zeros.
    pub(super) fn zeros(&self, number: usize) -> [u8; BLOCK_LEN] {
        let mut leaf = [0; BLOCK_LEN];
        leaf[..self.blocks(number) * DIGEST].as_chunks_mut().0.fill(self.zero);
        leaf
    }

    /// The hash block over the data blocks from `128 * number` on. `buffer` has space for [`FANOUT`] blocks.
    pub(super) fn leaf(&self, number: usize, buffer: &mut [u8]) -> Result<[u8; BLOCK_LEN], IoError> {
        let offset = number as u64 * FANOUT as u64 * BLOCK;
        let buffer = &mut buffer[..self.blocks(number) * BLOCK_LEN];
        self.data.read_exact_at(buffer, offset).map_err(IoError::of("read", "data", offset))?;
        let mut leaf = [0; BLOCK_LEN];
        // Holes are common: do not hash them.
        if is_zero(buffer) {
            return Ok(self.zeros(number));
        }
        if self.superblock.salt.is_empty() {
            digests(buffer, &mut leaf);
        } else {
            for (block, digest) in buffer.chunks_exact(BLOCK_LEN).zip(leaf.chunks_exact_mut(DIGEST)) {
                digest.copy_from_slice(&self.superblock.digest(block));
            }
        }
        Ok(leaf)
    }
}

/// A buffer for [`Leaves::leaf`].
pub(super) fn buffer() -> Vec<u8> {
    vec![0; FANOUT * BLOCK_LEN]
}

/// Writes superblock and tree over the first `data_len` bytes of `data` (a multiple of [`BLOCK`], not 0) to `out`, whose old
/// content is lost. There is no salt; the bytes are those of `veritysetup format --salt=- --uuid=...`. Reads the data once,
/// with a thread for each CPU. Takes 1/16384 of the data's size as memory.
///
/// # Errors
/// An invalid `data_len`; `data` is shorter or cannot be read; or `out` cannot be written.
pub fn build(data: &File, data_len: u64, uuid: [u8; 16], out: &File) -> Result<Tree, IoError> {
    let superblock = Superblock { uuid, ..Superblock::for_data(data_len)? };
    let (levels, size) = (superblock.levels(), superblock.tree_size());
    let put = |bytes: &[u8], offset| out.write_all_at(bytes, offset).map_err(IoError::of("write", "hash tree", offset));
    out.set_len(0).and_then(|()| out.set_len(size)).map_err(IoError::of("write", "hash tree", 0))?;
    put(&superblock.to_bytes(), 0)?;

    let leaves = Leaves::new(&superblock, data);
    let digests = Mutex::new(vec![[0; DIGEST]; leaves.count()]);
    workers::each(leaves.count(), workers::per_cpu(), buffer, |buffer, number| {
        let leaf = leaves.leaf(number, buffer)?;
        let mut digest = [0; DIGEST];
        match levels.first() {
            Some(level) => {
                put(&leaf, level.offset + number as u64 * BLOCK)?;
                digest = superblock.digest(&leaf);
            }
            // A single data block: its digest is the root.
            None => digest.copy_from_slice(&leaf[..DIGEST]),
        }
        digests.lock().unwrap_or_else(PoisonError::into_inner)[number] = digest;
        Ok(())
    })?;
    let mut digests = digests.into_inner().unwrap_or_else(PoisonError::into_inner);
    for level in levels.iter().skip(1) {
        let mut bytes = digests.concat();
        bytes.resize(bytes.len().next_multiple_of(BLOCK_LEN), 0);
        put(&bytes, level.offset)?;
        digests = bytes.chunks_exact(BLOCK_LEN).map(|block| superblock.digest(block)).collect();
    }
    Ok(Tree { root_hash: RootHash(Sha256(digests[0])), size })
}
