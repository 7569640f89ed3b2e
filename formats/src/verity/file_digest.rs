//! The fs-verity digest of a whole file: <https://docs.kernel.org/filesystems/fsverity.html#file-digest-computation>.

use super::{BLOCK, BLOCK_LEN, DIGEST, FANOUT, IoError, Superblock, tree::Leaves};
use crate::{sparse::data_chunks, workers};
use berth_contract::digest::Sha256;
use sha2::Digest;
use std::{
    fs::File,
    sync::{Mutex, PoisonError},
};

/// Bytes of struct fsverity_descriptor.
const DESCRIPTOR: usize = 256;

/// The digest that `fsverity digest` prints for a file of `len` bytes: SHA-256, blocks of 4096 bytes, no salt. Unlike a plain
/// SHA-256, it is computed with a thread for each CPU, and holes take no time. Moves the file's position.
///
/// # Errors
/// The file cannot be read or is shorter than `len`; or `len` is 0 or not whole blocks.
pub fn file_digest(file: &File, len: u64) -> Result<Sha256, IoError> {
    let superblock = Superblock::for_data(len)?;
    let leaves = Leaves::new(&superblock, file);
    let holds_data = data_chunks(file, 0, len, FANOUT as u64 * BLOCK).map_err(IoError::of("read", "data", 0))?;
    let digests = Mutex::new(vec![[0; DIGEST]; leaves.count()]);
    workers::each(leaves.count(), workers::per_cpu(), super::tree::buffer, |buffer, number| {
        let leaf = if holds_data[number] { leaves.leaf(number, buffer)? } else { leaves.zeros(number) };
        // The digest of a single block is the root hash.
        let digest = if superblock.data_blocks == 1 {
            leaf.first_chunk().copied().unwrap_or_default()
        } else {
            superblock.digest(&leaf)
        };
        digests.lock().unwrap_or_else(PoisonError::into_inner)[number] = digest;
        Ok(())
    })?;
    let mut level = digests.into_inner().unwrap_or_else(PoisonError::into_inner);
    while level.len() > 1 {
        let mut bytes = level.concat();
        bytes.resize(bytes.len().next_multiple_of(BLOCK_LEN), 0);
        level = bytes.chunks_exact(BLOCK_LEN).map(|block| superblock.digest(block)).collect();
    }
    let mut descriptor = [0; DESCRIPTOR];
    // Version, algorithm (SHA-256), log2 of the block's size.
    descriptor[..3].copy_from_slice(&[1, 1, 12]);
    descriptor[8..16].copy_from_slice(&len.to_le_bytes());
    descriptor[16..16 + DIGEST].copy_from_slice(&level[0]);
    Ok(Sha256(sha2::Sha256::digest(descriptor).into()))
}
