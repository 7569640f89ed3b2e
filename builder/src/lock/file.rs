//! Reads, checks and writes lock files.

use super::{
    LockInput,
    lockfile::{FORMAT, Lock},
};
use crate::{
    recipe::{Diagnostic, Place, RecipeFile},
    scratch,
    source::debian::debs::{DebRef, is_safe_path},
};
use berth_file::{FileError, Flush};
use std::{
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

const HEADER: &str = "# Written by `berth lock`: the exact packages of the recipe beside it. Keep it under version control;\n\
    # do not edit it, change the recipe and lock again.\n\n";

/// A lock that matches its recipe and was not edited by hand.
#[derive(Clone, Debug)]
pub struct Locked(Lock);

/// Why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockFileError {
    /// The file does not exist.
    #[error("{}: no such file", path.display())]
    Missing {
        /// The expected path.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The operation that failed, as a verb: `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not a lock file.
    #[error("{0}")]
    Syntax(Diagnostic),
    /// The file has the format of another version of Berth.
    #[error("{}: expected format {FORMAT}, found {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The file was edited by hand.
    #[error("{}: edited by hand after `berth lock` wrote it", path.display())]
    Edited {
        /// The file.
        path: PathBuf,
    },
    /// The recipe has changed since the file was written.
    #[error("{}: older than its recipe", path.display())]
    Stale {
        /// The file.
        path: PathBuf,
    },
}

impl From<FileError> for LockFileError {
    fn from(error: FileError) -> Self {
        let (action, path, source) = error.into_parts();
        Self::Io { action, path, source }
    }
}

impl LockFileError {
    /// A hint: the next step for the user, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { .. } => None,
            Self::Format { found, .. } if *found > FORMAT => {
                Some("a newer version of berth wrote the file: use that version".to_owned())
            }
            Self::Missing { path } | Self::Format { path, .. } | Self::Edited { path } | Self::Stale { path } => {
                Some(relock(path))
            }
            Self::Syntax(fault) => Some(relock(fault.place().path())),
        }
    }
}

/// The command that makes a new lock at `path`.
fn relock(path: &Path) -> String {
    format!("run `berth lock {}`", path.with_extension("toml").display())
}

/// The lock file of a recipe, beside the recipe: `docker.toml` → `docker.lock`.
#[must_use]
pub fn lock_path(recipe: &Path) -> PathBuf {
    recipe.with_extension("lock")
}

impl fmt::Display for Lock {
    /// The content of the lock file as TOML. The same lock always gives the same text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        f.write_str(&toml::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Lock {
    /// Parses a lock file. Does not check that it matches a recipe. `path` is for messages.
    ///
    /// # Errors
    /// [`LockFileError::Syntax`], [`LockFileError::Format`], [`LockFileError::Edited`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, LockFileError> {
        /// The only key that every format has.
        #[derive(serde::Deserialize)]
        struct Format {
            format: u32,
        }
        let source = RecipeFile::new(path, text);
        let bad = |error: toml::de::Error| {
            let place = Place::new(&source, error.span().unwrap_or_default());
            LockFileError::Syntax(Diagnostic::new(&place, error.message()))
        };
        let Format { format } = toml::from_str(text).map_err(bad)?;
        if format != FORMAT {
            return Err(LockFileError::Format { path: path.to_owned(), found: format });
        }
        let lock: Self = toml::from_str(text).map_err(bad)?;
        let safe = lock.packages.iter().all(|package| is_safe_path(&package.file));
        if lock.checksum != lock.content_digest() || !safe {
            return Err(LockFileError::Edited { path: path.to_owned() });
        }
        Ok(lock)
    }

    /// Reads a lock file. Does not check that it matches a recipe.
    ///
    /// # Errors
    /// Those of [`Lock::parse`], [`LockFileError::Missing`], [`LockFileError::Io`].
    pub fn load(path: &Path) -> Result<Self, LockFileError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(LockFileError::Missing { path: path.to_owned() })
            }
            Err(source) => Err(LockFileError::Io { action: "read", path: path.to_owned(), source }),
        }
    }
}

impl Lock {
    /// Reads the lock that will be replaced. Returns `None` if the file does not exist. If the file is damaged, returns `None`
    /// and the error: then the new lock cannot be compared with the old one, and an archive that became older is not noticed.
    #[must_use]
    pub fn previous(path: &Path) -> (Option<Self>, Option<LockFileError>) {
        match Self::load(path) {
            Ok(lock) => (Some(lock), None),
            Err(LockFileError::Missing { .. }) => (None, None),
            Err(error) => (None, Some(error)),
        }
    }
}

impl Locked {
    /// Reads the lock at `path` and checks that it belongs to `input`.
    ///
    /// # Errors
    /// Those of [`Lock::load`], [`LockFileError::Stale`].
    pub fn load(path: &Path, input: &LockInput) -> Result<Self, LockFileError> {
        Self::check(Lock::load(path)?, path, input)
    }

    /// Checks that a lock belongs to `input`. `path` is for messages.
    ///
    /// # Errors
    /// [`LockFileError::Stale`].
    pub fn check(lock: Lock, path: &Path, input: &LockInput) -> Result<Self, LockFileError> {
        if lock.input == input.digest() { Ok(Self(lock)) } else { Err(LockFileError::Stale { path: path.to_owned() }) }
    }

    /// The lock itself.
    #[must_use]
    pub fn lock(&self) -> &Lock {
        &self.0
    }

    /// All packages to fetch, in the lock's order.
    #[must_use]
    pub fn debs(&self) -> Vec<DebRef<'_>> {
        self.0.packages.iter().map(super::LockedPackage::deb).collect()
    }
}

/// Writes a lock file. A crash leaves the old file or the new file.
///
/// # Errors
/// [`LockFileError::Io`].
pub fn write(lock: &Lock, path: &Path) -> Result<(), LockFileError> {
    let text = lock.to_string();
    scratch::replace(path, 0o666, Flush::ContentAndName, |file| {
        let failed = |source| LockFileError::Io { action: "write", path: path.to_owned(), source };
        file.write_all(text.as_bytes()).map_err(failed)
    })
}
