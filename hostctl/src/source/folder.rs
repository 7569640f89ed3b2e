//! A repository in a folder.

use super::SourceError;
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, SourceError> {
        if !path.join(berth_contract::release::METADATA).is_dir() {
            return Err(SourceError::NoRepository { path: path.to_owned() });
        }
        Ok(Self(path.to_owned()))
    }

    /// Opens a file. Returns its size too.
    pub(super) fn find(&self, path: &str) -> Result<(File, u64), SourceError> {
        let whole = self.0.join(path);
        let failed = |source| SourceError::Io { path: whole.clone(), source };
        let meta = match std::fs::metadata(&whole) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SourceError::NotFound { name: whole.display().to_string() });
            }
            meta => meta.map_err(failed)?,
        };
        if !meta.is_file() {
            // Opening a FIFO could block for ever.
            return Err(failed(io::Error::other("not a regular file")));
        }
        Ok((File::open(&whole).map_err(failed)?, meta.len()))
    }
}
