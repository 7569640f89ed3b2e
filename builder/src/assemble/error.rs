//! What keeps a root tree from being made.

use super::scripts::Uncovered;
use crate::{recipe::Diagnostic, source::oci::OciError, tree::TreeError};
use berth_formats::{deb::DebError, kmod::KmodError, ldcache::LdCacheError};
use std::{fmt, io, path::PathBuf};

/// Why there is no root tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// A file of the cache cannot be used.
    #[error("cannot {action} {}", path.display())]
    Cache {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A package is not what it should be.
    #[error("package {package}")]
    Deb {
        /// Its name.
        package: String,
        /// What is wrong.
        source: DebError,
    },
    /// A kernel module is not what it should be.
    #[error("{origin}: /{path}")]
    Module {
        /// Whose it is.
        origin: String,
        /// Where it is.
        path: String,
        /// What is wrong.
        source: KmodError,
    },
    /// Something of the image cannot be read.
    #[error("{origin}: cannot read {path}")]
    Content {
        /// Whose it is.
        origin: String,
        /// Path in the image.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Two files of one path, or a path that cannot be.
    #[error("{0}")]
    Tree(TreeError),
    /// A maintainer script that is not covered.
    #[error("{0}")]
    Script(Box<UncoveredScript>),
    /// A line of sysusers.d or tmpfiles.d that cannot be obeyed.
    #[error("{place}:{line}: {text:?}: {reason}")]
    Declaration {
        /// The file in the image, or the package whose script it stands for.
        place: String,
        /// Number of the line.
        line: usize,
        /// The line.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that every image has is missing, or is there more than once.
    #[error("{what}: {found}")]
    Part {
        /// What is wanted.
        what: &'static str,
        /// What is there.
        found: String,
        /// What to do.
        hint: &'static str,
    },
    /// Something that the recipe names.
    #[error(transparent)]
    Recipe(#[from] Diagnostic),
    /// A preloaded image.
    #[error(transparent)]
    Image(#[from] OciError),
    /// The loader's cache.
    #[error("/etc/ld.so.cache")]
    LoaderCache(#[from] LdCacheError),
}

impl AssembleError {
    /// What can be done about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Deb { package, source } if is_too_large(source) => format!(
                "lock again, if the lock does not say yet what a package takes (installed-size); else leave {package} out, or tell \
                 who made it"
            ),
            Self::Deb { package, .. } => {
                format!("this is {package} as the archive has it: leave it out, or tell who made it")
            }
            Self::Module { .. } => "leave the module out (debian.drop), or tell who made it".to_owned(),
            Self::Declaration { .. } => {
                "mend the line; that of a package, by a file of the same name in an overlay".to_owned()
            }
            Self::LoaderCache(_) => "leave the library out (debian.drop)".to_owned(),
            Self::Tree(error) => tree_hint(error).to_owned(),
            Self::Script(script) => script.hint(),
            Self::Part { hint, .. } => (*hint).to_owned(),
            Self::Recipe(fault) => fault.hint()?.to_owned(),
            Self::Image(error) => return error.hint(),
            Self::Cache { .. } | Self::Content { .. } => return None,
        })
    }
}

fn is_too_large(error: &DebError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(this) = cause {
        // What a reader says is wrapped in an I/O error, whose own source is that error's source.
        let inner = this.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let told = this.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
        if matches!(told, Some(DebError::TooLarge { .. })) {
            return true;
        }
        cause = this.source();
    }
    false
}

/// The tree's error is said in full, so it is no cause besides.
impl From<TreeError> for AssembleError {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}

/// A maintainer script that is not covered, and what to say about it.
#[derive(Debug)]
pub struct UncoveredScript {
    /// The package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The script and its lines.
    pub uncovered: Uncovered,
}

/// Lines of a script that an error shows.
const SHOWN: usize = 12;

impl fmt::Display for UncoveredScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Uncovered { script, lines, changed, digest } = &self.uncovered;
        let why = if *changed { "it has changed since it was reviewed" } else { "nobody has reviewed it" };
        write!(f, "package {} {}: {script} is not covered: {why}", self.package, self.version)?;
        for (number, text) in lines.iter().take(SHOWN) {
            write!(f, "\n  {number:>4} | {}", text.lines().next().unwrap_or_default())?;
        }
        if lines.len() > SHOWN {
            write!(f, "\n       | and {} more lines", lines.len() - SHOWN)?;
        }
        if !digest.is_empty() {
            write!(f, "\n  (these lines together: {})", &digest[..digest.len().min(16)])?;
        }
        Ok(())
    }
}

impl UncoveredScript {
    fn hint(&self) -> String {
        // A name with a dot has to be quoted in TOML.
        let quote = if self.package.contains(['.', '+']) { "\"" } else { "" };
        format!(
            "scripts never run; where the image needs what these lines do, let an overlay bring it; then say in the recipe, below \
             [scripts]: {quote}{}{quote} = \"ignore\"",
            self.package
        )
    }
}

fn tree_hint(error: &TreeError) -> &'static str {
    match error {
        TreeError::Both { .. } | TreeError::Kinds { .. } | TreeError::Parent { .. } => {
            "only one can have it; leave one of them out"
        }
        TreeError::Path { .. } | TreeError::LinkLeaves { .. } | TreeError::HardLink { .. } => {
            "leave it out: a package by not asking for it, a file of an overlay by removing it"
        }
        TreeError::Leaves { .. } | TreeError::Loop { .. } => "the links on the way there have to change",
    }
}
