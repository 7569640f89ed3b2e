//! The partitions of a slot.

use super::error::SlotError;
use berth_contract::disk::Slot;
use rustix::fs::OFlags;
use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::PathBuf,
};

/// An open partition, or in tests a file.
#[derive(Debug)]
pub struct Device {
    /// Path of the device node.
    pub path: PathBuf,
    /// Size in bytes.
    pub size: u64,
    pub(super) file: File,
}

/// How a device is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// For reading.
    Read,
    /// For reading and writing, also while dm-verity uses the device: to repair blocks of the slot that runs.
    Shared,
    /// For reading and writing, by this process only. A device that is mounted or used by dm-verity is refused.
    Exclusive,
}

impl Device {
    /// Opens a partition.
    ///
    /// # Errors
    /// When the partition cannot be opened, or [`Access::Exclusive`] is requested and it is in use.
    pub fn open(path: PathBuf, access: Access) -> Result<Self, SlotError> {
        let mut options = File::options();
        options.read(true).write(access != Access::Read);
        if access == Access::Exclusive {
            options.custom_flags(OFlags::EXCL.bits().cast_signed());
        }
        let opened = options.open(&path).and_then(|mut file| Ok((file.seek(SeekFrom::End(0))?, file)));
        match opened {
            Ok((size, file)) => Ok(Self { path, size, file }),
            Err(cause) => Err(SlotError::Device { verb: "open", path, cause }),
        }
    }

    pub(super) fn failed(&self, verb: &'static str) -> impl FnOnce(io::Error) -> SlotError {
        let path = self.path.clone();
        move |cause| SlotError::Device { verb, path, cause }
    }

    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), SlotError> {
        self.file.write_all_at(bytes, offset).map_err(self.failed("write"))
    }

    pub(super) fn sync(&self) -> Result<(), SlotError> {
        self.file.sync_all().map_err(self.failed("sync"))
    }
}

/// The two partitions of a slot.
#[derive(Debug)]
pub struct SlotDevices {
    /// A or B.
    pub slot: Slot,
    /// The root file system.
    pub data: Device,
    /// Its hash tree.
    pub verity: Device,
}
