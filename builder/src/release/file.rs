//! Reads files of a repository up to a limit, replaces them atomically, and measures them.

use super::error::ReleaseError;
use crate::scratch;
use berth_contract::digest::Sha256;
use berth_file::Flush;
use sha2::Digest;
use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

/// Reads a file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ReleaseError> {
    Ok(berth_file::read(path, limit)?)
}

/// Reads a file of at most `limit` bytes. Returns `None` if the file does not exist.
pub(super) fn read_if_there(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ReleaseError> {
    match read(path, limit) {
        Err(ReleaseError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Writes or replaces a file. A crash leaves the old file or the new file. After the call, the new file is flushed to disk.
pub(super) fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<(), ReleaseError> {
    scratch::replace(path, mode, Flush::ContentAndName, |file| {
        file.write_all(bytes).map_err(ReleaseError::io("write", path))
    })
}

/// Flushes the folder of `path`, so that the name `path` survives a power cut.
pub(super) fn sync_parent(path: &Path) -> Result<(), ReleaseError> {
    // The parent of a plain file name is the empty path, which cannot be opened.
    sync(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Flushes a folder, so that the names in it survive a power cut.
pub(super) fn sync(folder: &Path) -> Result<(), ReleaseError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(ReleaseError::io("flush", folder))
}

/// Length and digest of a file.
pub(super) fn measure(path: &Path) -> Result<(u64, Sha256), ReleaseError> {
    let mut measured = Measured::new(io::sink());
    File::open(path).and_then(|mut file| io::copy(&mut file, &mut measured)).map_err(ReleaseError::io("read", path))?;
    Ok(measured.finish().1)
}

/// A writer that computes the length and digest of the written bytes.
#[derive(Debug)]
pub(super) struct Measured<W> {
    to: W,
    hash: sha2::Sha256,
    len: u64,
}

impl<W: Write> Measured<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, hash: sha2::Sha256::new(), len: 0 }
    }

    /// Returns the inner writer, and the length and digest of all written bytes.
    pub(super) fn finish(self) -> (W, (u64, Sha256)) {
        (self.to, (self.len, Sha256(self.hash.finalize().into())))
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
