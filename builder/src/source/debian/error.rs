//! What can go wrong between an APT configuration and a verified package.

use crate::date::Date;
use berth_fetch::{error::FetchError, url::BadUrl};
use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Why an archive cannot be used: the place, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DebianError {
    /// A file of this machine cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line or stanza of the host's APT configuration.
    #[error("{}:{line}: expected {wanted}, found {found:?}", path.display())]
    AptSource {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The rule.
        wanted: &'static str,
        /// The text as given.
        found: String,
    },
    /// No mirror is known for a suite.
    #[error("no mirror for suite {suite}: {reason}")]
    NoMirror {
        /// The suite.
        suite: String,
        /// What was looked at.
        reason: String,
    },
    /// A mirror's address.
    #[error("mirror: {0}")]
    Mirror(BadUrl),
    /// The keyring holds no usable certificate.
    #[error("keyring {}: {reason}", path.display())]
    Keyring {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No cleartext-signed message, or something beside it.
    #[error("{place}: expected a text with an OpenPGP signature and nothing outside of it: {reason}")]
    NotSigned {
        /// URL of the InRelease.
        place: String,
        /// The parser's words.
        reason: String,
    },
    /// Signed, but with none of the trusted keys.
    #[error("{place}: expected a signature by a key in {}, found {}", keyring.display(), told(refusals))]
    Untrusted {
        /// URL of the InRelease.
        place: String,
        /// The keyring.
        keyring: PathBuf,
        /// One reason per signature.
        refusals: Vec<Refusal>,
    },
    /// A field of a (signed) InRelease.
    #[error("{place}: {field}: expected {wanted}, found {found:?}")]
    InRelease {
        /// URL of the InRelease.
        place: String,
        /// The field.
        field: &'static str,
        /// The rule.
        wanted: String,
        /// The value as given.
        found: String,
    },
    /// `Valid-Until` is over.
    #[error("{place}: valid until {until}, and now it is {now}")]
    Expired {
        /// URL of the InRelease.
        place: String,
        /// Its end.
        until: Date,
        /// The clock.
        now: Date,
    },
    /// `Date` is in the future.
    #[error("{place}: dated {date}, and now it is {now}")]
    NotYet {
        /// URL of the InRelease.
        place: String,
        /// Its date.
        date: Date,
        /// The clock.
        now: Date,
    },
    /// Older than the one that was locked before.
    #[error("{place}: dated {date}, older than the one of {locked} that was locked before")]
    Rollback {
        /// URL of the InRelease.
        place: String,
        /// Its date.
        date: Date,
        /// The date in the lock.
        locked: Date,
    },
    /// The InRelease lists no such index.
    #[error("{place}: expected an index {file}, found none")]
    NoIndex {
        /// URL of the InRelease.
        place: String,
        /// Path below the suite.
        file: String,
    },
    /// An index that does not unpack to what it should.
    #[error("{place}: {reason}")]
    Index {
        /// The index's file.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A paragraph of an index.
    #[error("{place}: package {package}: {field}: expected {wanted}, found {found:?}")]
    Package {
        /// The index.
        place: String,
        /// Its name, or what precedes it.
        package: String,
        /// The field.
        field: &'static str,
        /// The rule.
        wanted: &'static str,
        /// The value as given.
        found: String,
    },
    /// A file could not be fetched.
    #[error(transparent)]
    Fetch(FetchError),
    /// Several mirrors failed, each for its own reason.
    #[error("suite {suite}: no mirror could serve it{}", failures.iter().map(|e| format!("\n  {e}")).collect::<String>())]
    Mirrors {
        /// The suite.
        suite: String,
        /// One failure per mirror, in their order.
        failures: Vec<DebianError>,
    },
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
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoMirror { .. } => "name a mirror with --mirror or as `mirror` in the recipe's [debian]",
            Self::Untrusted { refusals, .. } if refusals.iter().any(|it| matches!(it, Refusal::Bad { .. })) => {
                "the mirror or a proxy changes what the archive has signed: name another one with --mirror"
            }
            Self::Keyring { .. } | Self::Untrusted { .. } => {
                "install or update debian-archive-keyring, or name a keyring as `keyring` in the recipe's [debian]"
            }
            Self::Expired { .. } => "the mirror is no longer updated, or this machine's clock is fast",
            Self::NotYet { .. } => "set this machine's clock",
            Self::Rollback { .. } => {
                "the mirror lags behind: try again later or name another one; remove the lock to go back on purpose"
            }
            Self::NotSigned { .. } => "something else than the archive answers: check the mirror and the proxy",
            Self::Fetch(FetchError::NotFound { url }) if url.as_str().ends_with("/InRelease") => {
                "check the suite's name and the mirror's address: it ends before /dists"
            }
            Self::Fetch(error) => return error.hint(),
            Self::Mirrors { failures, .. } => return failures.iter().find_map(Self::hint),
            Self::AptSource { .. } => "mend the line, or name a mirror with --mirror",
            Self::Mirror(_) => "write it as in APT's sources: http://example.org/debian",
            Self::InRelease { field: "Suite and Codename", .. } => "name the suite as the archive calls it",
            Self::NoIndex { .. } => "the suite has no such component or architecture: check `components` in the recipe",
            Self::InRelease { .. } | Self::Index { .. } | Self::Package { .. } => {
                "the archive itself says so, its signature is good: name another one with --mirror, or tell who keeps it"
            }
            Self::Io { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// Why one signature does not count. Keys are given by fingerprint or key id, in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A signature of an unknown format.
    Unknown,
    /// Not a signature over a text.
    Type,
    /// A weak hash: SHA-1, MD5 and the like.
    Hash {
        /// The algorithm.
        found: String,
    },
    /// No such key in the keyring.
    NoKey {
        /// The key that it names.
        issuer: String,
    },
    /// The text or the signature was changed.
    Bad {
        /// The key that it names.
        issuer: String,
    },
    /// Made in the future.
    Future {
        /// When.
        at: Date,
    },
    /// The signature has expired.
    SignatureExpired {
        /// When.
        end: Date,
    },
    /// The key has expired.
    Expired {
        /// The key.
        key: String,
        /// Its end, in seconds since 1970.
        end: u64,
    },
    /// The signature claims to be older than its key.
    SignedBeforeKey {
        /// The key.
        key: String,
    },
    /// The key was revoked by its owner.
    Revoked {
        /// The key.
        key: String,
    },
    /// The key was made for another purpose.
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
            Self::NoKey { issuer } => write!(f, "one by the unknown key {issuer}"),
            Self::Bad { issuer } => write!(f, "a bad one by key {issuer}: text or signature was changed"),
            Self::Future { at } => write!(f, "one from the future ({at})"),
            Self::SignatureExpired { end } => write!(f, "one that ended on {end}"),
            Self::Expired { key, end } => write!(f, "one by key {key}, which expired on {}", Date(*end)),
            Self::SignedBeforeKey { key } => write!(f, "one that is older than its key {key}"),
            Self::Revoked { key } => write!(f, "one by key {key}, which is revoked"),
            Self::NotForSigning { key } => write!(f, "one by key {key}, which is not for signing"),
            Self::Unbound { key } => write!(f, "one by key {key}, which has no valid self-signature"),
        }
    }
}
