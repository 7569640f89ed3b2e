//! Small files: read up to a limit, and replaced atomically.

use berth_contract::{paths::UPDATE_STATE, release::MAX_METADATA};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _, Write as _},
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

impl FileError {
    /// What the user can do about this error.
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
                Some(format!("remove {} if nothing else helps", path.display()))
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
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| match file.take(LONGEST + 1).read_to_end(&mut bytes)? as u64 {
        ..=LONGEST => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {LONGEST} bytes"))),
    });
    read.map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    Ok(bytes)
}

/// Reads and parses a JSON file.
///
/// # Errors
/// When the file cannot be read or parsed.
pub fn json<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    let bytes = read(path)?;
    serde_json::from_slice(&bytes).map_err(|source| FileError::Content { path: path.to_owned(), source })
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

/// Makes the file, or puts this content in its place: whenever the power fails there is the old one or the new one.
///
/// # Errors
/// When it cannot be written: the old one is still there.
pub fn replace_json(path: &Path, content: &impl Serialize) -> Result<(), FileError> {
    let write = || {
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        // Two that write at once, an upgrade and somebody who only looks, would share what lies beside.
        let folder = File::open(folder)?;
        folder.lock()?;
        let mut beside = OsString::from(path);
        beside.push(".new");
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec(content)?)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        folder.sync_all()
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
    fn two_that_write_at_once_do_not_meet() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.json");
        std::thread::scope(|scope| {
            for text in ["a".repeat(50_000), "b".to_owned()] {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..100 {
                        replace_json(path, &text).unwrap();
                        let read: String = json(path).unwrap();
                        assert!(read == "b" || read.len() == 50_000);
                    }
                });
            }
        });
    }

    #[test]
    fn errors_tell_missing_too_long_and_malformed_files_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder/file.json");
        assert_eq!(json_if_there::<u8>(&path).unwrap(), None);
        assert!(json::<u8>(&path).unwrap_err().is_missing());
        replace_json(&path, &7).unwrap();
        replace_json(&path, &8).unwrap();
        assert_eq!(json_if_there::<u8>(&path).unwrap(), Some(8));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        fs::write(&path, "[").unwrap();
        let Err(FileError::Content { source, .. }) = json_if_there::<u8>(&path) else {
            panic!("expected an error of the parser")
        };
        let kept = FileError::Content { path: Path::new(UPDATE_STATE).join("x.json"), source };
        assert!(kept.hint().unwrap().starts_with("remove "));
        File::create(&path).unwrap().set_len(LONGEST + 1).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("cannot read"));
        fs::create_dir(path.with_extension("json.new")).unwrap();
        assert!(matches!(replace_json(&path, &9), Err(FileError::Write { .. })));
        remove(&path).unwrap();
        remove(&path).unwrap();
    }
}
