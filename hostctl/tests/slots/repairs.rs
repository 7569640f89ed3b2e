//! Damaged blocks of a slot are found, and repaired with blocks of the other slot.

use super::kit::{BLOCK, Disk, new_image, old_image, release_version};
use berth_contract::digest::RootHash;
use hostctl::slots::{Access, Device, SlotDevices};
use std::{fs, process::Command};
use tempfile::TempDir;

/// Opens a slot for writing. Slot A runs.
fn open(disk: &Disk, name: &str) -> SlotDevices {
    let device = |name: &str| Device::open(disk.path(name), Access::Shared).unwrap();
    let slot = if name == "a" { berth_contract::disk::Slot::A } else { berth_contract::disk::Slot::B };
    SlotDevices { slot, data: device(name), verity: device(&format!("{name}-verity")) }
}

fn flip(disk: &Disk, name: &str, at: usize) {
    let bytes = fs::read(disk.path(name)).unwrap();
    disk.overwrite(name, at, &[bytes[at] ^ 8]);
}

fn is_whole(disk: &Disk, name: &str, root: &RootHash) -> bool {
    let paths = [disk.path(name), disk.path(&format!("{name}-verity"))];
    let run = Command::new("veritysetup").arg("verify").args(paths).arg(root.to_string()).output();
    run.expect("veritysetup: run ci/setup").status.success()
}

#[test]
fn blocks_are_repaired_from_the_other_slot_and_blocks_that_are_only_there_are_not() {
    berth_judge::needs!("veritysetup");
    let scratch = TempDir::new().unwrap();
    let (old, new) = (old_image(), new_image());
    let root_b = release_version(&new, scratch.path(), "2").root.root_hash;
    let disk = Disk::new(&old, new.len());
    disk.fill(&new);
    let root_a = disk.running;
    let look = |name: &str, root: &RootHash| open(&disk, name).survey(root, &mut || {}).unwrap();
    assert_eq!((look("a", &root_a).damaged(), look("b", &root_b).damaged()), (0, 0));

    // Blocks that both slots have: one at the same place, one that has moved, one of zeros. And blocks of the hash tree.
    for at in [10 * BLOCK + 5, 700 * BLOCK, 760 * BLOCK + 4095] {
        flip(&disk, "b", at);
    }
    flip(&disk, "b-verity", BLOCK + 40);
    flip(&disk, "b-verity", 3 * BLOCK + 9);
    flip(&disk, "a", 20 * BLOCK);
    let before = fs::read(disk.path("a")).unwrap();
    let survey = look("b", &root_b);
    assert_eq!((survey.data.len(), survey.tree.len(), survey.lost), (3, 2, 0));
    assert_eq!(open(&disk, "b").repair(&survey, &[&open(&disk, "a")]).unwrap(), 5);
    assert_eq!(look("b", &root_b).damaged(), 0);
    assert!(is_whole(&disk, "b", &root_b));
    assert!(fs::read(disk.path("a")).unwrap() == before, "the donor is not written to");

    // The slot that runs is repaired in the same way.
    let survey = look("a", &root_a);
    assert_eq!(survey.damaged(), 1);
    assert_eq!(open(&disk, "a").repair(&survey, &[&open(&disk, "b")]).unwrap(), 1);
    assert!(is_whole(&disk, "a", &root_a));

    // A block that only this slot has, and one whose copy in the other slot is damaged too.
    flip(&disk, "b", 64 * BLOCK);
    flip(&disk, "b", 20 * BLOCK);
    flip(&disk, "a", 20 * BLOCK);
    let (damaged, survey) = (fs::read(disk.path("b")).unwrap(), look("b", &root_b));
    assert_eq!(survey.damaged(), 2);
    assert_eq!(open(&disk, "b").repair(&survey, &[&open(&disk, "a")]).unwrap(), 0);
    assert!(fs::read(disk.path("b")).unwrap() == damaged, "only right bytes are written");
    assert!(look("b", &root_b).damaged() == 2 && !is_whole(&disk, "b", &root_b));

    // Without a superblock the size of the content is not known.
    disk.overwrite("b-verity", 0, &[0; 512]);
    assert!(open(&disk, "b").survey(&root_b, &mut || {}).is_none());
}
