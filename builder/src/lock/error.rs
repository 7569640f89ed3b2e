//! Why a recipe cannot be locked.

use super::Problem;
use crate::{
    recipe::{Diagnostic, Place},
    source::debian::error::DebianError,
};

/// Why a recipe cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// An archive cannot be used.
    #[error(transparent)]
    Archive(#[from] DebianError),
    /// The recipe has an invalid value. The diagnostic shows its line.
    #[error(transparent)]
    Recipe(#[from] Diagnostic),
    /// The resolver found no solution.
    #[error("{}", told(problem, place.as_ref()))]
    Packages {
        /// The cause.
        problem: Box<Problem>,
        /// Where the recipe requests the first package of the chain.
        place: Option<Place>,
    },
    /// `--update` names a package that is neither in the old lock nor in the new one.
    #[error("package {name}: expected a locked package, found none with this name")]
    NotLocked {
        /// The name given with `--update`.
        name: String,
        /// The locked package with the most similar name.
        nearest: Option<String>,
    },
}

impl LockError {
    /// A hint: the next step for the user, if there is one.
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
