//! Files of a repository: read within limits, written in one move.

use super::error::ReleaseError;
use crate::scratch::Scratch;
use berth_contract::digest::Sha256;
use sha2::Digest;
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// The content of a file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ReleaseError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() as u64 > limit => {
            Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit} bytes")))
        }
        other => other,
    }
    .map_err(ReleaseError::io("read", path))?;
    Ok(bytes)
}

/// The same, of a file that need not be there.
pub(super) fn read_if_there(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ReleaseError> {
    match read(path, limit) {
        Err(ReleaseError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Puts a file in its place: nobody sees half of it, and it is on the disk afterwards.
pub(super) fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<(), ReleaseError> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".partial");
    let partial = Scratch::new(path.with_file_name(name));
    let written = || {
        _ = fs::remove_file(partial.path());
        let mut file = File::options().write(true).create_new(true).mode(mode).open(partial.path())?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(partial.path(), path)
    };
    written().map_err(ReleaseError::io("write", path))?;
    sync_parent(path)
}

/// Makes the name `path` outlive a power cut.
pub(super) fn sync_parent(path: &Path) -> Result<(), ReleaseError> {
    // Of a plain name the parent is empty, and that is no folder's name.
    sync(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Makes the names in a folder outlive a power cut.
pub(super) fn sync(folder: &Path) -> Result<(), ReleaseError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(ReleaseError::io("flush", folder))
}

/// Length and digest of a file.
pub(super) fn measure(path: &Path) -> Result<(u64, Sha256), ReleaseError> {
    let mut measured = Measured::new(io::sink());
    File::open(path).and_then(|mut file| io::copy(&mut file, &mut measured)).map_err(ReleaseError::io("read", path))?;
    Ok(measured.finish().1)
}

/// A writer that knows length and digest of what went through it.
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

    /// The writer, and length and digest.
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
