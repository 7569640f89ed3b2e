//! What goes wrong with boot entries.

use crate::{file::FileError, slots::SlotError};
use berth_contract::{
    engine::StoreFormat,
    entry::{BootCounter, TRIES},
    update::{EntryState, Quarantined},
    version::{ImageId, OsVersion},
};
use berth_formats::fat::VolumeError;
use std::{io, path::PathBuf};

/// What goes wrong with boot entries.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntriesError {
    /// A device or file of the host.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The slots.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The ESP's file system.
    #[error("{}", path.display())]
    Volume {
        /// The ESP's device.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: VolumeError,
    },
    /// A file of the host, or of what it remembers.
    #[error(transparent)]
    File(#[from] FileError),
    /// The version that runs was not booted by an entry of this ESP.
    #[error("no boot entry of {id} {version} has the root hash that runs")]
    NoRunning {
        /// Which image runs.
        id: ImageId,
        /// Which version.
        version: OsVersion,
    },
    /// The version that runs has not been found healthy.
    #[error("the running version {version} is not blessed: {}", of(*.state))]
    Unblessed {
        /// Which runs.
        version: OsVersion,
        /// What its entry is.
        state: EntryState,
    },
    /// The ESP is too small for one more unified kernel image.
    #[error("the ESP has {free} bytes for boot entries, the new one needs {wanted}")]
    Full {
        /// In whole clusters.
        wanted: u64,
        /// What is free, or will be when the idle slot's entry is gone.
        free: u64,
    },
    /// What was written to the ESP reads back as something else.
    #[error("{file} on the ESP does not read back as it was written")]
    ReadBack {
        /// Its name in `/EFI/Linux`.
        file: String,
    },
    /// An entry of the version that runs would take the place of the one that booted it.
    #[error("version {version} runs already")]
    SameVersion {
        /// Which.
        version: OsVersion,
    },
    /// There is nothing to go back to.
    #[error("there is no other version to go to: {why}")]
    NoOther {
        /// What the other slot has.
        why: String,
    },
    /// The other version has failed on this host.
    #[error("version {} has failed on this host: {}", .0.version, .0.cause)]
    Quarantined(Box<Quarantined>),
    /// The other version is not the one that was named.
    #[error("the other slot holds version {found}, not {wanted}")]
    OtherVersion {
        /// As asked for.
        wanted: OsVersion,
        /// What is there.
        found: OsVersion,
    },
    /// The engine of the other version cannot take over what is in /var.
    #[error("version {version} keeps the engine's data as {other}, the running one as {running}")]
    Store {
        /// The other version.
        version: OsVersion,
        /// Its format.
        other: StoreFormat,
        /// The format of what is in /var.
        running: StoreFormat,
    },
}

impl EntriesError {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::ResourceBusy => "the ESP is in use: by another hostctl, or it is mounted",
                io::ErrorKind::PermissionDenied => "run it as root",
                _ => return None,
            },
            Self::Volume { source: VolumeError::Damaged { .. }, .. } => {
                "another program has damaged the ESP: repair it with `fsck.fat -a` from another system"
            }
            Self::File(error) => return error.hint(),
            Self::Unblessed { state: EntryState::SetAside, version } => {
                return Some(format!(
                    "a rollback is under way: run `hostctl reboot`, or `hostctl rollback {version}` to stay"
                ));
            }
            Self::Unblessed { state: EntryState::Trial(BootCounter { left: 0, done }), .. } if *done > TRIES => {
                "it has failed all its tries, the version in the other slot has not: `hostctl rollback` goes there"
            }
            Self::Unblessed { .. } => {
                "wait for the health verdict: `hostctl status` shows it, `hostctl logs bless` its reasons"
            }
            Self::NoRunning { .. } => {
                "this host was booted by other means than its boot loader: no entry can be trusted"
            }
            Self::Full { .. } => {
                "remove files from the ESP that are not Berth's, or install a disk image with a larger [disk] esp"
            }
            Self::ReadBack { .. } => "the disk does not keep what is written to it: see `hostctl logs kernel`",
            Self::NoOther { .. } => "the first upgrade fills the other slot: run `hostctl upgrade`",
            Self::Quarantined(failed) => {
                return Some(format!("to try it nevertheless: `hostctl rollback {}`", failed.version));
            }
            Self::Store { version, .. } => {
                return Some(format!(
                    "containers and images may be lost; to go there nevertheless: `hostctl rollback {version}`"
                ));
            }
            Self::OtherVersion { .. } => "`hostctl status` shows both slots",
            Self::Slot(error) => return error.hint().map(str::to_owned),
            Self::Volume { .. } | Self::SameVersion { .. } => return None,
        };
        Some(text.to_owned())
    }
}

/// An entry's state in words.
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
