//! Why a source cannot be read.

use berth_fetch::{error::FetchError, url::BadUrl};
use std::{io, path::PathBuf};

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] BadUrl),
    /// Nothing that could be a source.
    #[error("{}: expected a folder or a bundle file, found {found}", path.display())]
    NoSource {
        /// Where.
        path: PathBuf,
        /// What is there instead.
        found: &'static str,
    },
    /// Not exactly one disk with the label.
    #[error("expected one disk with a file system labelled {label:?}, found {found}")]
    Labels {
        /// The label.
        label: String,
        /// What is there instead.
        found: String,
    },
    /// A folder or tar without a repository in it.
    #[error("{}: expected a release repository, found no metadata/ in it", path.display())]
    NoRepository {
        /// Folder or bundle.
        path: PathBuf,
    },
    /// A bundle that cannot be read.
    #[error("{}: at byte {at}: {fault}", path.display())]
    Bundle {
        /// The bundle.
        path: PathBuf,
        /// Where in it.
        at: u64,
        /// What is wrong.
        fault: String,
    },
    /// A file of this machine cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Folder or bundle do not have the file.
    #[error("{name}: not found")]
    NotFound {
        /// Which.
        name: String,
    },
    /// More than is read of such a file.
    #[error("{name}: expected at most {limit} bytes, found {found}")]
    TooLarge {
        /// Which.
        name: String,
        /// The limit.
        limit: u64,
        /// Its size.
        found: u64,
    },
    /// A file with another size than its metadata says.
    #[error("{name}: expected {wanted} bytes, found {found}")]
    Size {
        /// Which.
        name: String,
        /// What the metadata says, or the least that was asked for.
        wanted: u64,
        /// Its size.
        found: u64,
    },
    /// A server could not be read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl SourceError {
    /// The source does not have the file, as far as it tells: servers of object stores say "forbidden" instead.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::NotFound { .. } | Self::Fetch(FetchError::NotFound { .. } | FetchError::Status { status: 403, .. })
        )
    }

    /// The server only sends whole files, or other parts than it is asked for.
    #[must_use]
    pub fn is_no_ranges(&self) -> bool {
        matches!(self, Self::Fetch(FetchError::NoRanges { .. } | FetchError::WrongRange { .. }))
    }

    /// What is inside an error of a reader.
    pub(crate) fn of_reader(error: io::Error, name: &str) -> Self {
        match error.downcast::<FetchError>() {
            Ok(error) => Self::Fetch(error),
            Err(source) => Self::Io { path: name.into(), source },
        }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Address(_) => "name an http or https URL, a folder, a bundle file, or a stick as disk:LABEL/PATH",
            Self::Labels { .. } => "is the stick plugged in? Labels of FAT and ISO 9660 file systems are looked at",
            Self::NoSource { .. } => {
                "is the name right? What is on a stick is named disk:LABEL/PATH: the host mounts it itself"
            }
            Self::NoRepository { .. } => {
                "name the folder that `berth release --repo` wrote, or the file of `berth release --bundle`"
            }
            Self::Bundle { .. } => "copy the bundle again, and compare its size with the original's",
            Self::NotFound { .. } => "the copy is not whole: copy the repository again",
            Self::TooLarge { .. } | Self::Size { .. } => "this is not what was released: copy the repository again",
            Self::Io { .. } => return None,
            Self::Fetch(error) => return of_fetch(error),
        })
    }
}

/// The hints of [`FetchError`] are for who builds; these are for who runs a host.
fn of_fetch(error: &FetchError) -> Option<&'static str> {
    Some(match error {
        FetchError::GaveUp { last, .. } => return of_fetch(last),
        FetchError::NotFound { .. } => "is the address that of the folder with metadata/ and targets/ in it?",
        FetchError::Html { .. } => "a login page or a proxy answers in the server's place",
        FetchError::Exchange { .. } if error.is_tls() => {
            "does the server's certificate come from an authority that the image knows? Name another with `[update] ca` \
             in host.toml; and look at the host's clock"
        }
        FetchError::Exchange { .. } => "check the address and the network: `hostctl status`",
        FetchError::NoCertificate { .. } | FetchError::NoExtraCertificate => {
            "`[update] ca` in host.toml must hold a block of BEGIN CERTIFICATE"
        }
        FetchError::Status { .. } | FetchError::Slow { .. } | FetchError::Interrupted { .. } => "try again later",
        FetchError::WrongRange { .. } | FetchError::Size { .. } | FetchError::TooLarge { .. } => {
            "the server or a proxy sends something else than was released: try another source"
        }
        _ => return None,
    })
}
