//! Why a recipe cannot be locked.

use super::Problem;
use crate::{
    recipe::{Diagnostic, Place},
    source::debian::error::DebianError,
};

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// An archive cannot be used.
    #[error(transparent)]
    Archive(#[from] DebianError),
    /// The packages do not go together.
    #[error("{}", told(problem, place.as_ref()))]
    Packages {
        /// In which way.
        problem: Box<Problem>,
        /// Where the recipe asks for the one that it began with.
        place: Option<Place>,
    },
    /// `--update` names a package that is neither in the old lock nor in the new one.
    #[error("package {name}: expected one that is locked, found none of that name")]
    NotLocked {
        /// Its name.
        name: String,
        /// The locked one most like it.
        nearest: Option<String>,
    },
}

impl LockError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Archive(error) => error.hint(),
            Self::Packages { problem, .. } => problem.hint(),
            Self::NotLocked { nearest, .. } => nearest.as_ref().map(|near| format!("did you mean {near}?")),
        }
    }
}

fn told(problem: &Problem, place: Option<&Place>) -> String {
    place.map_or_else(|| problem.to_string(), |place| Diagnostic::new(place, problem.to_string()).to_string())
}
