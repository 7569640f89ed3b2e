//! The error type for faults of a recipe: place, expected and found value, and a hint.

use super::place::Place;
use berth_contract::credentials::without_credentials;
use berth_settings::nearest;
use std::fmt;

/// A fault of a recipe. Its text has several lines: the place and the fault, the line of the recipe with the fault underlined,
/// the expected value, and the value found. User names and passwords of addresses are hidden. The hint is not part of the text: see [`Diagnostic::hint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    place: Place,
    message: String,
    wanted: Option<String>,
    found: Option<String>,
    hint: Option<String>,
}

impl Diagnostic {
    /// Makes a diagnostic for a fault at `place`.
    #[must_use]
    pub fn new(place: &Place, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Parts { place: place.clone(), message, wanted: None, found: None, hint: None }))
    }

    /// Adds the expected value.
    #[must_use]
    pub fn wanted(mut self, wanted: impl Into<String>) -> Self {
        self.0.wanted = Some(wanted.into());
        self
    }

    /// Adds the value found.
    #[must_use]
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.0.found = Some(found.into());
        self
    }

    /// Adds a hint: what the user can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(without_credentials(&hint.into()));
        self
    }

    /// Adds a hint with the most similar of `names`, if one is similar enough.
    #[must_use]
    pub fn nearest<'a>(self, name: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(name, names) {
            Some(near) => self.with_hint(format!("did you mean {near:?}?")),
            None => self,
        }
    }

    /// A hint: the next step for the user, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Where the fault is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.0.place
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { place, message, wanted, found, hint: _ } = &*self.0;
        write!(f, "{place}: {}\n{}", without_credentials(message), place.excerpt())?;
        for (label, text) in [("wanted", wanted), ("found", found)] {
            if let Some(text) = text {
                write!(f, "\n  {label}: {}", without_credentials(text))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}
