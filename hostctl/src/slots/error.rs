//! What goes wrong with slots.

use super::remote::RemoteError;
use berth_contract::{
    digest::{RootHash, Sha256},
    update::Way,
};
use berth_formats::verity;
use std::{io, path::PathBuf};

/// What goes wrong with slots.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SlotError {
    /// A device or file of the host.
    #[error("cannot {verb} {path}", path = path.display())]
    Device {
        /// What was tried.
        verb: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The disk that the host runs from has no such partition.
    #[error("{disk}: expected a partition labelled {label}, found {found}", disk = disk.display())]
    NoPartition {
        /// The disk in sysfs.
        disk: PathBuf,
        /// The label.
        label: &'static str,
        /// Labels that are there.
        found: String,
    },
    /// What is in the running slot is not what the host has booted.
    #[error("running slot {slot}: expected the hash tree of {wanted}, found {found}")]
    NotRunning {
        /// The slot.
        slot: berth_contract::disk::Slot,
        /// The root hash that the host runs with.
        wanted: RootHash,
        /// The one on the disk, or `none`.
        found: String,
    },
    /// A partition cannot hold the release.
    #[error("{path}: the release needs {wanted} bytes here, the partition has {found}", path = path.display())]
    TooSmall {
        /// The partition.
        path: PathBuf,
        /// Bytes that the release needs.
        wanted: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The release's record contradicts itself.
    #[error("release record: {field}: expected {wanted}, found {found}")]
    Record {
        /// The field.
        field: &'static str,
        /// What it should be.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// The source of the release.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// Bytes of a target broke off, or cannot be unpacked.
    #[error("{target}: cannot read it to its end")]
    Stream {
        /// The target.
        target: String,
        /// What the decoder or the connection says.
        #[source]
        cause: io::Error,
    },
    /// A target that is not what the record promises.
    #[error("{target}: expected {wanted}, found {found}")]
    Target {
        /// The target.
        target: String,
        /// What it should be.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// Bytes of a target that are not those that were signed.
    #[error("{target}: {part}: expected {wanted}, found {found}")]
    Digest {
        /// The target.
        target: String,
        /// Which part of it.
        part: String,
        /// The digest that was signed.
        wanted: Sha256,
        /// That of the bytes that came.
        found: Sha256,
    },
    /// An image came out that is not the one that was signed.
    #[error("root file system: expected root hash {wanted}, found {found}")]
    Mismatch {
        /// The signed root hash.
        wanted: RootHash,
        /// That of what was written.
        found: RootHash,
    },
    /// The hash tree cannot be written.
    #[error(transparent)]
    Tree(#[from] verity::IoError),
    /// What was written does not read back.
    #[error("{path}: what was written does not read back", path = path.display())]
    ReadBack {
        /// The data partition.
        path: PathBuf,
        /// The first block that is wrong.
        #[source]
        cause: Box<verity::VerifyError>,
    },
    /// No way led to the image.
    #[error("no way leads to the new root file system: {}", list(.reasons))]
    AllFailed {
        /// The ways that were tried, and why each failed.
        reasons: Vec<(Way, String)>,
    },
}

impl SlotError {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Device { cause, .. } if cause.kind() == io::ErrorKind::ResourceBusy => {
                Some("another program has the slot open: is an upgrade running already?")
            }
            Self::Device { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied => Some("run it as root"),
            Self::TooSmall { .. } => Some(
                "partitions keep the size they were installed with: make the image smaller, or install a disk image with larger [disk] slot",
            ),
            Self::ReadBack { .. } => {
                Some("the disk does not keep what is written to it: look at `hostctl logs kernel`")
            }
            Self::AllFailed { .. } => Some(
                "the running version is untouched; run `hostctl upgrade` again: of a server with range requests, what is in the slot already is not fetched again",
            ),
            _ => None,
        }
    }

    /// Whether another way cannot help: the fault is this host's own.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Device { .. } => true,
            Self::Tree(error) => error.verb == "write",
            _ => false,
        }
    }
}

fn list(reasons: &[(Way, String)]) -> String {
    reasons.iter().map(|(way, why)| format!("{way}: {why}")).collect::<Vec<_>>().join("; ")
}
