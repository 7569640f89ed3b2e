//! Reading a file with a size limit.

use crate::FileError;
use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;
use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// Reads the file at `path`. It may have at most `limit` bytes. A pipe does not block: it is like an empty file.
///
/// # Errors
/// [`FileError::Io`]. For a longer file its kind is [`io::ErrorKind::FileTooLarge`].
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    // Other programs may own the folder.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map(File::from).map_err(io::Error::from);
    let read = opened.and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() as u64 > limit => {
            Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("expected at most {limit} bytes, found more")))
        }
        other => other,
    }
    .map_err(FileError::io("read", path))?;
    Ok(bytes)
}

/// Reads the JSON file at `path`. It may have at most `limit` bytes.
///
/// # Errors
/// Those of [`read`], and [`FileError::Json`].
pub fn read_json<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<T, FileError> {
    let bytes = read(path, limit)?;
    serde_json::from_slice(&bytes).map_err(|source| FileError::Json { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn missing_long_and_malformed_files_have_their_own_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.json");
        assert!(read_json::<u8>(&path, 10).unwrap_err().is_missing());
        fs::write(&path, "  7").unwrap();
        assert_eq!(read_json::<u8>(&path, 3).unwrap(), 7);
        let Err(FileError::Io { doing: "read", source, .. }) = read(&path, 2) else { panic!("longer than the limit") };
        assert_eq!(source.kind(), io::ErrorKind::FileTooLarge);
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(matches!(read(&pipe, 2), Ok(bytes) if bytes.is_empty()), "a pipe without a writer does not block");
        fs::write(&path, "[").unwrap();
        let malformed = read_json::<u8>(&path, 10).unwrap_err();
        assert!(matches!(malformed, FileError::Json { .. }) && !malformed.is_missing());
    }
}
