//! Small files: read up to a limit, and replaced atomically.

use berth_contract::{paths::UPDATE_STATE, release::MAX_METADATA};
use berth_file::Flush;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Longest file that is read, in bytes: room for three TUF metadata files and more.
const LONGEST: u64 = 4 * MAX_METADATA;

/// An error of a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file does not exist, or cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The content cannot be parsed.
    #[error("{}: cannot be parsed", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The error of the parser, with its position.
        source: serde_json::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file cannot be removed.
    #[error("cannot remove {}", path.display())]
    Remove {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl From<berth_file::FileError> for FileError {
    fn from(error: berth_file::FileError) -> Self {
        match error {
            berth_file::FileError::Io { path, source, .. } => Self::Read { path, source },
            berth_file::FileError::Json { path, source } => Self::Content { path, source },
        }
    }
}

impl FileError {
    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => {
                    Some("run this on a Berth host; from outside a virtual machine: --connect unix:PATH".to_owned())
                }
                io::ErrorKind::PermissionDenied => Some("run it as root".to_owned()),
                _ => None,
            },
            Self::Content { path, .. } if path.starts_with(UPDATE_STATE) => {
                Some("`hostctl update forget` removes the file".to_owned())
            }
            Self::Content { .. } | Self::Write { .. } | Self::Remove { .. } => None,
        }
    }

    /// Whether the file does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Reads a whole file of at most 16 MiB.
///
/// # Errors
/// When the file cannot be read, or is longer.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    Ok(berth_file::read(path, LONGEST)?)
}

/// Reads and parses a JSON file.
///
/// # Errors
/// When the file cannot be read or parsed.
pub fn json<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    Ok(berth_file::read_json(path, LONGEST)?)
}

/// Reads and parses a JSON file; `None` if it does not exist.
///
/// # Errors
/// When the file exists and cannot be read or parsed.
pub fn json_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    match json(path) {
        Err(error) if error.is_missing() => Ok(None),
        other => other.map(Some),
    }
}

/// Reads and parses a JSON file of the update state. A host without a shell cannot repair such a file, so a damaged or unreadable one counts
/// as empty. The second value says why; `None` also if the file does not exist.
#[must_use]
pub fn json_or_empty<T: DeserializeOwned + Default>(path: &Path) -> (T, Option<FileError>) {
    match json_if_there(path) {
        Ok(found) => (found.unwrap_or_default(), None),
        Err(error) => (T::default(), Some(error)),
    }
}

/// Writes this content to the file, or replaces the file with it. A power cut leaves the old file or the new one.
///
/// # Errors
/// When the file cannot be written: the old one is still there.
pub fn replace_json(path: &Path, content: &impl Serialize) -> Result<(), FileError> {
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        let text = serde_json::to_vec(content)?;
        Ok(berth_file::replace(path, &text, 0o644, Flush::ContentAndName)?)
    };
    write().map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Removes a file if it exists.
///
/// # Errors
/// When the file cannot be removed.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| FileError::Remove { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_tell_missing_too_long_and_malformed_files_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder/file.json");
        assert_eq!(json_if_there::<u8>(&path).unwrap(), None);
        assert!(json_or_empty::<u8>(&path).1.is_none());
        assert!(json::<u8>(&path).unwrap_err().is_missing());
        replace_json(&path, &7).unwrap();
        replace_json(&path, &8).unwrap();
        assert_eq!(json_if_there::<u8>(&path).unwrap(), Some(8));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        fs::write(&path, "[").unwrap();
        assert_eq!(json_or_empty::<u8>(&path).0, 0);
        assert!(matches!(json_or_empty::<u8>(&path).1, Some(FileError::Content { .. })));
        let Err(FileError::Content { source, .. }) = json_if_there::<u8>(&path) else {
            panic!("expected an error of the parser")
        };
        let kept = FileError::Content { path: Path::new(UPDATE_STATE).join("x.json"), source };
        assert!(kept.hint().unwrap().contains("hostctl update forget"));
        fs::File::create(&path).unwrap().set_len(LONGEST + 1).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("cannot read"));
        fs::create_dir(berth_file::temporary(&path)).unwrap();
        assert!(matches!(replace_json(&path, &9), Err(FileError::Write { .. })));
        remove(&path).unwrap();
        remove(&path).unwrap();
    }
}
