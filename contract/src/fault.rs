//! Errors of the host's programs: the operation, the path, and the reason.

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
    /// The path that the operation was for.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

/// Adds verb and path to an I/O error.
pub trait At<T> {
    /// Adds verb and path.
    ///
    /// # Errors
    /// The error of the result that the method is called on.
    fn at(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T, PathError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T, PathError> {
        self.map_err(|error| PathError { doing, path: path.as_ref().to_owned(), source: error.into() })
    }
}

/// Any module's error, for callers that only print it: the phases of the boot, and netd.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Several independent failures of one phase, reported as one error.
#[derive(Debug)]
pub struct Failures(Vec<Failure>);

impl Failures {
    /// No failure so far.
    #[must_use]
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Takes the value of a result, or records its error and returns `None`.
    pub fn keep<T>(&mut self, result: Result<T, impl Into<Failure>>) -> Option<T> {
        result.map_err(|error| self.0.push(error.into())).ok()
    }

    /// Success when no failure was recorded.
    ///
    /// # Errors
    /// All recorded failures as one error.
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
