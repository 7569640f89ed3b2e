//! The partitions of both slots.

use super::{content::Content, error::SlotError};
use berth_contract::{
    boot_report::InitrdReport,
    disk::{PartitionRole, Slot},
};
use rustix::fs::OFlags;
use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// An open partition, or a file in its place.
#[derive(Debug)]
pub struct Device {
    /// Its node.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    pub(super) file: File,
}

/// Whether a device may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only read.
    Read,
    /// Read and written, and by nobody else: a device that is mounted or under dm-verity is refused.
    Exclusive,
}

impl Device {
    /// Opens a partition.
    ///
    /// # Errors
    /// When it cannot be opened, or is in use and [`Access::Exclusive`].
    pub fn open(path: PathBuf, access: Access) -> Result<Self, SlotError> {
        let mut options = File::options();
        options.read(true).write(access == Access::Exclusive);
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

/// Data and hash tree of a slot.
#[derive(Debug)]
pub struct SlotDevices {
    /// Which slot.
    pub slot: Slot,
    /// The root file system.
    pub data: Device,
    /// Its hash tree.
    pub verity: Device,
}

impl SlotDevices {
    /// What its hash tree says that it holds; nothing where there is no tree, or one that is larger than the partitions.
    ///
    /// # Errors
    /// When a device cannot be read.
    pub fn content(&self) -> Result<Option<Content>, SlotError> {
        Content::read(self)
    }
}

/// Both slots of the disk that the host runs from.
#[derive(Debug)]
pub struct Slots {
    /// The slot that runs.
    pub running: SlotDevices,
    /// What is in it.
    pub running_content: Content,
    /// The other one.
    pub idle: SlotDevices,
}

impl Slots {
    /// Finds them as the initrd stage has: the disk from its report, the partitions by their labels. `sys` is `/sys` and
    /// `dev` is `/dev`.
    ///
    /// # Errors
    /// When a partition is missing, cannot be opened, the idle one is in use, or the running one is not what the report says.
    pub fn find(report: &InitrdReport, sys: &Path, dev: &Path) -> Result<Self, SlotError> {
        let open = |slot: Slot, access| {
            let (data, verity) = PartitionRole::of_slot(slot);
            Ok::<_, SlotError>(SlotDevices {
                slot,
                data: Device::open(partition(report, sys, dev, data)?, access)?,
                verity: Device::open(partition(report, sys, dev, verity)?, access)?,
            })
        };
        let other = match report.slot {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        };
        Self::new(open(report.slot, Access::Read)?, open(other, Access::Exclusive)?, report)
    }

    /// Takes slots that are open already.
    ///
    /// # Errors
    /// When the running one is not what the report says.
    pub fn new(running: SlotDevices, idle: SlotDevices, report: &InitrdReport) -> Result<Self, SlotError> {
        match running.content()? {
            Some(running_content) if running_content.root_hash == report.root_hash => {
                Ok(Self { running, running_content, idle })
            }
            other => Err(SlotError::NotRunning {
                slot: running.slot,
                wanted: report.root_hash,
                found: other.map_or_else(|| "none".to_owned(), |content| content.root_hash.to_string()),
            }),
        }
    }
}

/// The node of a partition of the disk that the host runs from, by its label.
///
/// # Errors
/// When sysfs cannot be read, or there is no such partition.
pub fn partition(report: &InitrdReport, sys: &Path, dev: &Path, role: PartitionRole) -> Result<PathBuf, SlotError> {
    // sysfs writes `!` for the `/` of a few drivers' names.
    let name = report.disk.strip_prefix("/dev/").unwrap_or(&report.disk).replace('/', "!");
    let disk = sys.join("block").join(name);
    let entries = fs::read_dir(&disk).map_err(|cause| SlotError::Device { verb: "list", path: disk.clone(), cause })?;
    let mut found = Vec::new();
    for entry in entries.flatten() {
        // Whatever has no such file is no partition.
        let Ok(uevent) = fs::read_to_string(entry.path().join("uevent")) else { continue };
        let Some(label) = uevent.lines().find_map(|line| line.strip_prefix("PARTNAME=")) else { continue };
        if label == role.label() {
            return Ok(dev.join(entry.file_name().to_string_lossy().replace('!', "/")));
        }
        found.push(label.to_owned());
    }
    found.sort();
    let found = if found.is_empty() { "none with a label".to_owned() } else { found.join(" ") };
    Err(SlotError::NoPartition { disk, label: role.label(), found })
}
