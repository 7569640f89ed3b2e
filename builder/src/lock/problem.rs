//! Errors of the resolver.

use crate::source::debian::relation::parse;

/// Why packages cannot be installed. A chain is a list of package names: it starts with a package that the recipe requests,
/// and each package depends on the next one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The recipe requests a package that does not exist.
    #[error("package {name}: not found in {suites}")]
    Unknown {
        /// The package.
        name: String,
        /// The suites that were searched.
        suites: String,
        /// Known names with a similar spelling.
        nearest: Vec<String>,
    },
    /// The recipe requests a version that does not exist.
    #[error("package {name}: expected a version {wanted}, found {}", found.join(", "))]
    NoVersion {
        /// The package.
        name: String,
        /// The rule of the pin.
        wanted: String,
        /// The existing versions, each with its suite.
        found: Vec<String>,
    },
    /// The recipe requests a virtual package that several packages provide.
    #[error("package {name} is virtual: expected one of its providers, {}", providers.join(", "))]
    Virtual {
        /// The virtual package.
        name: String,
        /// The packages that provide it.
        providers: Vec<String>,
    },
    /// No package satisfies a dependency.
    #[error("{} → {relation}: {reason}", chain.join(" → "))]
    Unsatisfiable {
        /// The chain to the package with this dependency.
        chain: Vec<String>,
        /// The dependency.
        relation: String,
        /// Why no package satisfies it.
        reason: String,
        /// If the named package does not exist: known names with a similar spelling.
        nearest: Vec<String>,
        /// A package and its suite that would satisfy the dependency if pins and priorities allowed them.
        elsewhere: Option<Box<(String, String)>>,
    },
    /// Two packages conflict.
    #[error("{} and {} conflict: {} {field}: {relation}", one.join(" → "), other.join(" → "), one.last().map_or("", String::as_str))]
    Conflict {
        /// The chain to the package that declares the conflict.
        one: Vec<String>,
        /// The chain to the other package.
        other: Vec<String>,
        /// `Conflicts` or `Breaks`.
        field: &'static str,
        /// The relation.
        relation: String,
    },
    /// A relation in an index is invalid.
    #[error("package {package}: {field}: expected relations like `name (>= 1.0)`, found {found:?}")]
    Relation {
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
        /// The text of the relation.
        found: String,
    },
}

impl Problem {
    /// A hint: the next step for the user, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { nearest, .. } | Self::Unsatisfiable { nearest, .. } if !nearest.is_empty() => {
                Some(format!("did you mean {}?", nearest.join(" or ")))
            }
            Self::Unknown { .. } => {
                Some("name the suite that has it in `archives` of the recipe's [debian]".to_owned())
            }
            Self::Unsatisfiable { elsewhere: Some(found), .. } => {
                let (name, suite) = &**found;
                Some(format!("to take it from there, add `{name:?} = {{ suite = {suite:?} }}` to [debian.versions]"))
            }
            Self::Unsatisfiable { relation, .. } => {
                let name = relation.split([' ', ':']).next().unwrap_or_default();
                Some(format!("if the image does not need it, add {name:?} to `provided` of the recipe's [debian]"))
            }
            Self::Conflict { .. } => Some("request only one of them".to_owned()),
            Self::Virtual { .. } => Some("request one of these providers".to_owned()),
            Self::NoVersion { .. } => Some("request one of the versions found".to_owned()),
            Self::Relation { .. } => Some(
                "the error is in the archive: do not use the package, or report it to the archive's maintainers"
                    .to_owned(),
            ),
        }
    }

    /// Whether another archive might solve the problem.
    pub(super) fn lacks_package(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::NoVersion { .. } | Self::Unsatisfiable { .. })
    }

    /// Whether the package `name` could solve the problem.
    pub(super) fn lacks(&self, name: &str) -> bool {
        match self {
            Self::Unknown { name: lacking, .. } | Self::NoVersion { name: lacking, .. } => lacking == name,
            Self::Unsatisfiable { relation, .. } => {
                parse(relation).unwrap_or_default().iter().flatten().any(|relation| relation.name == name)
            }
            _ => false,
        }
    }

    /// The requested package at the start of the chain.
    pub(super) fn culprit(&self) -> Option<&str> {
        match self {
            Self::Unknown { name, .. } | Self::NoVersion { name, .. } | Self::Virtual { name, .. } => Some(name),
            Self::Unsatisfiable { chain, .. } | Self::Conflict { one: chain, .. } => chain.first().map(String::as_str),
            Self::Relation { .. } => None,
        }
    }
}
