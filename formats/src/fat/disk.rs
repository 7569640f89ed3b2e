use std::{fs::File, io, os::unix::fs::FileExt};

/// What a volume lies on: a block device, or a file. Between two flushes, writes may reach the medium in any order, each
/// sector wholly or not at all.
pub trait Disk {
    /// Reads all of `bytes` at `offset`.
    ///
    /// # Errors
    /// When the medium cannot be read or ends too early.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// When the medium cannot be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when all that was written is on the medium.
    ///
    /// # Errors
    /// When it did not get there.
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
