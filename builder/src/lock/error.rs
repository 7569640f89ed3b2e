//! Why a recipe cannot be locked.

use super::Problem;
use crate::source::debian::error::DebianError;

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// An archive cannot be used.
    #[error(transparent)]
    Archive(#[from] DebianError),
    /// The packages do not go together.
    #[error(transparent)]
    Packages(#[from] Problem),
}

impl LockError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Archive(error) => error.hint(),
            Self::Packages(problem) => problem.hint(),
        }
    }
}
