//! Finds the damaged blocks of a slot, and puts them right with blocks of the other slot. Only bytes with the right digest are written.

use super::{
    content::each_digest,
    device::{Device, SlotDevices},
    error::SlotError,
};
use berth_contract::{digest::RootHash, disk::BLOCK};
use berth_formats::verity::{Superblock, Survey, block_digests, survey};
use rustix::fs::{Advice, fadvise};
use std::{collections::HashMap, os::unix::fs::FileExt};

const BLOCK_LEN: usize = 4096;

impl SlotDevices {
    /// Reads the whole slot from the disk, and compares every block with the root hash. `None`: there is no readable superblock, so the
    /// size of the content is not known. `pause` is called after each piece.
    #[must_use]
    pub fn survey(&self, root_hash: &RootHash, pause: &mut dyn FnMut()) -> Option<Survey> {
        let superblock = self.superblock()?;
        for device in [&self.data, &self.verity] {
            // The page cache may not show what the disk has. If it cannot be dropped, the check is only less strict.
            let _ = fadvise(&device.file, 0, None, Advice::DontNeed);
        }
        Some(survey(&self.data.file, &self.verity.file, &superblock, root_hash, pause))
    }

    fn superblock(&self) -> Option<Superblock> {
        let mut head = [0; 512];
        self.verity.file.read_exact_at(&mut head, 0).ok()?;
        let fits = |found: &Superblock| found.data_size() <= self.data.size && found.tree_size() <= self.verity.size;
        Superblock::parse(&head).ok().filter(fits)
    }

    /// Writes the damaged blocks whose right content is known or is in one of the `donors`. Other places of this slot are searched too. A
    /// power cut leaves each block as damaged as before, or right. Returns the number of blocks that were written.
    ///
    /// # Errors
    /// When the slot cannot be written.
    pub fn repair(&self, survey: &Survey, donors: &[&Self]) -> Result<u64, SlotError> {
        let mut written = 0;
        for (offset, content) in &survey.tree {
            self.verity.write_at(content, *offset)?;
            written += 1;
        }
        let mut wanted: HashMap<[u8; 32], Vec<u64>> = HashMap::new();
        for (block, digest) in &survey.data {
            wanted.entry(digest.0).or_default().push(*block);
        }
        let zeros = vec![0; BLOCK_LEN];
        if let Some(blocks) = wanted.remove(&block_digests(&zeros)[0]) {
            written += put(&self.data, &blocks, &zeros)?;
        }
        for donor in donors.iter().copied().chain([self]).filter(|_| !survey.data.is_empty()) {
            let mut places = Vec::new();
            each_digest(donor, donor.data.size / BLOCK, |position, digest| {
                places.extend(wanted.contains_key(&digest.0).then_some((position, digest.0)));
            });
            for (position, digest) in places {
                let mut content = vec![0; BLOCK_LEN];
                // The hash tree of the donor may be wrong about this block.
                let read = donor.data.file.read_exact_at(&mut content, position * BLOCK);
                if read.is_ok()
                    && block_digests(&content)[0] == digest
                    && let Some(blocks) = wanted.remove(&digest)
                {
                    written += put(&self.data, &blocks, &content)?;
                }
            }
        }
        self.data.sync()?;
        self.verity.sync()?;
        Ok(written)
    }
}

/// Writes the same content to several blocks. Returns their number.
fn put(device: &Device, blocks: &[u64], content: &[u8]) -> Result<u64, SlotError> {
    blocks.iter().try_for_each(|block| device.write_at(content, block * BLOCK))?;
    Ok(blocks.len() as u64)
}
