//! Lock files: reading, judging, writing.

use super::{
    LockInput,
    lockfile::{FORMAT, Lock},
};
use crate::{
    recipe::{Diagnostic, Place, Source},
    scratch::Scratch,
    source::debian::debs::{DebRef, is_safe_path},
};
use std::{
    fmt, fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

const HEADER: &str = "# Written by `berth lock`: the exact packages of the recipe beside it. Keep it under version control;\n\
    # do not edit it, change the recipe and lock again.\n\n";

/// A lock that belongs to its recipe as the recipe is now, unchanged since it was written.
#[derive(Clone, Debug)]
pub struct Locked(Lock);

/// Why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockFileError {
    /// There is none.
    #[error("{}: no such file", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is no lock file.
    #[error("{0}")]
    Syntax(Diagnostic),
    /// It was written by another Berth.
    #[error("{}: expected format {FORMAT}, found {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It is not as it was written.
    #[error("{}: changed by hand since it was written", path.display())]
    Edited {
        /// The file.
        path: PathBuf,
    },
    /// The recipe asks for something else now.
    #[error("{}: older than its recipe", path.display())]
    Stale {
        /// The file.
        path: PathBuf,
    },
}

impl LockFileError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { .. } => None,
            Self::Format { found, .. } if *found > FORMAT => Some("a newer berth wrote it: use that one".to_owned()),
            Self::Missing { path } | Self::Format { path, .. } | Self::Edited { path } | Self::Stale { path } => {
                Some(relock(path))
            }
            Self::Syntax(fault) => Some(relock(fault.place().path())),
        }
    }
}

/// What to run when the lock at `path` is of no use.
fn relock(path: &Path) -> String {
    format!("run `berth lock {}`", path.with_extension("toml").display())
}

/// Where the lock of a recipe lies: beside it, `docker.toml` → `docker.lock`.
#[must_use]
pub fn lock_path(recipe: &Path) -> PathBuf {
    recipe.with_extension("lock")
}

impl fmt::Display for Lock {
    /// The file as it is written: TOML, always the same for the same lock.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        f.write_str(&toml::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Lock {
    /// Reads a lock file, whatever recipe it belongs to. `path` is for messages.
    ///
    /// # Errors
    /// [`LockFileError::Syntax`], [`LockFileError::Format`], [`LockFileError::Edited`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, LockFileError> {
        /// All that other formats are sure to have.
        #[derive(serde::Deserialize)]
        struct Format {
            format: u32,
        }
        let source = Source::new(path, text);
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

    /// Reads a lock file, whatever recipe it belongs to.
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

    /// All packages as they are to be fetched, in the lock's order.
    #[must_use]
    pub fn debs(&self) -> Vec<DebRef<'_>> {
        self.0.packages.iter().map(super::LockedPackage::deb).collect()
    }
}

/// Writes a lock file in one move: a crash leaves the old one or the new one.
///
/// # Errors
/// [`LockFileError::Io`].
pub fn write(lock: &Lock, path: &Path) -> Result<(), LockFileError> {
    let temporary = Scratch::new(path.with_added_extension("new"));
    let temporary = temporary.path();
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| LockFileError::Io { action, path, source }
    };
    let mut file = fs::File::create(temporary).map_err(failed("create", temporary))?;
    file.write_all(lock.to_string().as_bytes()).map_err(failed("write", temporary))?;
    file.sync_all().map_err(failed("write", temporary))?;
    fs::rename(temporary, path).map_err(failed("replace", path))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write", folder))
}
