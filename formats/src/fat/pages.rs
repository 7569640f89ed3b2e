use crate::range::Range;
use std::io::{self, Read, Seek, SeekFrom, Write};

const PAGE: usize = 4096;

/// A disk in memory that holds only the pages that were written. The `fatfs` crate reads and writes a few bytes at a time;
/// on a file, each of these would be a system call.
pub(super) struct Pages {
    pages: Vec<Option<Box<[u8; PAGE]>>>,
    len: u64,
    position: u64,
}

impl Pages {
    pub(super) fn new(len: u64) -> Self {
        let count = usize::try_from(len.div_ceil(PAGE as u64)).unwrap_or(usize::MAX);
        Self { pages: vec![None; count], len, position: 0 }
    }

    /// Page number, offset in the page, and how many of the `wanted` bytes it holds from the position on.
    fn here(&self, wanted: usize) -> (usize, usize, usize) {
        let left = usize::try_from(self.len.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let page = usize::try_from(self.position / PAGE as u64).unwrap_or(usize::MAX);
        let offset = usize::try_from(self.position % PAGE as u64).unwrap_or(0);
        (page, offset, wanted.min(left).min(PAGE - offset))
    }

    /// Writes the pages that are not zero.
    pub(super) fn store(&self, out: &Range<'_>) -> io::Result<()> {
        for (offset, page) in (0..self.len).step_by(PAGE).zip(&self.pages) {
            if let Some(page) = page.as_deref().filter(|page| **page != [0; PAGE]) {
                let end = usize::try_from(self.len - offset).unwrap_or(PAGE).min(PAGE);
                out.write_all_at(&page[..end], offset)?;
            }
        }
        Ok(())
    }
}

impl Read for Pages {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (page, offset, len) = self.here(buf.len());
        match self.pages.get(page) {
            Some(Some(page)) => buf[..len].copy_from_slice(&page[offset..offset + len]),
            _ => buf[..len].fill(0),
        }
        self.position += len as u64;
        Ok(len)
    }
}

impl Write for Pages {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let (page, offset, len) = self.here(buf.len());
        if len != 0 {
            let page = &mut self.pages[page];
            if page.is_some() || buf[..len].iter().any(|&byte| byte != 0) {
                page.get_or_insert_with(|| Box::new([0; PAGE]))[offset..offset + len].copy_from_slice(&buf[..len]);
            }
        }
        self.position += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Pages {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
            SeekFrom::End(delta) => self.len.checked_add_signed(delta),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}
