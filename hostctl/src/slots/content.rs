//! The content of a slot, as its hash tree describes it. The tree also holds the digests of all blocks, so they need not be hashed.

use super::{
    device::{Device, SlotDevices},
    error::SlotError,
};
use berth_contract::{
    digest::{RootHash, Sha256},
    disk::BLOCK,
};
use berth_formats::verity::{Superblock, TOP_BLOCK_OFFSET, block_digests, root_hash_of};
use std::os::unix::fs::FileExt;

/// The version in a slot, as the superblock and the top of the hash tree identify it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Root hash of the tree.
    pub root_hash: RootHash,
    /// Bytes of the root file system.
    pub size: u64,
    superblock: Superblock,
}

/// Bytes that are read at once.
const PIECE: usize = 512 << 10;
const BLOCK_LEN: usize = 4096;
const DIGEST: usize = 32;

impl SlotDevices {
    /// The content that the slot's hash tree describes; `None` when there is no tree, or the tree is larger than the partitions.
    ///
    /// # Errors
    /// When a partition cannot be read.
    pub fn content(&self) -> Result<Option<Content>, SlotError> {
        let mut head = [0; 512];
        if self.verity.size < 512 {
            return Ok(None);
        }
        self.verity.file.read_exact_at(&mut head, 0).map_err(self.verity.failed("read"))?;
        let Ok(superblock) = Superblock::parse(&head) else { return Ok(None) };
        // The numbers may be hostile: first check that data and tree fit the partitions, and only then count the levels.
        if superblock.data_size() > self.data.size || superblock.tree_size() > self.verity.size {
            return Ok(None);
        }
        let (device, offset) =
            if superblock.data_blocks == 1 { (&self.data, 0) } else { (&self.verity, TOP_BLOCK_OFFSET) };
        let mut top = [0; BLOCK_LEN];
        device.file.read_exact_at(&mut top, offset).map_err(device.failed("read"))?;
        Ok(Some(Content { root_hash: root_hash_of(&superblock, &top), size: superblock.data_size(), superblock }))
    }
}

/// Calls `each` with position and digest of the slot's blocks, in order. The digests come from the hash tree if there is one; otherwise the
/// first `blocks` blocks of the partition are read and hashed. A digest from the tree may be wrong: check it when the block is used. Blocks
/// that cannot be read are left out.
pub(super) fn each_digest(slot: &SlotDevices, blocks: u64, mut each: impl FnMut(u64, Sha256)) {
    let superblock =
        slot.content().ok().flatten().map(|content| content.superblock).filter(|superblock| superblock.salt.is_empty());
    let leaves = superblock.and_then(|superblock| Some((superblock.data_blocks, *superblock.levels().first()?)));
    let mut buffer = vec![0; PIECE];
    match leaves {
        Some((blocks, leaves)) => {
            let mut position = 0;
            for offset in (0..leaves.blocks * BLOCK).step_by(PIECE) {
                let piece = piece(&mut buffer, leaves.blocks * BLOCK - offset);
                if slot.verity.file.read_exact_at(piece, leaves.offset + offset).is_err() {
                    position += (piece.len() / DIGEST) as u64;
                    continue;
                }
                for digest in piece.as_chunks::<DIGEST>().0 {
                    if position < blocks {
                        each(position, Sha256(*digest));
                    }
                    position += 1;
                }
            }
        }
        None => {
            let size = blocks.min(slot.data.size / BLOCK) * BLOCK;
            for offset in (0..size).step_by(PIECE) {
                let piece = piece(&mut buffer, size - offset);
                if slot.data.file.read_exact_at(piece, offset).is_ok() {
                    let digests = (offset / BLOCK..).zip(block_digests(piece));
                    digests.for_each(|(position, digest)| each(position, Sha256(digest)));
                }
            }
        }
    }
}

/// The part of the buffer for the next bytes, of which `left` remain.
fn piece(buffer: &mut [u8], left: u64) -> &mut [u8] {
    let len = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
    &mut buffer[..len]
}

impl Device {
    /// Erases the superblock, so that the half-written slot is not taken for a version.
    pub(super) fn erase_superblock(&self) -> Result<(), SlotError> {
        self.write_at(&[0; BLOCK_LEN], 0)?;
        self.sync()
    }
}
