//! JSON files on the host.

use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{}: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It cannot be replaced.
    #[error("cannot replace {}: {source}", path.display())]
    Replace {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Reads a file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    let bytes = fs::read(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| FileError::Content { path: path.to_owned(), source })
}

/// Replaces a file in memory: a reader finds the old content or the new one.
pub(crate) fn replace_json<T: Serialize>(path: &Path, content: &T) -> Result<(), FileError> {
    let bytes = serde_json::to_vec(content).map_err(|source| FileError::Content { path: path.to_owned(), source })?;
    let beside = path.with_extension("new");
    let write = |mut file: File| file.write_all(&bytes);
    let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&beside);
    let replaced = open.and_then(write).and_then(|()| fs::rename(&beside, path));
    replaced.map_err(|source| FileError::Replace { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_and_those_that_cannot_be_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("status.json");
        for value in [1, 2] {
            replace_json(&path, &value).unwrap();
            assert_eq!(read_json::<i32>(&path).unwrap(), value);
        }
        assert!(matches!(read_json::<String>(&path), Err(FileError::Content { .. })));
        let missing = dir.path().join("no/such.json");
        assert!(matches!(read_json::<i32>(&missing), Err(FileError::Read { .. })));
        assert!(replace_json(&missing, &1).unwrap_err().to_string().contains("no/such.json"));
    }
}
