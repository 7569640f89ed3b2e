//! The lock of a repository: one writer at a time.

use super::error::ReleaseError;
use crate::scratch::Scratch;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

/// The lock file in a repository.
const NAME: &str = ".lock";

/// The lock of a repository, released when it is dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    // Fields are dropped in this order: the file must be removed before it is unlocked.
    _path: Scratch,
    _file: File,
}

impl FileLock {
    /// Locks the repository in `folder`. The folder must exist. Does not wait.
    pub(super) fn take(folder: &Path) -> Result<Self, ReleaseError> {
        let path = folder.join(NAME);
        let file = File::create(&path).map_err(ReleaseError::io("make", &path))?;
        // Between open and lock, another process may have ended and removed the file.
        let still_there = || Ok::<_, io::Error>(file.metadata()?.ino() == fs::metadata(&path)?.ino());
        if file.try_lock().is_err() || !still_there().unwrap_or(false) {
            return Err(ReleaseError::Busy(folder.to_owned()));
        }
        Ok(Self { _path: Scratch::new(path), _file: file })
    }
}
