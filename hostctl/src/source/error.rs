//! Errors of sources.

use berth_fetch::{error::FetchError, url::BadUrl};
use std::{io, path::PathBuf};

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The address is not valid.
    #[error(transparent)]
    Address(#[from] BadUrl),
    /// The path is not a source.
    #[error("{}: expected a folder or a bundle file, found {found}", path.display())]
    NoSource {
        /// The path.
        path: PathBuf,
        /// What was found instead.
        found: &'static str,
    },
    /// There is not exactly one disk with the label.
    #[error("expected one disk with a file system labelled {label:?}, found {found}")]
    Labels {
        /// The label.
        label: String,
        /// What was found instead.
        found: String,
    },
    /// The folder or bundle contains no repository.
    #[error("{}: expected a release repository, but there is no metadata/ in it", path.display())]
    NoRepository {
        /// The folder or bundle.
        path: PathBuf,
    },
    /// The bundle is damaged.
    #[error("{}: at byte {at}: {fault}", path.display())]
    Bundle {
        /// The bundle.
        path: PathBuf,
        /// Offset in the bundle.
        at: u64,
        /// The fault.
        fault: String,
    },
    /// A file of this host cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The folder or bundle does not have the file.
    #[error("{name}: not found")]
    NotFound {
        /// Which.
        name: String,
    },
    /// The file is longer than the limit for its kind.
    #[error("{name}: expected at most {limit} bytes, found {found}")]
    TooLarge {
        /// Which.
        name: String,
        /// The limit in bytes.
        limit: u64,
        /// Its size.
        found: u64,
    },
    /// The file has another size than the signed one.
    #[error("{name}: expected {wanted} bytes, found {found}")]
    Size {
        /// Which.
        name: String,
        /// The signed size, or the least size that was expected.
        wanted: u64,
        /// Its size.
        found: u64,
    },
    /// The server cannot be reached or read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl SourceError {
    /// Whether the source does not have the file. Servers of object stores answer "forbidden" in this case.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::NotFound { .. } | Self::Fetch(FetchError::NotFound { .. } | FetchError::Status { status: 403, .. })
        )
    }

    /// Whether the server sends whole files only, or parts that were not requested.
    #[must_use]
    pub fn is_no_ranges(&self) -> bool {
        matches!(self, Self::Fetch(FetchError::NoRanges { .. } | FetchError::WrongRange { .. }))
    }

    /// The error inside an [`io::Error`] of a reader.
    pub(crate) fn of_reader(error: io::Error, name: &str) -> Self {
        match error.downcast::<FetchError>() {
            Ok(error) => Self::Fetch(error),
            Err(source) => Self::Io { path: name.into(), source },
        }
    }

    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Address(_) => {
                "name an http or https URL, a folder, a bundle file, or disk:LABEL/PATH for a USB stick"
            }
            Self::Labels { .. } => "is the USB stick plugged in? Its file system must be FAT or ISO 9660",
            Self::NoSource { .. } => {
                "is the path right? For a USB stick, name disk:LABEL/PATH: the host mounts the stick itself"
            }
            Self::NoRepository { .. } => {
                "name the folder that `berth release --repo` wrote, or the file of `berth release --bundle`"
            }
            Self::Bundle { .. } => "copy the bundle again, and compare its size with that of the original",
            Self::NotFound { .. } => "the copy is incomplete: copy the repository again",
            Self::TooLarge { .. } | Self::Size { .. } => "the file is not the released one: copy the repository again",
            Self::Io { .. } => return None,
            Self::Fetch(error) => return of_fetch(error),
        })
    }
}

/// Hints for a user of a host. The hints of [`FetchError`] are for a user who builds images.
fn of_fetch(error: &FetchError) -> Option<&'static str> {
    Some(match error {
        FetchError::GaveUp { last, .. } => return of_fetch(last),
        FetchError::NotFound { .. } => "the address must be that of the folder that contains metadata/ and targets/",
        FetchError::Html { .. } => "a login page or a proxy answers instead of the server",
        FetchError::Exchange { .. } if error.is_tls() => {
            "is the server's certificate from an authority that the image trusts? Add another one with `[update] ca` \
             in host.toml. Is the host's clock right?"
        }
        FetchError::Exchange { .. } => "check the address and the network: `hostctl status`",
        FetchError::NoCertificate { .. } | FetchError::NoExtraCertificate => {
            "`[update] ca` in host.toml must contain a BEGIN CERTIFICATE block"
        }
        FetchError::Status { .. } | FetchError::Slow { .. } | FetchError::Interrupted { .. } => "try again later",
        FetchError::WrongRange { .. } | FetchError::Size { .. } | FetchError::TooLarge { .. } => {
            "the server or a proxy sends other bytes than the released ones: try another source"
        }
        _ => return None,
    })
}
