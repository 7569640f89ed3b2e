//! Failures as sentences: what was being done, to what, and why it did not work.

use berth_file::FileError;
use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

/// A failed operation on a path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}", path.display())]
pub struct PathError {
    /// The verb, e.g. `mount`.
    pub doing: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl From<FileError> for PathError {
    fn from(error: FileError) -> Self {
        let (doing, path, source) = error.into_parts();
        Self { doing, path, source }
    }
}

/// Adds verb and path to an I/O error.
pub trait At<T> {
    /// Adds verb and path.
    ///
    /// # Errors
    /// The error it was called on.
    fn at(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T, PathError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T, PathError> {
        self.map_err(|error| PathError { doing, path: path.as_ref().to_owned(), source: error.into() })
    }
}

/// What a phase of the boot fails with: any room's error.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Several failures of one phase, each of which left the others possible.
#[derive(Debug)]
pub struct Failures(Vec<Failure>);

impl Failures {
    /// Runs on after an error: keeps it for the end.
    #[must_use]
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Keeps an error and goes on.
    pub fn keep<T>(&mut self, result: Result<T, impl Into<Failure>>) -> Option<T> {
        result.map_err(|error| self.0.push(error.into())).ok()
    }

    /// All that were kept, as one.
    ///
    /// # Errors
    /// When there are any.
    pub fn end(self) -> Result<(), Failure> {
        if self.0.is_empty() { Ok(()) } else { Err(Box::new(self)) }
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, failure) in self.0.iter().enumerate() {
            write!(f, "{}{failure}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl Error for Failures {}
