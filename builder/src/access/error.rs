//! Why a certificate cannot be made.

use crate::release::ReleaseError;
use std::{io, path::PathBuf};

/// Why a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file or folder exists already.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// A name cannot be in a certificate.
    #[error("{name:?}: expected {wanted}")]
    Name {
        /// The name.
        name: String,
        /// The names that are allowed.
        wanted: &'static str,
    },
    /// The key of the authority cannot be used.
    #[error("{}: expected the private key of an authority that `berth keys host-ca` has made, found {found}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Description of its content.
        found: String,
    },
    /// The key of the authority is encrypted, and no passphrase opens it.
    #[error("{}: no passphrase opens this key", .0.display())]
    Locked(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// The verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A passphrase.
    #[error(transparent)]
    Passphrase(#[from] ReleaseError),
    /// The certificate cannot be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// A new key cannot be encrypted.
    #[error("there are no random numbers")]
    Random,
}

impl AccessError {
    /// The next step for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exists(_) => Some("name another one; `--replace` renews a client's or host's certificate".to_owned()),
            Self::Locked(_) => Some("name a file with the passphrase: --passphrase-file FILE".to_owned()),
            Self::Key { .. } => Some("make an authority with `berth keys host-ca DIR`".to_owned()),
            _ => None,
        }
    }

    pub(super) fn io<'a>(doing: &'static str, path: &'a std::path::Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}
