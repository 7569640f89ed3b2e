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
    /// Something in the recipe, shown where it stands.
    #[error(transparent)]
    Recipe(#[from] Diagnostic),
    /// The packages do not go together.
    #[error("{}", told(problem, place.as_ref()))]
    Packages {
        /// What is wrong.
        problem: Box<Problem>,
        /// Where the recipe asks for the first package of the chain.
        place: Option<Place>,
    },
    /// `--update` names a package that is neither in the old lock nor in the new one.
    #[error("package {name}: expected a locked package, found none of that name")]
    NotLocked {
        /// Its name.
        name: String,
        /// The locked package with the most similar name.
        nearest: Option<String>,
    },
}

impl LockError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Archive(error) => error.hint(),
            Self::Recipe(fault) => fault.hint().map(str::to_owned),
            Self::Packages { problem, .. } => problem.hint(),
            Self::NotLocked { nearest, .. } => nearest.as_ref().map(|near| format!("did you mean {near}?")),
        }
    }
}

fn told(problem: &Problem, place: Option<&Place>) -> String {
    place.map_or_else(|| problem.to_string(), |place| Diagnostic::new(place, problem.to_string()).to_string())
}
