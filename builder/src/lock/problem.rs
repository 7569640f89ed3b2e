//! Why packages do not go together.

/// Why packages cannot be installed together. Chains begin with a package that the recipe asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The recipe asks for something that does not exist.
    #[error("package {name}: not found in {suites}")]
    Unknown {
        /// Its name.
        name: String,
        /// Where it was looked for.
        suites: String,
        /// Names like it.
        nearest: Vec<String>,
    },
    /// The recipe asks for a version that does not exist.
    #[error("package {name}: expected a version {wanted}, found {}", found.join(", "))]
    NoVersion {
        /// Its name.
        name: String,
        /// The rule.
        wanted: String,
        /// The versions that there are, each with its suite.
        found: Vec<String>,
    },
    /// The recipe asks for a virtual package that several packages provide.
    #[error("package {name} is virtual: expected one of its providers, {}", providers.join(", "))]
    Virtual {
        /// Its name.
        name: String,
        /// The packages that provide it.
        providers: Vec<String>,
    },
    /// A dependency that nothing satisfies.
    #[error("{} → {relation}: {reason}", chain.join(" → "))]
    Unsatisfiable {
        /// The packages from the recipe's one to the last, each of which asks for the next.
        chain: Vec<String>,
        /// What the last one depends on.
        relation: String,
        /// Why there is none.
        reason: String,
        /// Names like it, if it does not exist.
        nearest: Vec<String>,
        /// A package and its suite that would satisfy it, if pins and priorities allowed it.
        elsewhere: Option<Box<(String, String)>>,
    },
    /// Two packages that exclude each other.
    #[error("{} and {} exclude each other: {} {field}: {relation}", one.join(" → "), other.join(" → "), one.last().map_or("", String::as_str))]
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
    /// A relation that cannot be read.
    #[error("package {package}: {field}: expected relations like `name (>= 1.0)`, found {found:?}")]
    Relation {
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
        /// The relation as given.
        found: String,
    },
}

impl Problem {
    /// What to do about it, where that is known.
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
            Self::Conflict { .. } => Some("ask for only one of them".to_owned()),
            Self::Virtual { .. } => Some("ask for one of them".to_owned()),
            Self::NoVersion { .. } => Some("ask for one of the versions that there are".to_owned()),
            Self::Relation { .. } => Some("the archive itself says so: leave the package out".to_owned()),
        }
    }

    /// The package of the recipe at the begin of the chain.
    pub(super) fn culprit(&self) -> Option<&str> {
        match self {
            Self::Unknown { name, .. } | Self::NoVersion { name, .. } | Self::Virtual { name, .. } => Some(name),
            Self::Unsatisfiable { chain, .. } | Self::Conflict { one: chain, .. } => chain.first().map(String::as_str),
            Self::Relation { .. } => None,
        }
    }
}
