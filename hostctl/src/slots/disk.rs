//! Both slots on the disk from which the host runs.

use super::{
    content::Content,
    device::{Access, Device, SlotDevices},
    error::SlotError,
};
use berth_contract::{
    boot_report::InitrdReport,
    disk::{PartitionRole, Slot},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Both slots, open.
#[derive(Debug)]
pub struct Slots {
    /// The slot from which the host runs.
    pub running: SlotDevices,
    /// The content of the running slot.
    pub running_content: Content,
    /// The other slot.
    pub idle: SlotDevices,
}

impl Slots {
    /// Finds the slots as the initrd did: the disk from its report, the partitions by their labels. `sys` is `/sys` and `dev` is `/dev`.
    ///
    /// # Errors
    /// When a partition is missing or cannot be opened, the idle slot is in use, or the running slot is not the one in the report.
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

    /// Combines two slots that are open already.
    ///
    /// # Errors
    /// When the running slot does not have the root hash of the report.
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

/// The device node of the partition with the label of `role`, on the disk from which the host runs.
///
/// # Errors
/// When sysfs cannot be read, or there is no such partition.
pub fn partition(report: &InitrdReport, sys: &Path, dev: &Path, role: PartitionRole) -> Result<PathBuf, SlotError> {
    // sysfs writes `!` for a `/` in a device name.
    let name = report.disk.strip_prefix("/dev/").unwrap_or(&report.disk).replace('/', "!");
    let disk = sys.join("block").join(name);
    let entries = fs::read_dir(&disk).map_err(|cause| SlotError::Device { verb: "list", path: disk.clone(), cause })?;
    let mut found = Vec::new();
    for entry in entries.flatten() {
        // A directory without this file is not a partition.
        let Ok(uevent) = fs::read_to_string(entry.path().join("uevent")) else { continue };
        let Some(label) = uevent.lines().find_map(|line| line.strip_prefix("PARTNAME=")) else { continue };
        if label == role.label() {
            return Ok(dev.join(entry.file_name().to_string_lossy().replace('!', "/")));
        }
        found.push(label.to_owned());
    }
    found.sort();
    let found = if found.is_empty() { "no partition with a label".to_owned() } else { found.join(" ") };
    Err(SlotError::NoPartition { disk, label: role.label(), found })
}
