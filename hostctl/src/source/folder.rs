//! A repository in a folder.

use super::SourceError;
use berth_file::open_beneath;
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

    /// Opens a regular file below the folder. Returns its size too. Symbolic links are not followed: they may lead out of a hostile folder.
    pub(super) fn find(&self, path: &str) -> Result<(File, u64), SourceError> {
        let whole = self.0.join(path);
        let opened = open_beneath(&self.0, Path::new(path)).and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((size, file)) => Ok((file, size)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(SourceError::NotFound { name: whole.display().to_string() })
            }
            Err(source) => Err(SourceError::Io { path: whole, source }),
        }
    }
}
