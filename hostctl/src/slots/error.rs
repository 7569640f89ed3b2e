//! Errors of slots, and of the targets that fill them.

use berth_contract::{
    digest::{RootHash, Sha256},
    update::Way,
};
use berth_formats::verity;
use std::{io, path::PathBuf};

/// Why a target of a release cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The server sends whole files only, or a part that was not requested.
    #[error("{target}: the server does not support range requests")]
    NoRanges {
        /// The target.
        target: String,
    },
    /// The release has no such target.
    #[error("{target}: not among the signed targets")]
    Missing {
        /// The target.
        target: String,
    },
    /// The target is longer than the limit.
    #[error("{target}: expected at most {limit} bytes, found {found}")]
    TooLong {
        /// The target.
        target: String,
        /// The limit in bytes.
        limit: u64,
        /// The signed length in bytes.
        found: u64,
    },
    /// Any other error.
    #[error("{target}: cannot be fetched")]
    Failed {
        /// The target.
        target: String,
        /// The error of the source.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// An error of a slot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SlotError {
    /// An operation on a device or file of the host failed.
    #[error("cannot {verb} {path}", path = path.display())]
    Device {
        /// The operation.
        verb: &'static str,
        /// The device or file.
        path: PathBuf,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// The disk of the host has no partition with this label.
    #[error("{disk}: expected a partition labelled {label}, found {found}", disk = disk.display())]
    NoPartition {
        /// The disk in sysfs.
        disk: PathBuf,
        /// The expected label.
        label: &'static str,
        /// The labels on the disk.
        found: String,
    },
    /// The hash tree in the running slot is not the one that the host has booted.
    #[error("running slot {slot}: expected the hash tree of {wanted}, found {found}")]
    NotRunning {
        /// The slot.
        slot: berth_contract::disk::Slot,
        /// The root hash with which the host was booted.
        wanted: RootHash,
        /// The root hash on the disk, or `none`.
        found: String,
    },
    /// Several disks hold the version that runs, and it is not known which one was booted.
    #[error("{disk} or a copy of it was booted, and the firmware does not tell which: {} hold the same version", others.join(", "))]
    Copies {
        /// The disk that runs.
        disk: String,
        /// The other disks.
        others: Vec<String>,
    },
    /// A partition is too small for the release.
    #[error("{path}: the release needs {wanted} bytes here, the partition has {found}", path = path.display())]
    TooSmall {
        /// The partition.
        path: PathBuf,
        /// Bytes that the release needs.
        wanted: u64,
        /// Size of the partition in bytes.
        found: u64,
    },
    /// The record of the release contradicts itself.
    #[error("release record: {field}: expected {wanted}, found {found}")]
    Record {
        /// The field.
        field: &'static str,
        /// The expected value.
        wanted: String,
        /// The value found.
        found: String,
    },
    /// A target of the release cannot be read.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A target ended early, or cannot be unpacked.
    #[error("{target}: cannot read or unpack the whole file")]
    Stream {
        /// The target.
        target: String,
        /// The error of the decoder or of the connection.
        #[source]
        cause: io::Error,
    },
    /// The process that unpacks cannot be started.
    #[error("cannot start the decoder")]
    Decoder {
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// A target does not match the record.
    #[error("{target}: expected {wanted}, found {found}")]
    Target {
        /// The target.
        target: String,
        /// The expected value.
        wanted: String,
        /// The value found.
        found: String,
    },
    /// Bytes of a target do not have the signed digest.
    #[error("{target}: {part}: expected {wanted}, found {found}")]
    Digest {
        /// The target.
        target: String,
        /// The part of the target.
        part: String,
        /// The signed digest.
        wanted: Sha256,
        /// The digest of the fetched bytes.
        found: Sha256,
    },
    /// The written root file system is not the signed one.
    #[error("root file system: expected root hash {wanted}, found {found}")]
    Mismatch {
        /// The signed root hash.
        wanted: RootHash,
        /// The root hash of what was written.
        found: RootHash,
    },
    /// The hash tree cannot be written: building the tree only writes.
    #[error(transparent)]
    Tree(#[from] verity::IoError),
    /// The slot does not read back as it was written.
    #[error("{path}: does not read back as it was written", path = path.display())]
    ReadBack {
        /// The data partition.
        path: PathBuf,
        /// The first wrong block.
        #[source]
        cause: Box<verity::VerifyError>,
    },
    /// Every way to fill the slot failed.
    #[error("cannot fetch the new root file system: {}", list(.reasons))]
    AllFailed {
        /// The ways that were tried, each with its error.
        reasons: Vec<(Way, String)>,
    },
}

impl SlotError {
    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Device { cause, .. } if cause.kind() == io::ErrorKind::ResourceBusy => {
                Some("another program has the slot open: is another upgrade running?")
            }
            Self::Device { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied => Some("run it as root"),
            Self::Copies { .. } => Some("detach the disks that are not meant to run, then reboot"),
            Self::TooSmall { .. } => Some(
                "an upgrade cannot change partition sizes: make the image smaller, or install a disk image with a larger [disk] slot",
            ),
            Self::ReadBack { .. } => Some("the disk may be failing: see `hostctl logs kernel`"),
            Self::AllFailed { .. } => Some(
                "the running version is unchanged; run `hostctl upgrade` again: blocks that are in the slot already are not fetched again if the server supports range requests",
            ),
            _ => None,
        }
    }

    /// Whether trying another way is pointless because the error is on this host.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Device { .. } | Self::Tree(_))
    }
}

fn list(reasons: &[(Way, String)]) -> String {
    reasons.iter().map(|(way, why)| format!("{way}: {why}")).collect::<Vec<_>>().join("; ")
}
