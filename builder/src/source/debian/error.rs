//! What can go wrong between an APT configuration and a verified package.

use super::{date::Date, keyring::Refusal};
use berth_fetch::{error::FetchError, url::BadUrl};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why an archive cannot be used. Names the place, what was wanted and what was found.
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
    /// Nobody is known to serve a suite.
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
    /// Signed, but by nobody that is trusted.
    #[error("{place}: expected a signature by a key in {}, found {}", keyring.display(), told(refusals))]
    Untrusted {
        /// URL of the InRelease.
        place: String,
        /// The keyring.
        keyring: PathBuf,
        /// One reason per signature.
        refusals: Vec<Refusal>,
    },
    /// A field of a (signed) Release.
    #[error("{place}: {field}: expected {wanted}, found {found:?}")]
    Release {
        /// URL of the InRelease.
        place: String,
        /// The field.
        field: &'static str,
        /// The rule.
        wanted: String,
        /// The value as given.
        found: String,
    },
    /// Past its Valid-Until.
    #[error("{place}: valid until {until}, and now it is {now}")]
    Expired {
        /// URL of the InRelease.
        place: String,
        /// Its end.
        until: Date,
        /// The clock.
        now: Date,
    },
    /// From the future.
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
    /// The Release lists no such index.
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
    /// Bytes did not come.
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
            Self::Release { field: "Suite and Codename", .. } => "name the suite as the archive calls it",
            Self::NoIndex { .. } => "the suite has no such component or architecture: check `components` in the recipe",
            Self::Release { .. } | Self::Index { .. } | Self::Package { .. } => {
                "the archive itself says so, its signature is good: name another one with --mirror, or tell who keeps it"
            }
            Self::Io { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
