//! How the slots are found, and whether a release fits.

use super::kit::{BLOCK, Disk, Folder, new_image, old_image, release_version};
use berth_contract::{
    boot_report::{InitrdReport, NextBoot},
    disk::{PartitionRole, Slot},
};
use hostctl::slots::{Filling, Idle, Slots, Survey, copies, partition};
use std::{fs, os::unix::fs::symlink, path::Path};
use tempfile::TempDir;

#[test]
fn a_slot_that_is_too_small_is_refused_before_anything_is_fetched() {
    let folder = TempDir::new().unwrap();
    let new = new_image();
    let mut record = release_version(&new, folder.path(), "2");
    let remote = Folder::new(folder.path());
    let disk = Disk::new(&old_image(), new.len());
    disk.fill(&old_image());
    let refusal = |record: &_| {
        let slots = disk.slots();
        let error = Filling {
            record,
            slots: &slots,
            remote: &remote,
            running_uki: &[],
            decoder: crate::kit::decoder(),
            idle: Idle::Unchecked,
        }
        .ways(Survey::EachWay)
        .unwrap_err();
        (error.to_string().replace(&disk.folder.path().display().to_string(), ""), error.hint())
    };
    let room = fs::metadata(disk.path("b")).unwrap().len();
    record.min_slot.root.0 = room + 1;
    let (text, hint) = refusal(&record);
    assert_eq!(text, format!("/b: the release needs {} bytes here, the partition has {room}", room + 1));
    assert!(hint.unwrap().contains("[disk] slot"));
    record.min_slot.root.0 = room;
    record.min_slot.verity.0 = u64::MAX;
    assert!(refusal(&record).0.starts_with("/b-verity: the release needs"));
    record.min_slot.verity.0 = 0;
    record.root.size -= 1;
    assert!(refusal(&record).0.contains("root.size: expected whole blocks"));
    record.root.size -= 40 * BLOCK as u64 - 1;
    record.root.verity_size += 1;
    assert!(refusal(&record).0.contains("root.verity_size"));
    assert_eq!(remote.requests.get(), 0);
    assert!(!disk.holds_no_version());
}

/// Adds a disk to a sysfs, whose partitions have these labels in order.
fn sysfs(root: &Path, disk: &str, labels: &[&str]) {
    for (number, label) in (1..).zip(labels) {
        let partition = root.join(format!("block/{disk}/{disk}p{number}"));
        fs::create_dir_all(&partition).unwrap();
        fs::write(partition.join("uevent"), format!("DEVTYPE=partition\nPARTNAME={label}\n")).unwrap();
    }
    fs::create_dir_all(root.join("block").join(disk).join("queue")).unwrap();
}

#[test]
fn a_copy_of_the_disk_is_found_whichever_slot_has_the_version() {
    let disk = Disk::new(&old_image(), new_image().len());
    disk.fill(&new_image());
    let in_b = disk.slots().idle.content().unwrap().unwrap().root_hash;
    let (sys, dev) = (disk.path("sys"), disk.path("dev"));
    fs::create_dir(&dev).unwrap();
    let labels = ["esp", "root-a", "root-a-verity", "root-b", "root-b-verity", "var"];
    let files = ["none", "a", "a-verity", "b", "b-verity"];
    // The third disk has the slots the other way round, the fourth one has no slot B, the fifth one has other partitions.
    let swapped = ["esp", "root-b", "root-b-verity", "root-a", "root-a-verity", "var"];
    for (name, labels) in [
        ("nvme0n1", &labels[..]),
        ("nvme1n1", &labels),
        ("nvme2n1", &swapped),
        ("nvme3n1", &labels[..3]),
        ("nvme4n1", &["data"]),
    ] {
        sysfs(&sys, name, labels);
        for (number, file) in (1..).zip(files) {
            symlink(disk.path(file), dev.join(format!("{name}p{number}"))).unwrap();
        }
    }
    for (root_hash, slot, expected) in [
        (disk.running, Slot::A, &["/dev/nvme1n1", "/dev/nvme2n1", "/dev/nvme3n1"][..]),
        (in_b, Slot::B, &["/dev/nvme1n1", "/dev/nvme2n1"]),
    ] {
        let report = InitrdReport {
            phases: vec![],
            root_hash,
            slot,
            disk: "/dev/nvme0n1".to_owned(),
            named_by_firmware: false,
            next_boot: NextBoot::Usual,
        };
        assert_eq!(copies(&report, &sys, &dev), expected);
    }
}

#[test]
fn slots_are_found_by_label_on_the_disk_of_the_host() {
    let new = new_image();
    let disk = Disk::new(&old_image(), new.len());
    disk.fill(&new);
    let (sys, dev) = (disk.path("sys"), disk.path("dev"));
    // The order in the partition table does not matter.
    sysfs(&sys, "nvme0n1", &["root-b-verity", "esp", "root-a", "root-b", "var", "root-a-verity"]);
    fs::create_dir(&dev).unwrap();
    for (number, file) in [(1, "b-verity"), (3, "a"), (4, "b"), (6, "a-verity")] {
        symlink(disk.path(file), dev.join(format!("nvme0n1p{number}"))).unwrap();
    }
    let in_b = disk.slots().idle.content().unwrap().unwrap().root_hash;
    for (slot, root_hash, running, idle) in [(Slot::A, disk.running, 3, 4), (Slot::B, in_b, 4, 3)] {
        let report = InitrdReport {
            phases: vec![],
            root_hash,
            slot,
            disk: "/dev/nvme0n1".to_owned(),
            named_by_firmware: true,
            next_boot: NextBoot::Usual,
        };
        let slots = Slots::find(&report, &sys, &dev).unwrap();
        assert_eq!(slots.running.data.path, dev.join(format!("nvme0n1p{running}")));
        assert_eq!(slots.idle.data.path, dev.join(format!("nvme0n1p{idle}")));
        assert_eq!(slots.running_content.root_hash, root_hash);
        assert_ne!(slots.idle.slot, slot);
        assert_eq!(partition(&report, &sys, &dev, PartitionRole::Esp).unwrap(), dev.join("nvme0n1p2"));
        // The version in the other slot is not the booted one.
        let root_hash = if slot == Slot::A { in_b } else { disk.running };
        let error = Slots::find(&InitrdReport { root_hash, ..report }, &sys, &dev).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("running slot {slot}: expected the hash tree of {root_hash}, found ")),
            "{text}"
        );
    }
    fs::remove_dir_all(sys.join("block/nvme0n1/nvme0n1p4")).unwrap();
    let report = InitrdReport {
        phases: vec![],
        root_hash: disk.running,
        slot: Slot::A,
        disk: "/dev/nvme0n1".to_owned(),
        named_by_firmware: true,
        next_boot: NextBoot::Usual,
    };
    let text = Slots::find(&report, &sys, &dev).unwrap_err().to_string();
    assert!(
        text.ends_with("expected a partition labelled root-b, found esp root-a root-a-verity root-b-verity var"),
        "{text}"
    );
}
