//! The name of a suite in an archive: a folder below `dists`, or a flat archive (sources.list(5)).

use super::debs::is_safe_path;
use std::{fmt, str::FromStr};

/// What to do with an archive whose `Valid-Until` is in the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// It is an error: the mirror may hold back security updates.
    #[default]
    Refuse,
    /// Use it: the recipe asks for an old archive, such as a snapshot. Signatures and keys are checked as always.
    Accept,
}

/// The name of a suite, as APT's sources have it: `trixie`, `bookworm/updates`, or a path that ends in a slash for an archive without
/// `dists` and components.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteName(String);

/// A text that is not the name of a suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of the suite is not valid")]
pub struct BadSuite;

impl FromStr for SuiteName {
    type Err = BadSuite;

    fn from_str(text: &str) -> Result<Self, BadSuite> {
        let path = text.strip_suffix('/').map_or(text, |path| path.trim_start_matches("./").trim_end_matches("./"));
        let is_root = text == "./" || text == "/";
        if is_root || is_safe_path(path) { Ok(Self(text.to_owned())) } else { Err(BadSuite) }
    }
}

impl SuiteName {
    /// Whether the archive is flat: it has neither `dists` nor components.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.0.ends_with('/')
    }

    /// The path of a file of the suite, below the address of the archive.
    #[must_use]
    pub fn path(&self, file: &str) -> String {
        match self.0.strip_suffix('/') {
            None => format!("dists/{}/{file}", self.0),
            Some("" | ".") => file.to_owned(),
            Some(folder) => format!("{}/{file}", folder.trim_start_matches("./")),
        }
    }

    /// The index of a component and an architecture, below the suite, without the extension of its compression.
    #[must_use]
    pub fn index(&self, component: &str, arch: &str) -> String {
        if self.is_flat() { "Packages".to_owned() } else { format!("{component}/binary-{arch}/Packages") }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SuiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_a_folder_below_dists_or_a_flat_archive() {
        for (name, release) in [
            ("trixie", "dists/trixie/InRelease"),
            ("buster/updates", "dists/buster/updates/InRelease"),
            ("./", "InRelease"),
            ("/", "InRelease"),
            ("apt/stable/", "apt/stable/InRelease"),
            ("./apt/", "apt/InRelease"),
        ] {
            let suite: SuiteName = name.parse().unwrap();
            assert_eq!(suite.path("InRelease"), release);
            assert_eq!(suite.is_flat(), name.ends_with('/'));
        }
        for bad in ["", ".", "..", "../", "/etc", "a/../b", "a b", "a//"] {
            assert_eq!(bad.parse::<SuiteName>(), Err(BadSuite), "{bad:?}");
        }
    }
}
