//! A part of an output, read at will. What lies outside or cannot be read is nothing: its structure has no name then.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

/// `len` bytes of a file from `start` on.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) file: Arc<File>,
    pub(super) start: u64,
    pub(super) len: u64,
}

impl View {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), start: 0, len })
    }

    /// A part of this part, cut where this one ends.
    pub(super) fn part(&self, start: u64, len: u64) -> Self {
        let start = start.min(self.len);
        Self { file: Arc::clone(&self.file), start: self.start + start, len: len.min(self.len - start) }
    }

    pub(super) fn bytes(&self, at: u64, len: u64) -> Option<Vec<u8>> {
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        self.file.read_exact_at(&mut bytes, self.start + at).ok()?;
        Some(bytes)
    }

    pub(super) fn array<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        self.bytes(at, N as u64)?.try_into().ok()
    }

    pub(super) fn u8(&self, at: u64) -> Option<u64> {
        Some(self.array::<1>(at)?[0].into())
    }

    /// A little-endian number.
    pub(super) fn u16(&self, at: u64) -> Option<u64> {
        Some(u16::from_le_bytes(self.array(at)?).into())
    }

    /// A little-endian number.
    pub(super) fn u32(&self, at: u64) -> Option<u64> {
        Some(u32::from_le_bytes(self.array(at)?).into())
    }
}
