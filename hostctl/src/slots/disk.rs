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
        let running = SlotDevices::open(report, sys, dev, report.slot, Access::Read)?;
        Self::new(running, SlotDevices::open(report, sys, dev, report.slot.other(), Access::Exclusive)?, report)
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

impl SlotDevices {
    /// Opens the partitions of a slot on the disk from which the host runs.
    ///
    /// # Errors
    /// When a partition is missing or cannot be opened.
    pub fn open(report: &InitrdReport, sys: &Path, dev: &Path, slot: Slot, access: Access) -> Result<Self, SlotError> {
        let (data, verity) = PartitionRole::of_slot(slot);
        let open = |role| Device::open(partition(report, sys, dev, role)?, access);
        Ok(Self { slot, data: open(data)?, verity: open(verity)? })
    }
}

/// Other disks that hold the version that runs, in one of their slots: copies of the disk from which the host runs. A disk that cannot be
/// read is left out.
#[must_use]
pub fn copies(report: &InitrdReport, sys: &Path, dev: &Path) -> Vec<String> {
    let disks = fs::read_dir(sys.join("block")).into_iter().flatten().flatten();
    let mut copies = Vec::new();
    for disk in disks {
        let node = format!("/dev/{}", disk.file_name().to_string_lossy().replace('!', "/"));
        let other = InitrdReport { disk: node.clone(), ..report.clone() };
        let holds = |slot| {
            let slot = SlotDevices::open(&other, sys, dev, slot, Access::Read).ok();
            slot.and_then(|slot| slot.content().ok()?).is_some_and(|found| found.root_hash == report.root_hash)
        };
        if node != report.disk && [Slot::A, Slot::B].into_iter().any(holds) {
            copies.push(node);
        }
    }
    copies.sort();
    copies
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
