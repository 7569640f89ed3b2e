//! Errors of Debian archives: from the APT configuration to the verified packages.

use crate::date::Date;
use berth_contract::credentials::without_credentials;
use berth_fetch::{error::FetchError, url::BadUrl};
use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Why an archive cannot be used. The messages name the place, the expected and the found value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DebianError {
    /// A local file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A line or stanza of the host's APT configuration is invalid.
    #[error("{}:{line}: expected {wanted}, found {:?}", path.display(), without_credentials(found))]
    AptSource {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The expected form.
        wanted: &'static str,
        /// The text found.
        found: String,
    },
    /// No mirror is known for a suite.
    #[error("no mirror for suite {suite}: {reason}")]
    NoMirror {
        /// The suite.
        suite: String,
        /// Why no mirror is known.
        reason: String,
    },
    /// The address of a mirror is invalid.
    #[error("mirror: {0}")]
    Mirror(BadUrl),
    /// The keyring holds no usable certificate.
    #[error("keyring {}: {reason}", path.display())]
    Keyring {
        /// The file.
        path: PathBuf,
        /// Why the keyring cannot be used.
        reason: String,
    },
    /// The file is not a cleartext-signed message, or it contains text outside of the signed message.
    #[error("{place}: expected a text with an OpenPGP signature and nothing before or after it: {reason}")]
    NotSigned {
        /// URL of the InRelease.
        place: String,
        /// Message of the parser.
        reason: String,
    },
    /// No signature is valid and by a trusted key.
    #[error("{place}: expected a signature by a key in {}, found {}", keyring.display(), told(refusals))]
    Untrusted {
        /// URL of the InRelease.
        place: String,
        /// The keyring.
        keyring: PathBuf,
        /// One reason per signature.
        refusals: Vec<Refusal>,
    },
    /// A field of a signed InRelease is invalid.
    #[error("{place}: {field}: expected {wanted}, found {found:?}")]
    InRelease {
        /// URL of the InRelease.
        place: String,
        /// The field.
        field: &'static str,
        /// The expected form.
        wanted: String,
        /// The value found.
        found: String,
    },
    /// `Valid-Until` is in the past.
    #[error("{place}: valid until {until}, and now it is {now}")]
    Expired {
        /// URL of the InRelease.
        place: String,
        /// The value of `Valid-Until`.
        until: Date,
        /// The current time.
        now: Date,
    },
    /// `Date` is in the future.
    #[error("{place}: dated {date}, and now it is {now}")]
    NotYet {
        /// URL of the InRelease.
        place: String,
        /// The value of `Date`.
        date: Date,
        /// The current time.
        now: Date,
    },
    /// The InRelease is older than the one in the previous lock.
    #[error("{place}: dated {date}, but the lock file is from an InRelease of {locked}, which is newer")]
    Rollback {
        /// URL of the InRelease.
        place: String,
        /// The value of `Date`.
        date: Date,
        /// The date in the lock.
        locked: Date,
    },
    /// The InRelease does not list the index.
    #[error("{place}: expected an index {file} as .xz, as .gz or plain, found {}", or_none(found))]
    NoIndex {
        /// URL of the InRelease.
        place: String,
        /// Path below the suite, without the extension of a compression.
        file: String,
        /// The index in forms that are not read.
        found: Vec<String>,
    },
    /// An index cannot be unpacked, or has the wrong size when unpacked.
    #[error("{place}: {reason}")]
    Index {
        /// The index's file.
        place: String,
        /// Why the index cannot be used.
        reason: String,
    },
    /// A field of a package in an index is invalid.
    #[error("{place}: package {package}: {field}: expected {wanted}, found {found:?}")]
    Package {
        /// The index.
        place: String,
        /// The package's name. If that is missing: the package before it.
        package: String,
        /// The field.
        field: &'static str,
        /// The expected form.
        wanted: &'static str,
        /// The value found.
        found: String,
    },
    /// A file could not be fetched.
    #[error(transparent)]
    Fetch(FetchError),
    /// All of several mirrors failed.
    #[error("suite {suite}: all mirrors failed{}", failures.iter().map(|e| format!("\n  {e}")).collect::<String>())]
    Mirrors {
        /// The suite.
        suite: String,
        /// One failure per mirror, in the order of the mirrors.
        failures: Vec<DebianError>,
    },
}

fn or_none(files: &[String]) -> String {
    if files.is_empty() { "none".to_owned() } else { files.join(", ") }
}

fn told(refusals: &[Refusal]) -> String {
    if refusals.is_empty() {
        return "none".to_owned();
    }
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

pub(super) fn cannot_read(path: &Path) -> impl FnOnce(io::Error) -> DebianError {
    let path = path.to_owned();
    move |source| DebianError::Io { path, source }
}

impl DebianError {
    /// A hint: the next step for the user, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoMirror { .. } => "name a mirror with --mirror or as `mirror` in the recipe's [debian]",
            Self::Untrusted { refusals, .. } if refusals.iter().any(|it| matches!(it, Refusal::Bad { .. })) => {
                "the mirror or a proxy changed the signed text: name another mirror with --mirror"
            }
            Self::Keyring { .. } | Self::Untrusted { .. } => {
                "install or update debian-archive-keyring, or name a keyring as `keyring` in the recipe's [debian]"
            }
            Self::Expired { .. } => {
                "the mirror is no longer updated, or this machine's clock is fast; for an old archive on purpose, such as a \
                 snapshot, write valid_until = \"ignore\" in the recipe's [debian] or in the entry of `archives`"
            }
            Self::NotYet { .. } => "set this machine's clock",
            Self::Rollback { .. } => {
                "the mirror lags behind: try again later, or name another mirror with --mirror; \
                 to go back on purpose, remove the lock file"
            }
            Self::NotSigned { .. } => {
                "another server may answer instead of the archive: check the mirror and the proxy"
            }
            Self::Fetch(FetchError::NotFound { url }) if url.as_str().ends_with("/InRelease") => {
                "check the suite's name and the mirror's address: it ends before /dists"
            }
            Self::Fetch(error) => return error.hint(),
            // The mirror that got furthest is the one that should have worked.
            Self::Mirrors { failures, .. } => return failures.iter().rev().max_by_key(|it| it.progress())?.hint(),
            Self::AptSource { .. } => "correct the line, or name a mirror with --mirror",
            Self::Mirror(_) => "write it as in APT's sources: http://example.org/debian",
            Self::InRelease { field: "Suite and Codename", .. } => "use the archive's own name for the suite",
            Self::NoIndex { found, .. } if !found.is_empty() => {
                "ask the archive's maintainers to publish the index as .xz or .gz too"
            }
            Self::NoIndex { .. } => {
                "the suite does not have this component or architecture: check `components` in the recipe"
            }
            Self::InRelease { .. } | Self::Index { .. } | Self::Package { .. } => {
                "the error is in the archive's own signed data: name another archive with --mirror, \
                 or report it to the archive's maintainers"
            }
            Self::Io { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

impl DebianError {
    /// How many steps of opening an archive were done before this failure.
    fn progress(&self) -> u8 {
        match self {
            Self::Fetch(error) => u8::from(!error.is_missing()),
            Self::NotSigned { .. } => 2,
            Self::Untrusted { .. } => 3,
            Self::InRelease { field: "Suite and Codename", .. } => 4,
            Self::InRelease { .. } | Self::NotYet { .. } | Self::Expired { .. } | Self::Rollback { .. } => 5,
            _ => 0,
        }
    }
}

/// Why a signature was not accepted. Keys are given by fingerprint or key id, in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The format of the signature is unknown.
    Unknown,
    /// The signature is not of the type for text documents.
    Type,
    /// The signature uses a weak hash, such as SHA-1 or MD5.
    Hash {
        /// The algorithm.
        found: String,
    },
    /// The keyring does not contain the key.
    NoKey {
        /// The key that the signature names.
        issuer: String,
    },
    /// The text or the signature was changed.
    Bad {
        /// The key that the signature names.
        issuer: String,
    },
    /// The signature's time is in the future.
    Future {
        /// The time of the signature.
        at: Date,
    },
    /// The signature has expired.
    SignatureExpired {
        /// The time of expiry.
        end: Date,
    },
    /// The key has expired.
    Expired {
        /// The key.
        key: String,
        /// The time of expiry, in seconds since 1970.
        end: u64,
    },
    /// The signature's time is before the creation of its key.
    SignedBeforeKey {
        /// The key.
        key: String,
    },
    /// The key was revoked by its owner.
    Revoked {
        /// The key.
        key: String,
    },
    /// The key's flags do not allow signing.
    NotForSigning {
        /// The key.
        key: String,
    },
    /// The key has no valid self-signature.
    Unbound {
        /// The key.
        key: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("a signature of unknown format"),
            Self::Type => f.write_str("a signature that is not over a text"),
            Self::Hash { found } => write!(f, "a signature with the weak hash {found}"),
            Self::NoKey { issuer } => write!(f, "a signature by the unknown key {issuer}"),
            Self::Bad { issuer } => {
                write!(f, "a bad signature by key {issuer}: the text or the signature was changed")
            }
            Self::Future { at } => write!(f, "a signature from the future ({at})"),
            Self::SignatureExpired { end } => write!(f, "a signature that expired on {end}"),
            Self::Expired { key, end } => write!(f, "a signature by key {key}, which expired on {}", Date(*end)),
            Self::SignedBeforeKey { key } => write!(f, "a signature that is older than its key {key}"),
            Self::Revoked { key } => write!(f, "a signature by key {key}, which is revoked"),
            Self::NotForSigning { key } => write!(f, "a signature by key {key}, which is not for signing"),
            Self::Unbound { key } => write!(f, "a signature by key {key}, which has no valid self-signature"),
        }
    }
}
