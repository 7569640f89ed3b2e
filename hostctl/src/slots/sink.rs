//! Writes the idle slot from the first block to the last. A block that is right already is not written. The hash tree is built at the same
//! time.

use super::{
    device::{Device, SlotDevices},
    error::SlotError,
};
use berth_contract::{digest::RootHash, disk::BLOCK};
use berth_formats::verity::{self, TreeWriter, block_digests};
use rustix::fs::{Advice, fadvise};
use std::{
    cell::Cell,
    io::{self, Write},
    os::unix::fs::FileExt,
};

const BLOCK_LEN: usize = 4096;
/// Bytes that are compared at once.
const PIECE: usize = 512 << 10;

/// The root file system to write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) root_hash: RootHash,
    /// Bytes of the root file system.
    pub(super) size: u64,
    pub(super) uuid: [u8; 16],
}

/// Receives the new root file system and writes it.
pub(super) struct Sink<'a> {
    slot: &'a SlotDevices,
    wanted: Wanted,
    tree: TreeWriter<'a>,
    position: u64,
    /// Bytes written because they differed, over all ways that were tried.
    written: &'a Cell<u64>,
    /// The present content at the position to be written.
    old: Vec<u8>,
    /// Bytes from [`Write`] that do not fill a piece yet.
    pending: Vec<u8>,
    /// An error of the slot, kept while it passes through [`Write`] as an [`io::Error`].
    fault: Option<SlotError>,
    /// Receives the number of bytes done.
    progress: &'a mut dyn FnMut(u64),
}

impl<'a> Sink<'a> {
    /// Erases the superblock, so that the slot holds no version until [`Sink::finish`].
    pub(super) fn begin(
        slot: &'a SlotDevices,
        wanted: Wanted,
        written: &'a Cell<u64>,
        progress: &'a mut dyn FnMut(u64),
    ) -> Result<Self, SlotError> {
        slot.verity.erase_superblock()?;
        let tree = TreeWriter::new(wanted.size, wanted.uuid, &slot.verity.file)?;
        let (old, pending) = (vec![0; PIECE], Vec::with_capacity(PIECE));
        Ok(Self { slot, wanted, tree, position: 0, written, old, pending, fault: None, progress })
    }

    /// Size of the whole image in bytes.
    pub(super) fn size(&self) -> u64 {
        self.wanted.size
    }

    /// Bytes received so far.
    pub(super) fn position(&self) -> u64 {
        self.position + self.pending.len() as u64
    }

    /// Writes the next whole blocks. `digests` are their digests.
    pub(super) fn put(&mut self, blocks: &[u8], digests: &[[u8; 32]]) -> Result<(), SlotError> {
        self.tree.push(digests)?;
        for piece in blocks.chunks(PIECE) {
            let old = &mut self.old[..piece.len()];
            // A block that cannot be read is written: that may repair the sector.
            let readable = self.slot.data.file.read_exact_at(old, self.position).is_ok();
            let differs = |(new, old): (&[u8], &[u8])| !readable || new != old;
            let mut blocks = piece.chunks(BLOCK_LEN).zip(old.chunks(BLOCK_LEN)).map(differs).enumerate().peekable();
            while let Some((first, differs)) = blocks.next() {
                if !differs {
                    continue;
                }
                let mut end = first + 1;
                while blocks.next_if(|(_, differs)| *differs).is_some() {
                    end += 1;
                }
                let run = &piece[first * BLOCK_LEN..end * BLOCK_LEN];
                self.slot.data.write_at(run, self.position + first as u64 * BLOCK)?;
                self.written.set(self.written.get() + run.len() as u64);
            }
            self.position += piece.len() as u64;
        }
        (self.progress)(self.position);
        Ok(())
    }

    fn flush_pending(&mut self) -> Result<(), SlotError> {
        let pending = std::mem::take(&mut self.pending);
        self.put(&pending, &block_digests(&pending))?;
        self.pending = pending;
        self.pending.clear();
        Ok(())
    }

    /// The error of the slot if [`Write`] failed because of one, else the result of `other`.
    pub(super) fn fault(&mut self, error: io::Error, other: impl FnOnce(io::Error) -> SlotError) -> SlotError {
        self.fault.take().unwrap_or_else(|| other(error))
    }

    /// Call this after the last byte. Compares the root hash and syncs everything, the superblock last.
    pub(super) fn finish(mut self) -> Result<(), SlotError> {
        self.flush_pending()?;
        let (slot, wanted) = (self.slot, self.wanted);
        let (superblock, found) = self.tree.finish()?;
        if found != wanted.root_hash {
            return Err(SlotError::Mismatch { wanted: wanted.root_hash, found });
        }
        slot.data.sync()?;
        slot.verity.sync()?;
        slot.verity.write_at(&superblock.to_bytes(), 0)?;
        slot.verity.sync()
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.wanted.size - self.position();
        if bytes.len() as u64 > left {
            let message = format!("more than the {} bytes of the image", self.wanted.size);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let taken = bytes.len().min(PIECE - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() == PIECE
            && let Err(fault) = self.flush_pending()
        {
            let error = io::Error::other(fault.to_string());
            self.fault = Some(fault);
            return Err(error);
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the whole slot from the disk, not from the page cache, and compares every block with the hash tree and the tree with the root
/// hash.
pub(super) fn read_back(slot: &SlotDevices, root_hash: &RootHash) -> Result<(), SlotError> {
    let forget = |device: &Device| {
        fadvise(&device.file, 0, None, Advice::DontNeed)
            .map_err(|errno| device.failed("drop the cache of")(errno.into()))
    };
    forget(&slot.data)?;
    forget(&slot.verity)?;
    verity::verify(&slot.data.file, &slot.verity.file, root_hash)
        .map_err(|cause| SlotError::ReadBack { path: slot.data.path.clone(), cause: Box::new(cause) })
}
