//! Finds the slot to boot: the slot whose hash tree has the root hash of the kernel command line. Nothing else on the disk selects the
//! slot.

pub mod boot_disk;

use crate::block::{self, Disk, Partition};
use berth_contract::{
    digest::RootHash,
    disk::{PartitionRole, Slot},
    fault::PathError,
};
use berth_formats::verity::{Superblock, TOP_BLOCK_OFFSET, root_hash_of};
use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// A slot that holds the wanted root file system.
#[derive(Clone, Debug)]
pub struct Found {
    /// The disk of the slot.
    pub disk: Disk,
    /// The slot: A or B.
    pub slot: Slot,
    /// Partition of the root file system.
    pub data: Partition,
    /// Partition of the hash tree.
    pub verity: Partition,
    /// Superblock of the hash tree.
    pub superblock: Superblock,
}

/// The result of one search on all disks.
#[derive(Debug, Default)]
pub struct Search {
    /// Slots with the wanted root hash, ordered by disk.
    pub matches: Vec<Found>,
    /// One sentence about each other slot, for the error message when no slot matches.
    pub others: Vec<String>,
}

/// Reads the hash trees of both slots on every disk that has them. `dev` is `/dev`, `sys` is `/sys`.
///
/// # Errors
/// When sysfs is not mounted. A slot that cannot be read is listed in [`Search::others`].
pub fn search(sys: &Path, dev: &Path, wanted: RootHash) -> Result<Search, PathError> {
    let mut search = Search::default();
    for disk in block::disks(sys)? {
        for slot in [Slot::A, Slot::B] {
            let (data, verity) = PartitionRole::of_slot(slot);
            let (Some(data), Some(verity)) = (disk.partition(data.label()), disk.partition(verity.label())) else {
                continue;
            };
            match head(&dev.join(&verity.name)) {
                Ok((superblock, found)) if found == wanted => search.matches.push(Found {
                    disk: disk.clone(),
                    slot,
                    data: data.clone(),
                    verity: verity.clone(),
                    superblock,
                }),
                Ok((_, found)) => search.others.push(format!("{} has {found}", verity.name)),
                Err(why) => search.others.push(format!("{} {why}", verity.name)),
            }
        }
    }
    Ok(search)
}

/// Reads superblock and root hash of a hash tree from its first two blocks.
fn head(device: &Path) -> Result<(Superblock, RootHash), String> {
    let (mut first, mut top) = ([0; 512], [0; 4096]);
    let read = |first: &mut [u8], top: &mut [u8]| -> io::Result<()> {
        let device = File::open(device)?;
        device.read_exact_at(first, 0)?;
        device.read_exact_at(top, TOP_BLOCK_OFFSET)
    };
    read(&mut first, &mut top).map_err(|error| format!("cannot be read: {error}"))?;
    if first.iter().all(|&byte| byte == 0) {
        return Err("is empty".to_owned());
    }
    let superblock = Superblock::parse(&first).map_err(|error| error.to_string())?;
    let root_hash = root_hash_of(&superblock, &top);
    Ok((superblock, root_hash))
}

/// A slot to boot from.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The slot.
    pub found: Found,
    /// Whether the firmware has named its disk as the one that it started.
    pub named_by_firmware: bool,
}

/// Chooses between disks with the same root file system, for example a disk and its copy. Takes the disk that the firmware has started
/// (`started`). If none of them is that disk, or the firmware does not tell: the disk that holds the partition of the boot loader
/// (`holds_loader`, which is also true for a copy), or else the first disk by name.
#[must_use]
pub fn choose(
    mut matches: Vec<Found>,
    started: impl Fn(&Disk) -> bool,
    holds_loader: impl Fn(&Disk) -> bool,
) -> Option<Choice> {
    let on_path: Vec<usize> = (0..matches.len()).filter(|&index| started(&matches[index].disk)).collect();
    // Two disks at one controller may look the same to us.
    let named = on_path
        .first()
        .copied()
        .filter(|&first| on_path.iter().all(|&index| matches[index].disk.name == matches[first].disk.name));
    let index = named.or_else(|| matches.iter().position(|found| holds_loader(&found.disk))).unwrap_or(0);
    let found = (index < matches.len()).then(|| matches.swap_remove(index))?;
    Some(Choice { found, named_by_firmware: named.is_some() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::fixture::add_disk;
    use std::{fs, process::Command};

    /// Makes a hash tree with veritysetup, over `blocks` blocks of the byte `fill`.
    fn hash_tree(path: &Path, fill: u8, blocks: usize) -> RootHash {
        let data = path.with_extension("data");
        fs::write(&data, vec![fill; blocks * 4096]).unwrap();
        let output = Command::new("veritysetup").arg("format").arg(&data).arg(path).output().expect("run ci/setup");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find_map(|line| line.strip_prefix("Root hash:")).unwrap().trim().parse().unwrap()
    }

    const LAYOUT: [(&str, u64); 5] =
        [("esp", 2048), ("root-a", 2048), ("root-a-verity", 2048), ("root-b", 2048), ("root-b-verity", 2048)];

    #[test]
    fn the_slot_with_the_wanted_root_hash_is_found_whether_it_is_a_or_b() {
        berth_judge::needs!("veritysetup");
        let dir = tempfile::tempdir().unwrap();
        let (sys, dev) = (dir.path().join("sys"), dir.path().join("dev"));
        fs::create_dir(&dev).unwrap();
        add_disk(&sys, "vda", &LAYOUT);
        // A tree of several levels, and a tree of one block.
        let in_a = hash_tree(&dev.join("vda3"), 1, 300);
        let in_b = hash_tree(&dev.join("vda5"), 2, 3);
        for (wanted, slot, data) in [(in_a, Slot::A, "vda2"), (in_b, Slot::B, "vda4")] {
            let search = search(&sys, &dev, wanted).unwrap();
            let [found] = &search.matches[..] else { panic!("one slot") };
            assert_eq!((found.slot, found.data.name.as_str(), found.disk.name.as_str()), (slot, data, "vda"));
            assert_eq!(search.others.len(), 1);
        }
        let nothing: RootHash = "00".repeat(32).parse().unwrap();
        let others = search(&sys, &dev, nothing).unwrap().others;
        assert_eq!(others, [format!("vda3 has {in_a}"), format!("vda5 has {in_b}")]);
    }

    #[test]
    fn slots_without_a_hash_tree_are_described() {
        let dir = tempfile::tempdir().unwrap();
        let (sys, dev) = (dir.path().join("sys"), dir.path().join("dev"));
        fs::create_dir(&dev).unwrap();
        add_disk(&sys, "vda", &LAYOUT);
        add_disk(&sys, "vdb", &LAYOUT[..2]);
        add_disk(&sys, "vdc", &LAYOUT);
        fs::write(dev.join("vda3"), vec![0; 8192]).unwrap();
        fs::write(dev.join("vda5"), vec![0x55; 8192]).unwrap();
        fs::write(dev.join("vdc3"), vec![0; 100]).unwrap();
        let search = search(&sys, &dev, "11".repeat(32).parse().unwrap()).unwrap();
        assert!(search.matches.is_empty());
        let [empty, foreign, short, missing] = &search.others[..] else { panic!("{:?}", search.others) };
        assert_eq!(empty, "vda3 is empty");
        assert!(foreign.starts_with("vda5 ") && foreign.len() > 10, "{foreign}");
        assert!(short.starts_with("vdc3 cannot be read"), "{short}");
        assert!(missing.starts_with("vdc5 cannot be read"), "{missing}");
    }

    #[test]
    fn the_started_disk_is_taken_then_that_of_the_boot_loader_then_the_first() {
        berth_judge::needs!("veritysetup");
        let dir = tempfile::tempdir().unwrap();
        let (sys, dev) = (dir.path().join("sys"), dir.path().join("dev"));
        fs::create_dir(&dev).unwrap();
        for disk in ["vda", "vdb", "vdc"] {
            add_disk(&sys, disk, &LAYOUT);
        }
        let wanted = hash_tree(&dev.join("vda3"), 7, 4);
        fs::copy(dev.join("vda3"), dev.join("vdb5")).unwrap();
        fs::copy(dev.join("vda3"), dev.join("vdc3")).unwrap();
        for (started, loader, expected) in [
            (&["vdc"][..], "vdb", ("vdc", Slot::A, true)),
            (&["vdb"], "", ("vdb", Slot::B, true)),
            (&[], "vdb", ("vdb", Slot::B, false)),
            (&["vdd"], "", ("vda", Slot::A, false)),
            // The path leads to a controller with two of the disks.
            (&["vda", "vdc"], "vdc", ("vdc", Slot::A, false)),
        ] {
            let matches = search(&sys, &dev, wanted).unwrap().matches;
            let choice =
                choose(matches, |disk| started.contains(&disk.name.as_str()), |disk| disk.name == loader).unwrap();
            let found = (choice.found.disk.name.as_str(), choice.found.slot, choice.named_by_firmware);
            assert_eq!(found, expected, "{started:?} {loader}");
        }
        assert!(choose(Vec::new(), |_| true, |_| true).is_none());
    }
}
