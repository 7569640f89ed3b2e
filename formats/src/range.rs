//! A window of a file, such as a partition of a disk image.

use crate::workers;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
};

/// Bytes that [`Range::fill`] moves at once.
const PIECE: usize = 1 << 18;

/// `len` bytes of a file from `start` on, as if they were a file of their own. No byte outside is written: a write that
/// does not fit is an error. The file's own position is not used.
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

    /// The file.
    #[must_use]
    pub fn file(&self) -> &'a File {
        self.file
    }

    /// Where the window begins in the file.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// A part of this window, cut where this window ends.
    #[must_use]
    pub fn part(&self, start: u64, len: u64) -> Self {
        let start = start.min(self.len);
        Self::new(self.file, self.start + start, len.min(self.len - start))
    }

    /// The `len` bytes at `at`. `None` if they end after the window, or cannot be read.
    #[must_use]
    pub fn bytes(&self, at: u64, len: u64) -> Option<Vec<u8>> {
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        self.file.read_exact_at(&mut bytes, self.start + at).ok()?;
        Some(bytes)
    }

    /// The `N` bytes at `at`, in the same way.
    #[must_use]
    pub fn array<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        self.bytes(at, N as u64)?.try_into().ok()
    }

    /// The byte at `at`.
    pub(crate) fn u8(&self, at: u64) -> Option<u64> {
        Some(self.array::<1>(at)?[0].into())
    }

    /// The little-endian number at `at`.
    pub(crate) fn u16(&self, at: u64) -> Option<u64> {
        Some(u16::from_le_bytes(self.array(at)?).into())
    }

    /// The little-endian number at `at`.
    pub(crate) fn u32(&self, at: u64) -> Option<u64> {
        Some(u32::from_le_bytes(self.array(at)?).into())
    }

    /// Writes all of `bytes` at `offset` of the window.
    ///
    /// # Errors
    /// They do not fit into the window, or the file cannot be written.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let fits = offset.checked_add(bytes.len() as u64).is_some_and(|end| end <= self.len);
        if !fits {
            let message = format!("{} bytes at {offset} end beyond the {} bytes there are", bytes.len(), self.len);
            return Err(io::Error::new(io::ErrorKind::WriteZero, message));
        }
        self.file.write_all_at(bytes, self.start + offset)
    }

    /// Writes all of `source` to the beginning of the window, with a thread for each CPU, and returns its length. Zeros are
    /// written, too.
    ///
    /// # Errors
    /// `source` does not fit, cannot be read, or becomes shorter during the copy; or the file cannot be written.
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
