//! The content of a file that is to be written: in memory, or in a file on disk.

use std::{
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

/// The content of a regular file: held in memory, or a range of a file on disk (an unpacked package in the cache).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Bytes in memory.
    Bytes(Arc<[u8]>),
    /// `len` bytes at `offset` of the file at `path`.
    File {
        /// File on disk that must not change until it has been read.
        path: Arc<Path>,
        /// Where the bytes begin.
        offset: u64,
        /// How many there are.
        len: u64,
    },
}

impl Data {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::Bytes(Arc::new([]))
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A reader of exactly these bytes. If the file has become shorter, reading its end is an error.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
            Self::File { path, offset, len } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(*offset))?;
                Box::new(Exact { inner: file, left: *len })
            }
        })
    }

    /// All bytes at once.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn to_bytes(&self) -> io::Result<Arc<[u8]>> {
        if let Self::Bytes(bytes) = self {
            return Ok(Arc::clone(bytes));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.len()).map_err(io::Error::other)?);
        self.reader()?.read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<String> for Data {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

struct Exact {
    inner: File,
    left: u64,
}

impl Read for Exact {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let got = self.inner.read(&mut buf[..want])?;
        if got == 0 && want != 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("file ends {} bytes early", self.left)));
        }
        self.left -= got as u64;
        Ok(got)
    }
}
