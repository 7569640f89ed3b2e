//! Errors of making a root tree.

use super::scripts::Uncovered;
use crate::{recipe::Diagnostic, source::oci::OciError, tree::TreeError};
use berth_formats::{deb::DebError, kmod::KmodError, ldcache::LdCacheError};
use std::{fmt, io, path::PathBuf};

/// The root tree could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// A file of the cache cannot be used.
    #[error("cannot {action} {}", path.display())]
    Cache { action: &'static str, path: PathBuf, source: io::Error },
    /// A package cannot be unpacked.
    #[error("package {package}")]
    Deb { package: String, source: DebError },
    /// A kernel module cannot be unpacked or indexed. `origin` is the package or overlay that ships it.
    #[error("{origin}: /{path}")]
    Module { origin: String, path: String, source: KmodError },
    /// A file of the image cannot be read. `path` is its path in the image.
    #[error("{origin}: cannot read {path}")]
    Content { origin: String, path: String, source: io::Error },
    /// A node cannot be put into the tree.
    #[error("{0}")]
    Tree(TreeError),
    /// Maintainer scripts are not covered. Never empty.
    #[error("{}", scripts_text(.0))]
    Scripts(Vec<UncoveredScript>),
    /// A change of a maintainer script cannot be made.
    #[error("package {package}: its scripts do `{change}`: {reason}")]
    Change { package: String, change: String, reason: String },
    /// Diversions of two packages contradict each other. dpkg-divert(1) refuses the second one.
    #[error(transparent)]
    Diversion(Box<DiversionClash>),
    /// A file below /var or /run has file capabilities.
    #[error("{path} of {origin}: has file capabilities, which a file below /var or /run would lose at boot")]
    CapabilitiesAtBoot { path: String, origin: String },
    /// A line of sysusers.d or tmpfiles.d cannot be applied.
    #[error("{place}:{line}: {text:?}: {reason}")]
    Declaration {
        /// The file in the image, or `package NAME` if the line replaces a maintainer script of that package.
        place: String,
        line: usize,
        text: String,
        reason: String,
    },
    /// Several lines of tmpfiles.d cannot be applied.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Declarations(Vec<Self>),
    /// A part that every image needs is missing, or is there more than once.
    #[error("{what}: {found}")]
    Part { what: &'static str, found: String, hint: &'static str },
    /// The image does not match the recipe.
    #[error(transparent)]
    Recipe(#[from] Diagnostic),
    /// A preloaded image cannot be used.
    #[error(transparent)]
    Image(#[from] OciError),
    /// The cache of the dynamic loader cannot be written.
    #[error("/etc/ld.so.cache")]
    LoaderCache(#[from] LdCacheError),
}

/// Two diversions that contradict each other.
#[derive(Debug, thiserror::Error)]
#[error("package {package}: its scripts divert {from} to {to}, but package {other} diverts {other_from} to {other_to}")]
pub struct DiversionClash {
    pub package: String,
    pub from: String,
    pub to: String,
    pub other: String,
    pub other_from: String,
    pub other_to: String,
}

impl AssembleError {
    /// The error of a kernel module that cannot be unpacked.
    pub(super) fn module(origin: &str, path: &str) -> impl FnOnce(KmodError) -> Self {
        let (origin, path) = (origin.to_owned(), path.to_owned());
        move |source| Self::Module { origin, path, source }
    }

    /// A hint: the next step for the user, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Deb { source, .. } if is_too_large(source) => LIFT.to_owned(),
            Self::Module { source: KmodError::TooLarge { .. }, .. } => LIFT.to_owned(),
            Self::Deb { package, .. } => {
                format!(
                    "the archive serves {package} exactly like this: leave the package out of the recipe, or report this to its \
                     maintainer"
                )
            }
            Self::Module { .. } => {
                "leave the module out (debian.drop), or report this to the maintainer of its package".to_owned()
            }
            Self::Declaration { .. } | Self::Declarations(_) => {
                "correct the line; if a package ships the file, put a corrected file of the same name into an overlay"
                    .to_owned()
            }
            Self::Change { .. } => {
                "provide the file or account in an overlay (an account as a line of sysusers.d)".to_owned()
            }
            Self::Diversion(clash) => {
                format!("only one of the two can be in the image: leave {} or {} out", clash.package, clash.other)
            }
            Self::CapabilitiesAtBoot { .. } => {
                "put a file with capabilities below /usr, or leave it out (debian.drop)".to_owned()
            }
            Self::LoaderCache(_) => "leave the library out (debian.drop)".to_owned(),
            Self::Tree(error) => tree_hint(error).to_owned(),
            Self::Scripts(scripts) => scripts_hint(scripts),
            Self::Part { hint, .. } => (*hint).to_owned(),
            Self::Recipe(fault) => fault.hint()?.to_owned(),
            Self::Image(error) => return error.hint(),
            Self::Cache { .. } | Self::Content { .. } => return None,
        })
    }
}

const LIFT: &str = "if this size is right, allow it in the recipe: unpack_limit = \"4GiB\" in [debian]; what debian.drop leaves out of the \
     kernel's modules is not unpacked";

fn is_too_large(error: &DebError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(this) = cause {
        // A reader wraps its error in an I/O error. `source` of the I/O error skips the wrapped error, `get_ref` does not.
        let inner = this.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let deb = this.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
        if matches!(deb, Some(DebError::TooLarge { .. })) {
            return true;
        }
        cause = this.source();
    }
    false
}

/// Not `#[from]`: `Display` already prints the whole tree error, so it must not appear a second time as the cause.
impl From<TreeError> for AssembleError {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}

/// A maintainer script that is not covered.
#[derive(Clone, Debug)]
pub struct UncoveredScript {
    pub package: String,
    pub version: String,
    pub uncovered: Uncovered,
}

/// An error shows at most this many lines of a script.
const SHOWN: usize = 12;

impl fmt::Display for UncoveredScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Uncovered { script, changed, digest, .. } = &self.uncovered;
        let why = if *changed { "it has changed since it was reviewed" } else { "nobody has reviewed it" };
        write!(f, "package {} {}: {script} is not covered: {why}", self.package, self.version)?;
        self.lines(f)?;
        if !digest.is_empty() {
            write!(f, "\n  (digest of these lines: {})", &digest[..digest.len().min(16)])?;
        }
        Ok(())
    }
}

impl UncoveredScript {
    /// A warning for a script that the recipe ignores.
    pub(super) fn lost(&self) -> String {
        struct Lines<'a>(&'a UncoveredScript);
        impl fmt::Display for Lines<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.lines(f)
            }
        }
        let (package, version, script) = (&self.package, &self.version, self.uncovered.script);
        format!("these lines of the {script} of {package} {version} have no effect in the image:{}", Lines(self))
    }

    fn lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = &self.uncovered.lines;
        for (number, text) in lines.iter().take(SHOWN) {
            write!(f, "\n  {number:>4} | {}", text.lines().next().unwrap_or_default())?;
        }
        if lines.len() > SHOWN {
            write!(f, "\n       | and {} more lines", lines.len() - SHOWN)?;
        }
        Ok(())
    }
}

fn scripts_text(scripts: &[UncoveredScript]) -> String {
    scripts.iter().map(UncoveredScript::to_string).collect::<Vec<_>>().join("\n")
}

/// One hint for all scripts, with one line of the recipe for each package.
fn scripts_hint(scripts: &[UncoveredScript]) -> String {
    let mut rules: Vec<String> = Vec::new();
    for UncoveredScript { package, .. } in scripts {
        // TOML requires quotes around a key with a dot or a plus sign.
        let quote = if package.contains(['.', '+']) { "\"" } else { "" };
        let rule = format!("{quote}{package}{quote} = \"ignore\"");
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    let rules = match &rules[..] {
        [rule] => format!(" {rule}"),
        rules => format!("\n  {}", rules.join("\n  ")),
    };
    format!(
        "berth never runs maintainer scripts: if the image needs what these lines do, provide it in an overlay; then add to \
         [scripts] in the recipe:{rules}"
    )
}

fn tree_hint(error: &TreeError) -> &'static str {
    match error {
        TreeError::Both { .. } | TreeError::Kinds { .. } | TreeError::Parent { .. } => {
            "only one package or overlay can ship this path: leave one of the two out"
        }
        TreeError::Path { .. } | TreeError::LinkLeaves { .. } | TreeError::HardLink { .. } => {
            "leave the package out of the recipe, or remove the file from the overlay"
        }
        TreeError::Leaves { .. } | TreeError::Loop { .. } => "change the symbolic links in this path",
    }
}
