//! What a lock is made from.

use crate::{
    recipe::Arch,
    source::debian::{mirrors::Mirrors, relation::Operator, version::Version},
};
use berth_contract::digest::Sha256;
use sha2::Digest as _;
use std::{collections::BTreeSet, fmt, path::PathBuf, str::FromStr};

/// Everything that locking takes from a recipe and the command line.
#[derive(Clone, Debug)]
pub struct LockInput {
    /// The suite, e.g. `trixie`.
    pub suite: String,
    /// Further suites, e.g. `trixie-security`; of two versions the later one is taken, wherever it comes from.
    pub archives: Vec<String>,
    /// Components, e.g. `main`.
    pub components: Vec<String>,
    /// Architecture of the image.
    pub arch: Arch,
    /// The packages that are asked for, kernel and boot loader among them.
    pub packages: Vec<Wish>,
    /// Packages (or virtual ones) that are taken as installed, in whatever version is needed.
    pub provided: Vec<String>,
    /// Where the suites come from. No part of the digest: any mirror will do.
    pub mirrors: Mirrors,
    /// Keyring file. No part of the digest either.
    pub keyring: PathBuf,
}

/// A package that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wish {
    /// Its name; a virtual package with a single provider will do.
    pub name: String,
    /// The versions that it may have.
    pub version: Option<VersionRule>,
}

/// Which versions: `=26.1.5+dfsg1-9`, `=26.1*` (a beginning), `>= 26`, `<< 27`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionRule(String);

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a version with one of = >= <= >> << before it, like \"=26.1*\" or \">= 26\", found {found:?}")]
pub struct BadVersionRule {
    /// The text as given.
    pub found: String,
}

impl Wish {
    /// Any version of a package.
    #[must_use]
    pub fn any(name: &str) -> Self {
        Self { name: name.to_owned(), version: None }
    }
}

impl VersionRule {
    fn parts(&self) -> Option<(Operator, &str)> {
        let split = self.0.find(|c| !"<>=".contains(c))?;
        let (operator, version) = (Operator::parse(&self.0[..split])?, self.0[split..].trim_start());
        let (stem, starred) = version.strip_suffix('*').map_or((version, false), |stem| (stem, true));
        let good = !stem.is_empty() && stem.bytes().all(|c| c.is_ascii_graphic() && c != b'*');
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

impl LockInput {
    /// All suites, each once, in order.
    pub(super) fn suites(&self) -> Vec<&str> {
        let mut suites: Vec<&str> = Vec::new();
        for suite in std::iter::once(&self.suite).chain(&self.archives) {
            if !suites.contains(&suite.as_str()) {
                suites.push(suite);
            }
        }
        suites
    }

    /// Digest of all that a lock depends on. A lock with another one is older than its recipe. The order of packages and
    /// of provided names does not matter, nor do repetitions, mirrors and the keyring.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        let mut hash = sha2::Sha256::new();
        let mut add = |kind: &str, values: &mut dyn Iterator<Item = String>| {
            for value in values {
                // No name or version holds a newline.
                hash.update(format!("{kind} {value}\n"));
            }
        };
        add("arch", &mut [format!("{:?}", self.arch)].into_iter());
        add("suite", &mut self.suites().into_iter().map(String::from));
        add("component", &mut self.components.iter().cloned());
        let wish = |wish: &Wish| match &wish.version {
            Some(version) => format!("{} {version}", wish.name),
            None => wish.name.clone(),
        };
        add("package", &mut self.packages.iter().map(wish).collect::<BTreeSet<_>>().into_iter());
        add("provided", &mut self.provided.iter().cloned().collect::<BTreeSet<_>>().into_iter());
        Sha256(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_allow_what_they_say() {
        for (rule, allowed, other) in [
            ("=26.1.5", "26.1.5", "26.1.50"),
            ("= 26.1*", "26.1.5-9", "26.2"),
            (">= 26", "1:0", "26~rc1"),
            ("<<27", "26.9", "27"),
            (">> 1.0", "1.0+b1", "1.00"),
        ] {
            let rule: VersionRule = rule.parse().unwrap();
            assert!(rule.allows(Version(allowed)) && !rule.allows(Version(other)), "{rule}");
        }
        for bad in ["", "26", "=", "==1", "=*", ">=1*", "= 1 2", "=1**", "~1"] {
            assert!(bad.parse::<VersionRule>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_digest_changes_with_everything_that_matters_and_nothing_else() {
        let input = LockInput {
            suite: "trixie".into(),
            archives: vec!["trixie-security".into()],
            components: vec!["main".into()],
            arch: Arch::X86_64,
            packages: vec![Wish::any("b"), Wish::any("a")],
            provided: vec!["d".into(), "c".into()],
            mirrors: Mirrors::Given(vec![]),
            keyring: "/k".into(),
        };
        let same = LockInput {
            packages: vec![Wish::any("a"), Wish::any("b"), Wish::any("a")],
            provided: vec!["c".into(), "d".into()],
            archives: vec!["trixie-security".into(), "trixie".into()],
            keyring: "/other".into(),
            ..input.clone()
        };
        assert_eq!(input.digest(), same.digest());
        let pinned = Wish { version: Some("=1".parse().unwrap()), ..Wish::any("a") };
        let others = [
            LockInput { suite: "forky".into(), ..input.clone() },
            LockInput { archives: vec![], ..input.clone() },
            LockInput { components: vec!["contrib".into()], ..input.clone() },
            LockInput { packages: vec![Wish::any("a")], ..input.clone() },
            LockInput { packages: vec![Wish::any("b"), pinned], ..input.clone() },
            LockInput { provided: vec!["c".into()], ..input.clone() },
        ];
        assert_eq!(others.iter().chain([&input]).map(LockInput::digest).collect::<BTreeSet<_>>().len(), 7);
    }
}
