//! Pins: versions and suites that a recipe requires for a package.

use crate::{
    recipe::{self, Diagnostic, Located, Place},
    source::debian::{relation::Operator, version::Version},
};
use std::{fmt, str::FromStr};

/// A pin: restricts a package to some versions, to one suite, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Name of the package.
    pub name: String,
    /// The allowed versions. `None`: all.
    pub version: Option<VersionRule>,
    /// The allowed suite. `None`: all.
    pub suite: Option<String>,
    /// Where the recipe has the pin.
    pub place: Place,
}

/// The allowed versions: `=26.1.5+dfsg1-9`, `=26.1*` (versions that start with `26.1`), `>= 26`, `<< 27`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRule(String);

/// An invalid rule for versions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {WANTED}, found {found:?}")]
pub struct BadVersionRule {
    /// The text of the rule.
    pub found: String,
}

const WANTED: &str = "a version with one of = >= <= >> << before it, like \"=26.1*\" or \">= 26\"";

impl Pin {
    /// Makes the pin of package `name` from a recipe.
    ///
    /// # Errors
    /// The rule for versions is invalid; the error shows its place.
    pub fn new(name: &str, pin: &Located<recipe::Pin>) -> Result<Self, Diagnostic> {
        let recipe::Pin { version, suite } = &pin.value;
        let version = version.as_ref().map(|text| {
            let bad = |bad: BadVersionRule| {
                Diagnostic::new(&pin.place, "version is not valid").wanted(WANTED).found(format!("{:?}", bad.found))
            };
            text.parse().map_err(bad)
        });
        Ok(Self {
            name: name.to_owned(),
            version: version.transpose()?,
            suite: suite.clone(),
            place: pin.place.clone(),
        })
    }

    /// Whether the pin allows a version from a suite.
    #[must_use]
    pub fn allows(&self, version: Version<'_>, suite: &str) -> bool {
        self.version.as_ref().is_none_or(|rule| rule.allows(version)) && self.suite.as_ref().is_none_or(|s| s == suite)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.version, &self.suite) {
            (Some(version), Some(suite)) => write!(f, "{version} from {suite}"),
            (Some(version), None) => version.fmt(f),
            (None, suite) => write!(f, "from {}", suite.as_deref().unwrap_or("any suite")),
        }
    }
}

impl VersionRule {
    fn parts(&self) -> Option<(Operator, &str)> {
        let split = self.0.find(|c| !"<>=".contains(c))?;
        let (operator, version) = (Operator::parse(&self.0[..split])?, self.0[split..].trim_start());
        let (stem, starred) = version.strip_suffix('*').map_or((version, false), |stem| (stem, true));
        // Debian Policy 5.6.12.
        let good = !stem.is_empty() && stem.bytes().all(|c| c.is_ascii_alphanumeric() || b".+-~:".contains(&c));
        (good && (!starred || operator == Operator::Equal)).then_some((operator, version))
    }

    /// Whether a version is allowed.
    #[must_use]
    pub fn allows(&self, found: Version<'_>) -> bool {
        match self.parts() {
            Some((_, version)) if version.ends_with('*') => found.0.starts_with(version.trim_end_matches('*')),
            Some((operator, version)) => operator.holds(found, Version(version)),
            None => false,
        }
    }
}

impl FromStr for VersionRule {
    type Err = BadVersionRule;

    fn from_str(text: &str) -> Result<Self, BadVersionRule> {
        let rule = Self(text.trim().to_owned());
        match rule.parts() {
            Some(_) => Ok(rule),
            None => Err(BadVersionRule { found: text.to_owned() }),
        }
    }
}

impl fmt::Display for VersionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_rules_allow_matching_versions_only() {
        for (rule, allowed, other) in [
            ("=26.1.5", "26.1.5", "26.1.50"),
            ("= 26.1*", "26.1.5-9", "26.2"),
            (">= 26", "1:0", "26~rc1"),
            ("<= 26", "26", "26+b1"),
            ("<<27", "26.9", "27"),
            (">> 1.0", "1.0+b1", "1.00"),
        ] {
            let rule: VersionRule = rule.parse().unwrap();
            assert!(rule.allows(Version(allowed)) && !rule.allows(Version(other)), "{rule}");
        }
        for bad in ["", "26", "=", "==1", "=*", ">=1*", "= 1 2", "=1**", "~1", "=1,2", "=1_2"] {
            assert!(bad.parse::<VersionRule>().is_err(), "{bad}");
        }
    }
}
