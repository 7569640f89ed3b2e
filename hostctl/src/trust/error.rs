//! Why something is not believed.

use super::Clock;
use crate::{
    file::FileError,
    source::{Source, SourceError},
};
use berth_contract::digest::Sha256;
use jiff::Timestamp;
use std::{
    error::Error as _,
    io,
    path::{Path, PathBuf},
};
use tough::{error::Error as Tough, schema};

/// Why something is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The image's own root.json is of no use.
    #[error("the image's root.json: {fault}")]
    Root {
        /// What is wrong.
        fault: String,
    },
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Too few signatures by keys that are trusted: none, or those of strangers.
    #[error("{source_name}: {role} metadata: expected signatures of {wanted} trusted keys, found {found}")]
    Signature {
        /// Where.
        source_name: String,
        /// root, timestamp, snapshot or targets.
        role: String,
        /// The threshold.
        wanted: u64,
        /// Signatures that are good.
        found: u64,
    },
    /// Out of date, by the time that is taken for now.
    #[error(
        "the {role} metadata expired at {expires}, and it is {now} by {}",
        if clock.host < clock.epoch {
            "the date of the running image (the host's clock, being earlier, is wrong)"
        } else {
            "this host's clock"
        }
    )]
    Expired {
        /// root, timestamp, snapshot or targets: the one that expired first.
        role: &'static str,
        /// When.
        expires: Timestamp,
        /// The time that was taken for now.
        now: Timestamp,
        /// What it was taken from.
        clock: Clock,
    },
    /// Older than what was trusted before.
    #[error(
        "{source_name}: the {role} metadata is older than what this host has seen: expected version {wanted} or newer, found {found}"
    )]
    RolledBack {
        /// Where.
        source_name: String,
        /// The file that remembers what was seen there.
        kept: PathBuf,
        /// root, timestamp, snapshot or targets.
        role: String,
        /// What was seen.
        wanted: u64,
        /// What is there.
        found: u64,
    },
    /// A generation of root keys that does not follow the one before.
    #[error("{source_name}: root metadata: expected version {wanted}, found {found}")]
    Rotation {
        /// Where.
        source_name: String,
        /// The next.
        wanted: u64,
        /// What is there.
        found: u64,
    },
    /// Files that do not belong together, or that were damaged.
    #[error("{source_name}: the metadata do not belong together: {fault}")]
    Mixed {
        /// Where.
        source_name: String,
        /// What does not fit.
        fault: String,
    },
    /// Metadata that cannot be read.
    #[error("{role} metadata: {fault}")]
    Malformed {
        /// root, timestamp, snapshot or targets.
        role: String,
        /// What is wrong.
        fault: String,
    },
    /// What was trusted cannot be kept, hence could be rolled back later.
    #[error(transparent)]
    Keep(FileError),
    /// No folder for temporary files, or one that does not keep them.
    #[error("cannot use a temporary folder: {source}")]
    Scratch {
        /// Why not.
        source: io::Error,
    },
    /// The metadata name no such target.
    #[error("{name}: not a target of this repository")]
    NoTarget {
        /// Which.
        name: String,
    },
    /// A target beyond what is read of its kind.
    #[error("{name}: expected at most {limit} bytes, found {found}")]
    TooLarge {
        /// Which.
        name: String,
        /// The limit.
        limit: u64,
        /// Its length by the metadata.
        found: u64,
    },
    /// A target of another length than was signed.
    #[error("{name}: expected {wanted} bytes, found {found}")]
    Length {
        /// Which.
        name: String,
        /// As signed.
        wanted: u64,
        /// As the source has it.
        found: u64,
    },
    /// A target with other bytes than were signed.
    #[error("{name}: expected SHA-256 {wanted}, found {found}")]
    Digest {
        /// Which.
        name: String,
        /// As signed.
        wanted: Sha256,
        /// As the source has it.
        found: Sha256,
    },
    /// A record in a format that this host does not know.
    #[error("{name}: expected format {wanted} of the release record, found {found}")]
    Format {
        /// The record's target.
        name: String,
        /// The format that is known.
        wanted: u32,
        /// The record's.
        found: u32,
    },
    /// A record that contradicts itself or the metadata.
    #[error("{name}: {fault}")]
    Record {
        /// The record's target.
        name: String,
        /// What is wrong.
        fault: String,
    },
    /// Whatever else TUF's client refuses.
    #[error("{0}")]
    Other(String),
}

impl TrustError {
    /// Says in our words what tough found. `failure` is what the transport reported last, `kept` the file
    /// that remembers the source.
    pub(super) fn of_tough(error: Tough, failure: Option<SourceError>, source: &Source, kept: &Path) -> Self {
        let (source_name, kept) = (source.name().to_owned(), kept.to_owned());
        let mixed = |fault| Self::Mixed { source_name: source.name().to_owned(), fault };
        match error {
            Tough::ParseTrustedMetadata { source, .. } => Self::Root { fault: source.to_string() },
            Tough::VerifyTrustedMetadata { source, .. } => Self::Root { fault: source.to_string() },
            Tough::VerifyMetadata { role, source, .. } => match source {
                schema::Error::SignatureThreshold { threshold, valid, .. } => {
                    Self::Signature { source_name, role: role.to_string(), wanted: threshold, found: valid }
                }
                other => Self::Malformed { role: role.to_string(), fault: other.to_string() },
            },
            Tough::ParseMetadata { role, source, .. } => {
                Self::Malformed { role: role.to_string(), fault: source.to_string() }
            }
            Tough::OlderMetadata { role: schema::RoleType::Root, current_version, new_version, .. } => {
                Self::Rotation { source_name, wanted: current_version.saturating_add(1), found: new_version }
            }
            Tough::OlderMetadata { role, current_version, new_version, .. } => Self::RolledBack {
                source_name,
                kept,
                role: role.to_string(),
                wanted: current_version,
                found: new_version,
            },
            Tough::OlderSnapshotInTimestamp { snapshot_new, snapshot_old, .. } => Self::RolledBack {
                source_name,
                kept,
                role: "snapshot".to_owned(),
                wanted: snapshot_old,
                found: snapshot_new,
            },
            Tough::SnapshotRoleRollback { role, old_role_version, new_role_version, .. } => {
                let role = role.trim_end_matches(".json").to_owned();
                Self::RolledBack { source_name, kept, role, wanted: old_role_version, found: new_role_version }
            }
            Tough::VersionMismatch { role, fetched, expected, .. } => {
                mixed(format!("{role}: expected version {expected}, found {fetched}"))
            }
            Tough::Transport { source: error, url, .. } => match failure {
                Some(failure) => Self::Source(failure),
                // Digest or length, by tough's own adapters.
                None => {
                    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                    mixed(format!("{}: {cause}", url.path().trim_start_matches('/')))
                }
            },
            other => Self::Other(format!("{source_name}: {other}")),
        }
    }

    /// The server only sends whole files, or other parts than it is asked for.
    #[must_use]
    pub fn is_no_ranges(&self) -> bool {
        matches!(self, Self::Source(error) if error.is_no_ranges())
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Source(error) => return error.hint().map(str::to_owned),
            Self::Root { .. } => "the recipe's `[update] trust` must name a root.json of `berth keys new`",
            Self::Signature { .. } => {
                "was this repository signed with the keys whose root.json is in the image? If keys were changed, every \
                 N.root.json since must be in metadata/"
            }
            Self::Expired { .. } => {
                "if the clock is wrong, set it right (`hostctl status` shows the network, NTP sets the clock) and try again; \
                 if it is right, the publisher must run `berth repo refresh`"
            }
            Self::RolledBack { kept, .. } => {
                return Some(format!(
                    "somebody offers an old copy of the repository: copy or bundle it anew; if it was made anew on purpose, \
                     remove {} on the host",
                    kept.display()
                ));
            }
            Self::Rotation { .. } => "the N.root.json in metadata/ must be a chain without a gap",
            Self::Mixed { .. } | Self::Malformed { .. } => {
                "the copy is damaged, or was taken while a release was written: try again, or copy the repository again"
            }
            Self::Keep(_) => "/var must be writable: free some space on it",
            Self::Scratch { .. } => "/tmp must be writable, with some space left",
            Self::Length { .. } | Self::Digest { .. } => {
                "the source, or a proxy, serves something else than was signed: try again, or another source"
            }
            Self::Format { .. } => "this release needs a newer hostctl: go by a release in between",
            Self::NoTarget { .. } | Self::TooLarge { .. } | Self::Record { .. } => {
                "the release is at fault: tell its publisher"
            }
            Self::Other(_) => return None,
        };
        Some(hint.to_owned())
    }
}
