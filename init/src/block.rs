//! Disks and partitions as sysfs lists them.

use berth_contract::fault::{At, PathError};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Unit of all sizes in sysfs, in bytes. It does not depend on the sector size of the disk.
const SYSFS_SECTOR: u64 = 512;

/// A whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Kernel name, e.g. `vda`.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// The partitions, ordered by number.
    pub partitions: Vec<Partition>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Kernel name, e.g. `vda2`.
    pub name: String,
    /// Number in the table, from 1.
    pub number: u32,
    /// GPT name.
    pub label: Option<String>,
    /// First byte on the disk.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
}

/// Path of the device node.
#[must_use]
pub fn node(name: &str) -> PathBuf {
    // The names of a few old drivers contain `/`. sysfs writes `!` instead.
    Path::new("/dev").join(name.replace('!', "/"))
}

impl Disk {
    /// The partition with the GPT name `label`.
    #[must_use]
    pub fn partition(&self, label: &str) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.label.as_deref() == Some(label))
    }
}

/// All disks that have a size, ordered by name (shorter names first: `vdz` before `vdaa`).
///
/// # Errors
/// When sysfs is not mounted. A disk that is removed meanwhile is left out.
pub fn disks(sys: &Path) -> Result<Vec<Disk>, PathError> {
    let directory = sys.join("block");
    let mut disks: Vec<Disk> =
        fs::read_dir(&directory).at("list", &directory)?.flatten().filter_map(|entry| disk(&entry.path())).collect();
    disks.sort_by(|a, b| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
    Ok(disks)
}

fn disk(directory: &Path) -> Option<Disk> {
    let size = number(&directory.join("size"))? * SYSFS_SECTOR;
    let inside = fs::read_dir(directory).ok()?.flatten();
    let mut partitions: Vec<Partition> = inside.filter_map(|entry| partition(&entry.path())).collect();
    partitions.sort_by_key(|partition| partition.number);
    (size > 0).then_some(Disk { name: name(directory)?, size, partitions })
}

fn partition(directory: &Path) -> Option<Partition> {
    let number_file = fs::read_to_string(directory.join("partition")).ok()?;
    let uevent = fs::read_to_string(directory.join("uevent")).ok()?;
    Some(Partition {
        name: name(directory)?,
        number: number_file.trim_end().parse().ok()?,
        label: uevent.lines().find_map(|line| line.strip_prefix("PARTNAME=")).map(str::to_owned),
        start: number(&directory.join("start"))? * SYSFS_SECTOR,
        size: number(&directory.join("size"))? * SYSFS_SECTOR,
    })
}

fn name(directory: &Path) -> Option<String> {
    Some(directory.file_name()?.to_str()?.to_owned())
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim_end().parse().ok()
}

/// One line with all disks, for the message that a disk is missing: `vda 4096 MiB (esp root-a ...), vdb 8 MiB ()`.
#[must_use]
pub fn describe(disks: &[Disk]) -> String {
    if disks.is_empty() {
        return "no block devices".to_owned();
    }
    let one = |disk: &Disk| {
        let label = |partition: &Partition| partition.label.clone().unwrap_or_else(|| format!("#{}", partition.number));
        let labels: Vec<String> = disk.partitions.iter().map(label).collect();
        format!("{} {} MiB ({})", disk.name, disk.size >> 20, labels.join(" "))
    };
    disks.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A fake sysfs for tests.
#[cfg(test)]
pub(crate) mod fixture {
    use std::{fs, path::Path};

    /// Adds a disk with partitions (label, size in sectors) from sector 2048 on.
    pub(crate) fn add_disk(sys: &Path, name: &str, partitions: &[(&str, u64)]) {
        let disk = sys.join("block").join(name);
        let mut start = 2048;
        for (index, (label, sectors)) in partitions.iter().enumerate() {
            let number = index + 1;
            let dir = disk.join(format!("{name}{number}"));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("partition"), format!("{number}\n")).unwrap();
            fs::write(dir.join("uevent"), format!("DEVTYPE=partition\nPARTN={number}\nPARTNAME={label}\n")).unwrap();
            fs::write(dir.join("start"), format!("{start}\n")).unwrap();
            fs::write(dir.join("size"), format!("{sectors}\n")).unwrap();
            start += sectors;
        }
        fs::create_dir_all(disk.join("queue")).unwrap();
        fs::write(disk.join("size"), format!("{}\n", start + 2048)).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysfs_is_read_and_described() {
        let sys = tempfile::tempdir().unwrap();
        fixture::add_disk(sys.path(), "vdaa", &[]);
        fixture::add_disk(sys.path(), "vdb", &[("esp", 2048), ("root-a", 8192)]);
        fs::create_dir_all(sys.path().join("block/loop0")).unwrap();
        fs::write(sys.path().join("block/loop0/size"), "0\n").unwrap();
        let disks = disks(sys.path()).unwrap();
        assert_eq!(disks.iter().map(|disk| disk.name.as_str()).collect::<Vec<_>>(), ["vdb", "vdaa"]);
        let root = disks[0].partition("root-a").unwrap();
        assert_eq!((root.name.as_str(), root.number, root.start, root.size), ("vdb2", 2, 4096 * 512, 8192 * 512));
        assert!(disks[0].partition("root-b").is_none());
        assert_eq!(describe(&disks), "vdb 7 MiB (esp root-a), vdaa 2 MiB ()");
        assert_eq!(node("cciss!c0d0"), Path::new("/dev/cciss/c0d0"));
    }
}
