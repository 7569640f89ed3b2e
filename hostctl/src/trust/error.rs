//! Errors of trust.

use super::clock::TimeSource;
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
use tough::{
    error::Error as Tough,
    schema::{self, RoleType},
};

/// Why a source, its metadata or a target is not trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The root.json of the image cannot be used.
    #[error("the root.json of this image: {fault}")]
    Root {
        /// The fault.
        fault: String,
    },
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Metadata have too few signatures by trusted keys.
    #[error("{source_name}: {role} metadata: expected signatures of {wanted} trusted keys, found {found}")]
    Signature {
        /// Name of the source.
        source_name: String,
        /// The role of the metadata.
        role: RoleType,
        /// The required number of signatures.
        wanted: u64,
        /// The number of valid signatures.
        found: u64,
    },
    /// Metadata have expired.
    #[error("the {role} metadata expired at {expires}, and it is {now} by {clock}")]
    Expired {
        /// The role whose metadata expired first: root, timestamp, snapshot or targets.
        role: RoleType,
        /// Expiry time.
        expires: Timestamp,
        /// The present time, as assumed.
        now: Timestamp,
        /// Where the present time comes from.
        clock: TimeSource,
    },
    /// Metadata are older than those that were trusted before.
    #[error(
        "{source_name}: the {role} metadata is older than what this host has seen: expected version {wanted} or newer, found {found}"
    )]
    RolledBack {
        /// Name of the source.
        source_name: String,
        /// The file that stores what was seen.
        kept: PathBuf,
        /// The role of the metadata.
        role: RoleType,
        /// The version that was seen before.
        wanted: u64,
        /// The version in the source.
        found: u64,
    },
    /// A root.json does not follow the one before.
    #[error("{source_name}: root metadata: expected version {wanted}, found {found}")]
    Rotation {
        /// Name of the source.
        source_name: String,
        /// The expected version.
        wanted: u64,
        /// The version in the source.
        found: u64,
    },
    /// Metadata files do not belong together, or are damaged.
    #[error("{source_name}: the metadata files do not belong together: {fault}")]
    Mixed {
        /// Name of the source.
        source_name: String,
        /// What does not match.
        fault: String,
    },
    /// Metadata cannot be parsed.
    #[error("{role} metadata: {fault}")]
    Malformed {
        /// The role of the metadata.
        role: RoleType,
        /// The fault.
        fault: String,
    },
    /// Trusted metadata cannot be stored. Without them an attacker could present older metadata later.
    #[error(transparent)]
    Memory(FileError),
    /// The folder for temporary files cannot be used.
    #[error("cannot use a temporary folder: {source}")]
    Scratch {
        /// The error of the system.
        source: io::Error,
    },
    /// The metadata name no such target.
    #[error("{name}: not a target of this repository")]
    NoTarget {
        /// Name of the target.
        name: String,
    },
    /// A target is longer than the limit for its kind.
    #[error("{name}: expected at most {limit} bytes, found {found}")]
    TooLarge {
        /// Name of the target.
        name: String,
        /// The limit in bytes.
        limit: u64,
        /// The signed length.
        found: u64,
    },
    /// A target does not have the signed length.
    #[error("{name}: expected {wanted} bytes, found {found}")]
    Length {
        /// Name of the target.
        name: String,
        /// The signed value.
        wanted: u64,
        /// The value of the bytes in the source.
        found: u64,
    },
    /// A target does not have the signed digest.
    #[error("{name}: expected SHA-256 {wanted}, found {found}")]
    Digest {
        /// Name of the target.
        name: String,
        /// The signed value.
        wanted: Sha256,
        /// The value of the bytes in the source.
        found: Sha256,
    },
    /// The format of a release record is not known to this host.
    #[error("{name}: expected format {wanted} of the release record, found {found}")]
    Format {
        /// Name of the target that is the record.
        name: String,
        /// The known format.
        wanted: u32,
        /// The format of the record.
        found: u32,
    },
    /// A release record contradicts itself or the metadata.
    #[error("{name}: {fault}")]
    Record {
        /// Name of the target that is the record.
        name: String,
        /// The fault.
        fault: String,
    },
    /// Any other error of the TUF client.
    #[error("{0}")]
    Other(String),
}

impl TrustError {
    /// Converts an error of tough. `failure` is the error that ended the transport, and `kept` the file that stores
    /// what was seen.
    pub(super) fn of_tough(error: Tough, failure: Option<Self>, source: &Source, kept: &Path) -> Self {
        let (source_name, kept) = (source.name().to_owned(), kept.to_owned());
        let mixed = |fault| Self::Mixed { source_name: source.name().to_owned(), fault };
        match error {
            Tough::ParseTrustedMetadata { source, .. } => Self::Root { fault: source.to_string() },
            Tough::VerifyTrustedMetadata { source, .. } => Self::Root { fault: source.to_string() },
            Tough::VerifyMetadata { role, source, .. } => match source {
                schema::Error::SignatureThreshold { threshold, valid, .. } => {
                    Self::Signature { source_name, role, wanted: threshold, found: valid }
                }
                other => Self::Malformed { role, fault: other.to_string() },
            },
            Tough::ParseMetadata { role, source, .. } => Self::Malformed { role, fault: source.to_string() },
            Tough::OlderMetadata { role: RoleType::Root, current_version, new_version, .. } => {
                Self::Rotation { source_name, wanted: current_version.saturating_add(1), found: new_version }
            }
            Tough::OlderMetadata { role, current_version, new_version, .. } => {
                Self::RolledBack { source_name, kept, role, wanted: current_version, found: new_version }
            }
            Tough::OlderSnapshotInTimestamp { snapshot_new, snapshot_old, .. } => Self::RolledBack {
                source_name,
                kept,
                role: RoleType::Snapshot,
                wanted: snapshot_old,
                found: snapshot_new,
            },
            Tough::SnapshotRoleRollback { role, old_role_version, new_role_version, .. } => {
                let role = role.trim_end_matches(".json").parse().unwrap_or(RoleType::DelegatedTargets);
                Self::RolledBack { source_name, kept, role, wanted: old_role_version, found: new_role_version }
            }
            Tough::VersionMismatch { role, fetched, expected, .. } => {
                mixed(format!("{role}: expected version {expected}, found {fetched}"))
            }
            Tough::Transport { source: error, url, .. } => match failure {
                Some(failure) => failure,
                // A wrong digest or length, found by tough itself.
                None => {
                    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                    mixed(format!("{}: {cause}", url.path().trim_start_matches('/')))
                }
            },
            other => Self::Other(format!("{source_name}: {other}")),
        }
    }

    /// Whether the server sends whole files only, or parts that were not requested.
    #[must_use]
    pub fn is_no_ranges(&self) -> bool {
        matches!(self, Self::Source(error) if error.is_no_ranges())
    }

    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Source(error) => return error.hint().map(str::to_owned),
            Self::Root { .. } => "the recipe's `[update] trust` must name a root.json of `berth keys new`",
            Self::Signature { .. } => {
                "was this repository signed with the keys of the root.json in the image? If keys were replaced, every \
                 N.root.json since then must be in metadata/"
            }
            Self::Expired { .. } => {
                "if the clock is wrong, correct it (NTP sets the clock; `hostctl status` shows the network) and try again; \
                 if the clock is right, the publisher must run `berth repo refresh`"
            }
            Self::RolledBack { .. } => {
                "the source is an old copy of the repository: make a new copy or bundle; if the repository was created again on purpose: \
                 `hostctl update forget --repositories`"
            }
            Self::Rotation { .. } => "the N.root.json files in metadata/ must have consecutive numbers",
            Self::Mixed { .. } | Self::Malformed { .. } => {
                "the copy is damaged, or was made while a release was being written: try again, or copy the repository again"
            }
            Self::Memory(_) => "/var must be writable and have free space",
            Self::Scratch { .. } => "/tmp must be writable and have free space",
            Self::Length { .. } | Self::Digest { .. } => {
                "the source or a proxy sends other bytes than the signed ones: try again, or use another source"
            }
            Self::Format { .. } => "this release needs a newer hostctl: upgrade to an intermediate release first",
            Self::NoTarget { .. } | Self::TooLarge { .. } | Self::Record { .. } => {
                "the release is faulty: tell its publisher"
            }
            Self::Other(_) => return None,
        };
        Some(hint.to_owned())
    }
}
