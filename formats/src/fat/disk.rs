use crate::range::Range;
use std::{fs::File, io, os::unix::fs::FileExt};

/// A medium with a volume: a block device or a file. Between two flushes, writes may reach the medium in any order. Each
/// sector is written completely or not at all.
pub trait Disk {
    /// Reads all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The medium cannot be read, or ends too early.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The medium cannot be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns once all written bytes are on the medium.
    ///
    /// # Errors
    /// Some bytes did not reach the medium.
    fn flush(&self) -> io::Result<()>;
}

impl Disk for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn flush(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Disk for Range<'_> {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let found = self.bytes(offset, bytes.len() as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(&found);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn flush(&self) -> io::Result<()> {
        self.file().sync_data()
    }
}
