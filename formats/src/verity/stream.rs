//! Building a tree while its data is written, from the first block to the last.

use super::{BLOCK_LEN, DIGEST, FANOUT, IoError, Level, Superblock, blocks::digests};
use crate::sparse::is_zero;
use berth_contract::digest::{RootHash, Sha256};
use std::{fs::File, io, os::unix::fs::FileExt};

/// The SHA-256 of each block of 4096 bytes in `blocks`. Bytes after the last whole block are ignored.
#[must_use]
pub fn block_digests(blocks: &[u8]) -> Vec<[u8; DIGEST]> {
    let mut out = vec![[0; DIGEST]; blocks.len() / BLOCK_LEN];
    if let [first, rest @ ..] = out.as_mut_slice() {
        // Holes are common: compute the digest of a block of zeros only once.
        if is_zero(blocks) {
            digests(&[0; BLOCK_LEN], first);
            rest.fill(*first);
        } else {
            digests(blocks, out.as_flattened_mut());
        }
    }
    out
}

/// Writes a tree without salt from the digests of its data blocks. Holds one hash block per level. Blocks that the device
/// holds already are not written again. The caller of [`TreeWriter::finish`] writes the superblock, which makes the tree
/// valid.
#[derive(Debug)]
pub struct TreeWriter<'a> {
    superblock: Superblock,
    out: &'a File,
    levels: Vec<Level>,
    /// For each level: the hash block that is being filled, the number of its bytes, and the number of complete blocks.
    open: Vec<(Vec<u8>, u64)>,
    pushed: u64,
    /// Digest of the top block. If there is one data block: its digest.
    top: [u8; DIGEST],
}

impl<'a> TreeWriter<'a> {
    /// A writer of the tree over `data_len` bytes (a multiple of [`super::BLOCK`], not 0) to `out`.
    ///
    /// # Errors
    /// An invalid `data_len`.
    pub fn new(data_len: u64, uuid: [u8; 16], out: &'a File) -> Result<Self, IoError> {
        let superblock = Superblock { uuid, ..Superblock::for_data(data_len)? };
        let levels = superblock.levels();
        let open = levels.iter().map(|_| (Vec::with_capacity(BLOCK_LEN), 0)).collect();
        Ok(Self { superblock, out, levels, open, pushed: 0, top: [0; DIGEST] })
    }

    /// Takes the digests of the next data blocks.
    ///
    /// # Errors
    /// There are more digests than data blocks, or the device cannot be written.
    pub fn push(&mut self, digests: &[[u8; DIGEST]]) -> Result<(), IoError> {
        for digest in digests {
            if self.pushed == self.superblock.data_blocks {
                return Err(self.wrong_count(self.pushed + 1));
            }
            self.pushed += 1;
            self.add(0, *digest)?;
        }
        Ok(())
    }

    /// Writes the last block of every level. Returns the superblock to write before the tree, and the root hash.
    ///
    /// # Errors
    /// There were fewer digests than data blocks, or the device cannot be written.
    pub fn finish(mut self) -> Result<(Superblock, RootHash), IoError> {
        if self.pushed != self.superblock.data_blocks {
            return Err(self.wrong_count(self.pushed));
        }
        for level in 0..self.levels.len() {
            if !self.open[level].0.is_empty() {
                self.close(level)?;
            }
        }
        Ok((self.superblock, RootHash(Sha256(self.top))))
    }

    fn add(&mut self, level: usize, digest: [u8; DIGEST]) -> Result<(), IoError> {
        let Some((block, _)) = self.open.get_mut(level) else {
            self.top = digest;
            return Ok(());
        };
        block.extend(digest);
        if block.len() == FANOUT * DIGEST { self.close(level) } else { Ok(()) }
    }

    /// Pads and writes the open block of a level, and passes its digest to the level above.
    fn close(&mut self, level: usize) -> Result<(), IoError> {
        let (block, number) = &mut self.open[level];
        block.resize(BLOCK_LEN, 0);
        let offset = self.levels[level].offset + *number * super::BLOCK;
        let mut old = [0; BLOCK_LEN];
        if !(self.out.read_exact_at(&mut old, offset).is_ok() && old == block[..]) {
            self.out.write_all_at(block, offset).map_err(IoError::of("write", "hash tree", offset))?;
        }
        let digest = self.superblock.digest(block);
        block.clear();
        *number += 1;
        self.add(level + 1, digest)
    }

    fn wrong_count(&self, found: u64) -> IoError {
        let wanted = self.superblock.data_blocks;
        let cause = io::Error::new(io::ErrorKind::InvalidInput, format!("{found} digests for {wanted} data blocks"));
        IoError { verb: "write", device: "hash tree", offset: 0, cause }
    }
}
