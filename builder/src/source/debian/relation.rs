//! Parses relations between packages, as in Depends: `docker-cli | docker-ce-cli, libc6 (>= 2.38), perl:any`.

use super::version::Version;
use std::{cmp::Ordering, fmt};

/// Comparison between versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

/// The name of a package, optionally with a restriction on its version.
#[derive(Clone, Copy, Debug)]
pub struct Relation<'a> {
    /// The package, real or virtual.
    pub name: &'a str,
    /// The text after the colon: `any`, `native` or an architecture.
    pub qualifier: Option<&'a str>,
    /// The versions that satisfy the relation. `None`: every version does.
    pub version: Option<(Operator, Version<'a>)>,
}

/// Alternatives, preferred first. One of them is enough.
pub type Group<'a> = Vec<Relation<'a>>;

/// A relation that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a relation like `name (>= 1.0)`, found {found:?}")]
pub struct BadRelation {
    /// The text of the relation.
    pub found: String,
}

impl Operator {
    /// Parses an operator in Debian's syntax.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "<<" => Self::Earlier,
            // Debian Policy 7.1: the deprecated < and > mean <= and >=.
            "<=" | "<" => Self::EarlierOrEqual,
            "=" => Self::Equal,
            ">=" | ">" => Self::LaterOrEqual,
            ">>" => Self::Later,
            _ => return None,
        })
    }

    /// Compares `found`, the left side, with `wanted`, the right side.
    #[must_use]
    pub fn holds(self, found: Version<'_>, wanted: Version<'_>) -> bool {
        let order = found.cmp(&wanted);
        match self {
            Self::Earlier => order == Ordering::Less,
            Self::EarlierOrEqual => order != Ordering::Greater,
            Self::Equal => order == Ordering::Equal,
            Self::LaterOrEqual => order != Ordering::Less,
            Self::Later => order == Ordering::Greater,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        })
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        match self.version {
            Some((operator, version)) => write!(f, " ({operator} {})", version.0),
            None => Ok(()),
        }
    }
}

/// Parses the value of `Depends`, `Conflicts`, `Provides` and similar fields into groups of alternatives.
///
/// # Errors
/// [`BadRelation`] for the first relation that is invalid.
pub fn parse(text: &str) -> Result<Vec<Group<'_>>, BadRelation> {
    let groups = text.split(',').map(str::trim).filter(|group| !group.is_empty());
    groups.map(|group| group.split('|').map(parse_one).collect()).collect()
}

fn parse_one(text: &str) -> Result<Relation<'_>, BadRelation> {
    let bad = || BadRelation { found: text.trim().to_owned() };
    let (name, version) = match text.split_once('(') {
        None => (text, None),
        Some((name, rest)) => {
            let inner = rest.trim_end().strip_suffix(')').ok_or_else(bad)?.trim();
            let split = inner.find(|c| !"<>=".contains(c)).ok_or_else(bad)?;
            let operator = Operator::parse(&inner[..split]).ok_or_else(bad)?;
            (name, Some((operator, Version(inner[split..].trim()))))
        }
    };
    let name = name.trim();
    let (name, qualifier) = name.split_once(':').map_or((name, None), |(name, q)| (name, Some(q)));
    if !is_name(name) || qualifier == Some("") {
        return Err(bad());
    }
    Ok(Relation { name, qualifier, version })
}

/// Whether `text` is a package name as in Debian Policy 5.6.7. Also accepts capital letters, underscores and names of one
/// letter, which occur in practice.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let good = |c: u8| c.is_ascii_alphanumeric() || b"+-._".contains(&c);
    text.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric()) && text.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_parsed_and_printed_in_normal_form() {
        let text = "docker-cli | docker-ce-cli, libc6 (>= 2.38),perl:any ( <<5.42~ ) , g++ (=1),,\n x (> 2)";
        let shown: Vec<Vec<String>> =
            parse(text).unwrap().iter().map(|group| group.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(
            shown,
            [
                vec!["docker-cli", "docker-ce-cli"],
                vec!["libc6 (>= 2.38)"],
                vec!["perl:any (<< 5.42~)"],
                vec!["g++ (= 1)"],
                vec!["x (>= 2)"]
            ]
        );
        for bad in ["a (>= 1", "a (1)", "a (=> 1)", "a (>=)", "a b", "a [amd64]", "a <!nocheck>", "a |", ":any", "../x"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn operators_compare_as_dpkg_does() {
        berth_judge::needs!("dpkg");
        for (operator, wanted) in [("<<", "lt"), ("<=", "le"), ("=", "eq"), (">=", "ge"), (">>", "gt")] {
            for found in ["1.0~", "1.0", "1.1"] {
                let mut dpkg = std::process::Command::new("dpkg");
                let judge = dpkg.args(["--compare-versions", found, wanted, "1.0"]).status().expect("run ci/setup");
                let ours = Operator::parse(operator).unwrap().holds(Version(found), Version("1.0"));
                assert_eq!(ours, judge.success(), "{found} {operator} 1.0");
            }
        }
    }
}
