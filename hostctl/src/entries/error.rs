//! Errors of boot entries.

use crate::{file::FileError, slots::SlotError};
use berth_contract::{
    engine::StoreFormat,
    entry::{BootCounter, TRIES},
    update::{EntryState, Quarantined},
    version::{ImageId, OsVersion},
};
use berth_formats::fat::VolumeError;
use std::{io, path::PathBuf};

/// An error of boot entries.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntriesError {
    /// An operation on a device or file of the host failed.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// The operation.
        verb: &'static str,
        /// The device or file.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// An error of the slots.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// An error of the ESP's file system.
    #[error("{}", path.display())]
    Volume {
        /// The block device of the ESP.
        path: PathBuf,
        /// The error of the file system.
        #[source]
        source: VolumeError,
    },
    /// A file of the host or of its update state cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// No entry on this ESP booted the running version.
    #[error("no boot entry of {id} {version} has the root hash that runs")]
    NoRunning {
        /// The running image.
        id: ImageId,
        /// The running version.
        version: OsVersion,
    },
    /// The running version has not been found healthy.
    #[error("the running version {version} is not blessed: {}", of(*.state))]
    Unblessed {
        /// The running version.
        version: OsVersion,
        /// The state of its entry.
        state: EntryState,
    },
    /// The ESP has no room for one more unified kernel image.
    #[error("the ESP has {free} bytes for boot entries, the new one needs {wanted}")]
    Full {
        /// Bytes needed, in whole clusters.
        wanted: u64,
        /// Bytes free, or free after the entry of the idle slot is removed.
        free: u64,
    },
    /// A file on the ESP does not read back as it was written.
    #[error("{file} on the ESP does not read back as it was written")]
    ReadBack {
        /// File name in `/EFI/Linux`.
        file: String,
    },
    /// The kernel image of a release is not the one that its record describes.
    #[error("kernel image of version {version}: {field}: expected {wanted}, found {found}")]
    OtherImage {
        /// The version of the record.
        version: OsVersion,
        /// The field of the image that differs.
        field: &'static str,
        /// The value in the record.
        wanted: String,
        /// The value in the image.
        found: String,
    },
    /// A second entry of the running version would replace the one that booted it.
    #[error("version {version} is running already")]
    SameVersion {
        /// The version.
        version: OsVersion,
    },
    /// There is no other version to boot.
    #[error("there is no other version to boot: {why}")]
    NoOther {
        /// Why the other slot has none.
        why: String,
    },
    /// The other version has failed on this host.
    #[error("version {} has failed on this host: {}", .0.version, .0.cause)]
    Quarantined(Box<Quarantined>),
    /// The other version is not the requested one.
    #[error("the other slot holds version {found}, not {wanted}")]
    OtherVersion {
        /// The requested version.
        wanted: OsVersion,
        /// The version in the other slot.
        found: OsVersion,
    },
    /// The engine of the other version cannot use the data in /var.
    #[error("version {version} stores the engine's data as {other}, the running one as {running}")]
    Store {
        /// The other version.
        version: OsVersion,
        /// Its store format.
        other: StoreFormat,
        /// The store format of the running version.
        running: StoreFormat,
    },
    /// It is not known whether the engine of the other version can use the data in /var.
    #[error("version {version}: cannot tell whether its engine can use the data in /var: {fault}")]
    UnknownStore {
        /// The other version.
        version: OsVersion,
        /// Why not.
        fault: String,
    },
}

impl EntriesError {
    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::ResourceBusy => "the ESP is in use: another hostctl is running, or the ESP is mounted",
                io::ErrorKind::PermissionDenied => "run it as root",
                _ => return None,
            },
            Self::Volume { source: VolumeError::Damaged { .. }, .. } => {
                "another program has damaged the ESP: start another system and repair the ESP from there (dosfstools: fsck.fat)"
            }
            Self::File(error) => return error.hint(),
            Self::Unblessed { state: EntryState::SetAside, version } => {
                return Some(format!(
                    "a rollback is under way: run `hostctl reboot`, or `hostctl rollback {version}` to keep this version"
                ));
            }
            Self::Unblessed { state: EntryState::Trial(BootCounter { left: 0, done }), .. } if *done > TRIES => {
                "this version has used up its tries and the version in the other slot has not: run `hostctl rollback`"
            }
            Self::Unblessed { .. } => {
                "wait for the health verdict: `hostctl status` shows it, `hostctl logs bless` shows the reasons"
            }
            Self::NoRunning { .. } => "this host was not booted by its own boot loader, so no entry can be trusted",
            Self::Full { .. } => {
                "remove files from the ESP that do not belong to Berth, or install a disk image with a larger [disk] esp"
            }
            Self::ReadBack { .. } => "the disk may be failing: see `hostctl logs kernel`",
            Self::OtherImage { .. } => "the release is faulty: tell its publisher",
            Self::NoOther { .. } => "the first upgrade fills the other slot: run `hostctl upgrade`",
            Self::Quarantined(failed) => {
                return Some(format!("to boot it anyway: `hostctl rollback {}`", failed.version));
            }
            Self::Store { version, .. } | Self::UnknownStore { version, .. } => {
                return Some(format!(
                    "containers and images may be lost; to boot it anyway: `hostctl rollback {version}`"
                ));
            }
            Self::OtherVersion { .. } => "`hostctl status` shows both slots",
            Self::Slot(error) => return error.hint().map(str::to_owned),
            Self::Volume { .. } | Self::SameVersion { .. } => return None,
        };
        Some(text.to_owned())
    }
}

/// The state of an entry in words.
pub(super) fn of(state: EntryState) -> String {
    match state {
        EntryState::None => "no boot entry".to_owned(),
        EntryState::Staged => "staged".to_owned(),
        EntryState::Blessed => "blessed".to_owned(),
        EntryState::Trial(counter) => format!("on trial, {} tries left, {} done", counter.left, counter.done),
        EntryState::Failed => "failed".to_owned(),
        EntryState::SetAside => "set aside".to_owned(),
    }
}
