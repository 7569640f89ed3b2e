//! One writer at a time.

use super::error::ReleaseError;
use crate::scratch::Scratch;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

/// The file in a repository that says that somebody writes to it.
const NAME: &str = ".lock";

/// Held until the end of the work.
#[derive(Debug)]
pub(super) struct Lock {
    // Removed first, given up afterwards.
    _path: Scratch,
    _file: File,
}

impl Lock {
    /// Locks the repository in `folder`, which exists.
    pub(super) fn take(folder: &Path) -> Result<Self, ReleaseError> {
        let path = folder.join(NAME);
        let file = File::create(&path).map_err(ReleaseError::io("make", &path))?;
        // It may have been removed by one who ended between our open and our lock.
        let still_there = || Ok::<_, io::Error>(file.metadata()?.ino() == fs::metadata(&path)?.ino());
        if file.try_lock().is_err() || !still_there().unwrap_or(false) {
            return Err(ReleaseError::Busy(folder.to_owned()));
        }
        Ok(Self { _path: Scratch::new(path), _file: file })
    }
}
