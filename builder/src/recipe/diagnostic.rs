//! What is wrong with a recipe: place, wanted, found, and what to do about it.

use super::place::{Place, Source};
use std::{fmt, sync::Arc};

/// A fault of a recipe. Its text is one or more lines: the place and what is wrong, the line of the recipe with the fault
/// underlined, what was wanted and found, and at the end, where something is to be done, a line that starts with `hint: `.
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
    /// A fault at `place`.
    #[must_use]
    pub fn new(place: &Place, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Parts { place: place.clone(), message, wanted: None, found: None, hint: None }))
    }

    /// Says what would have been right.
    #[must_use]
    pub fn wanted(mut self, wanted: impl Into<String>) -> Self {
        self.0.wanted = Some(wanted.into());
        self
    }

    /// Says what is there instead.
    #[must_use]
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.0.found = Some(found.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Proposes the nearest of `names`, if one is near.
    #[must_use]
    pub fn nearest<'a>(self, name: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(name, names) {
            Some(near) => self.hint(format!("did you mean {near:?}?")),
            None => self,
        }
    }

    /// Whether it says what to do.
    #[must_use]
    pub fn has_hint(&self) -> bool {
        self.0.hint.is_some()
    }

    /// Where the fault is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// What the TOML reader or serde found. Their sentences have the form `A, expected B` or `expected B, found A`.
    pub(super) fn from_toml(
        source: &Arc<Source>,
        error: &toml::de::Error,
        elsewhere: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let place = Place::new(source, error.span().unwrap_or(0..0));
        let text = error.message();
        if let Some((key, rest)) = quoted(text, "unknown field ") {
            let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
            let fault = Self::new(&place, format!("unknown key `{key}`")).wanted(known.join(", "));
            return match (nearest(key, known.iter().copied()), elsewhere(key)) {
                (Some(near), _) => fault.hint(format!("did you mean `{near}`?")),
                (None, Some(table)) => fault.hint(format!("`{key}` is a key of {table}")),
                // The value of [debian.versions] NAME; a key in it that is like none of its own is the rest of a name.
                (None, None) if known == ["version", "suite"] => fault.hint(DOTS),
                (None, None) => fault,
            };
        }
        if let Some((key, _)) = quoted(text, "missing field ") {
            return Self::new(&place, format!("key `{key}` is missing"));
        }
        for kind in ["invalid type", "invalid value", "invalid length"] {
            if let Some((found, wanted)) =
                text.strip_prefix(kind).and_then(|rest| rest.strip_prefix(": ")?.rsplit_once(", expected "))
            {
                let kind = if kind == "invalid type" { "wrong type" } else { kind };
                // serde's words for what TOML has other words for.
                let found = match found {
                    "map" => "a table",
                    "sequence" => "a list",
                    other => other,
                };
                let wanted = if wanted == "i64" { "a whole number" } else { wanted };
                let fault = Self::new(&place, kind).wanted(wanted).found(found);
                return match (found, wanted) {
                    ("a table", "a string") => fault.hint(DOTS),
                    (_, "a string") if place.text().chars().all(|c| c.is_ascii_alphanumeric() || c == '.') => {
                        fault.hint(format!("write \"{}\"", place.text().trim_start_matches("0o")))
                    }
                    (text, "a list, or a table with the lists `add` and `remove`") if text.starts_with("string ") => {
                        fault.hint(format!("write [{}]", place.text()))
                    }
                    _ => fault,
                };
            }
        }
        if let Some((found, wanted)) = quoted(text, "unknown variant ") {
            let known: Vec<&str> = wanted.split('`').skip(1).step_by(2).collect();
            return Self::new(&place, "unknown value")
                .wanted(known.join(", "))
                .found(format!("{found:?}"))
                .nearest(found, known.iter().copied());
        }
        if let Some(rest) = text.strip_prefix("expected ") {
            let (wanted, found) = rest.rsplit_once(", found ").unwrap_or((rest, place.text()));
            return Self::new(&place, "value cannot be read").wanted(wanted).found(found);
        }
        match text.split_once(", expected ") {
            Some((message, wanted)) => Self::new(&place, message).wanted(wanted),
            None => Self::new(&place, text),
        }
    }
}

const DOTS: &str = "a dot makes tables: write a name with a dot in quotes";

/// ``prefix`name`rest`` taken apart.
fn quoted<'a>(text: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(prefix)?.strip_prefix('`')?.split_once('`')
}

/// The name that a typing error would have come from: at most a third of the letters differ.
#[must_use]
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).max(1);
    names
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= most && !known.is_empty())
        .min()
        .map(|(_, known)| known)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { place, message, wanted, found, hint } = &*self.0;
        write!(f, "{place}: {message}\n{}", place.excerpt())?;
        for (label, text) in [("  wanted: ", wanted), ("  found: ", found), ("hint: ", hint)] {
            if let Some(text) = text {
                write!(f, "\n{label}{text}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_one_typing_error_away() {
        let names = ["packages", "provided", "drop", "suite"];
        assert_eq!(nearest("packges", names), Some("packages"));
        assert_eq!(nearest("siute", names), Some("suite"));
        assert_eq!(nearest("drops", names), Some("drop"));
        assert_eq!(nearest("kernel", names), None);
    }
}
