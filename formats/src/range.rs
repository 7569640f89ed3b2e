//! A window of a file: how a partition is written inside a disk image.

use crate::workers;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
};

/// Bytes that [`Range::fill`] moves at once.
const PIECE: usize = 1 << 18;

/// `len` bytes of a file from `start` on, as if they were a file of their own. Nothing outside is ever touched: a
/// write that does not fit is an error. The file's own position is not used.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    file: &'a File,
    start: u64,
    len: u64,
    position: u64,
}

impl<'a> Range<'a> {
    /// The window; its position is 0.
    #[must_use]
    pub fn new(file: &'a File, start: u64, len: u64) -> Self {
        Self { file, start, len, position: 0 }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the window holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes all of `bytes` at `offset` of the window.
    ///
    /// # Errors
    /// When they do not fit into the window, or the file cannot be written.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let fits = offset.checked_add(bytes.len() as u64).is_some_and(|end| end <= self.len);
        if !fits {
            let message = format!("{} bytes at {offset} end beyond the {} bytes there are", bytes.len(), self.len);
            return Err(io::Error::new(io::ErrorKind::WriteZero, message));
        }
        self.file.write_all_at(bytes, self.start + offset)
    }

    /// Writes all of `source` at the beginning of the window, with a thread for each CPU; returns its length. Zeros
    /// are written too.
    ///
    /// # Errors
    /// When it does not fit, cannot be read or becomes shorter meanwhile, or the file cannot be written.
    pub fn fill(&self, source: &File) -> io::Result<u64> {
        let len = source.metadata()?.len();
        let pieces = usize::try_from(len.div_ceil(PIECE as u64)).map_err(io::Error::other)?;
        workers::each(
            pieces,
            workers::per_cpu(),
            || vec![0; PIECE],
            |buffer, number| {
                let at = (number * PIECE) as u64;
                let piece = &mut buffer[..usize::try_from(len - at).unwrap_or(PIECE).min(PIECE)];
                source.read_exact_at(piece, at)?;
                self.write_all_at(piece, at)
            },
        )?;
        Ok(len)
    }

    fn left(&self, wanted: usize) -> usize {
        usize::try_from(self.len.saturating_sub(self.position)).unwrap_or(usize::MAX).min(wanted)
    }
}

impl Read for Range<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = self.left(buf.len());
        let got = self.file.read_at(&mut buf[..want], self.start + self.position)?;
        self.position += got as u64;
        Ok(got)
    }
}

impl Write for Range<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_all_at(buf, self.position)?;
        self.position += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Range<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
            SeekFrom::End(delta) => self.len.checked_add_signed(delta),
        };
        self.position =
            position.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "position before the range"))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_filled_from_a_file() {
        let (source, target) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[2]).collect();
        source.write_all_at(&bytes, 0).unwrap();
        let window = Range::new(&target, 7, bytes.len() as u64);
        assert_eq!(window.fill(&source).unwrap(), bytes.len() as u64);
        let mut copy = vec![0; bytes.len()];
        target.read_exact_at(&mut copy, 7).unwrap();
        assert!(copy == bytes);
        assert!(Range::new(&target, 0, bytes.len() as u64 - 1).fill(&source).is_err());
    }

    #[test]
    fn a_range_reads_and_writes_its_own_bytes_only() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[b'.'; 32]).unwrap();
        let mut range = Range::new(&file, 8, 16);
        range.seek(SeekFrom::End(-4)).unwrap();
        range.write_all(b"abcd").unwrap();
        assert!(range.write_all(b"e").is_err());
        assert!(range.write_all_at(b"12345", 12).is_err());
        assert!(range.write_all_at(b"1", u64::MAX).is_err());
        assert!(range.seek(SeekFrom::Current(-17)).is_err());
        range.rewind().unwrap();
        let mut inside = String::new();
        range.read_to_string(&mut inside).unwrap();
        assert_eq!(inside, "............abcd");
        let mut all = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut all).unwrap();
        assert_eq!(all, format!("{0}............abcd{0}", "........"));
    }
}
