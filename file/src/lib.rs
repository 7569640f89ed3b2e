//! Small files: replace a file atomically, read a file with a size limit, and open a file of a file system that is not trusted.
#![deny(missing_docs)]

mod beneath;
mod read;
mod replace;

pub use beneath::open_beneath;
pub use read::{read, read_json};
pub use replace::{Flush, Replacement, replace, temporary};

use berth_contract::fault::PathError;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a file could not be read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A system call failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// The verb, e.g. `write`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not the expected JSON.
    #[error("cannot parse {}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
}

impl FileError {
    /// Whether the file does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// The verb, the path and the system's error, for error types that have the same fields.
    #[must_use]
    pub fn into_parts(self) -> (&'static str, PathBuf, io::Error) {
        match self {
            Self::Io { doing, path, source } => (doing, path, source),
            Self::Json { path, source } => ("parse", path, source.into()),
        }
    }

    fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}

impl From<FileError> for PathError {
    fn from(error: FileError) -> Self {
        let (doing, path, source) = error.into_parts();
        Self { doing, path, source }
    }
}

impl From<FileError> for io::Error {
    /// Keeps the kind and the system's error, and drops the path. For callers whose own error names the file.
    fn from(error: FileError) -> Self {
        match error {
            FileError::Io { source, .. } => source,
            FileError::Json { source, .. } => source.into(),
        }
    }
}
