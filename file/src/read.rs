//! Reading a file with a size limit.

use crate::FileError;
use serde::de::DeserializeOwned;
use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// Reads the file at `path`. It may have at most `limit` bytes.
///
/// # Errors
/// [`FileError::Io`]. For a longer file its kind is [`io::ErrorKind::FileTooLarge`].
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes));
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
        fs::write(&path, "[").unwrap();
        let malformed = read_json::<u8>(&path, 10).unwrap_err();
        assert!(matches!(malformed, FileError::Json { .. }) && !malformed.is_missing());
    }
}
