//! /var, the only persistent file system. At boot its partition is grown to the end of the disk, and then its ext4 while it is mounted.

use super::{
    erase::{EraseError, erase_if_marked},
    fsck::{self, FsckError, Repair},
};
use crate::{
    block::{self, Disk, Partition},
    console, sys,
};
use berth_contract::{
    disk::PartitionRole,
    fault::{At, Failure, PathError},
    paths,
};
use berth_formats::gpt::{self, GptError, Grown};
use rustix::mount::{MountFlags, mount};
use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// Directories that init and other programs need, even without a tmpfiles.d line.
const DIRECTORIES: [(&str, u32); 7] = [
    ("/var/cache", 0o755),
    ("/var/lib", 0o755),
    (paths::STATE, 0o700),
    ("/var/log", 0o755),
    ("/var/spool", 0o755),
    ("/var/tmp", 0o1777),
    ("/var/opt", 0o755),
];
const LINKS: [(&str, &str); 2] = [("/var/run", "/run"), ("/var/lock", "/run/lock")];

/// Bytes by which the file system grows in one step: less than a second, also on a slow disk.
const STEP: u64 = 32 << 30;

/// Why /var cannot be mounted or grown.
#[derive(Debug, thiserror::Error)]
pub enum VarError {
    /// The disk of the root file system was removed.
    #[error("disk {disk} of the root file system: not found; block devices: {found}")]
    NoDisk {
        /// The node of the disk.
        disk: String,
        /// The block devices that exist.
        found: String,
    },
    /// The disk has no var partition.
    #[error("partition var: not found on {found}")]
    NoPartition {
        /// The disk and its partitions.
        found: String,
    },
    /// An operation on a file or device failed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A user has asked to erase /var, and that has failed.
    #[error(transparent)]
    Erase(#[from] EraseError),
    /// The partition table cannot be grown.
    #[error("{disk}: {source}")]
    Table {
        /// The node of the disk.
        disk: String,
        /// The cause.
        source: GptError,
    },
    /// The partition has no ext4 file system.
    #[error("{}: expected an ext4 file system, found none", device.display())]
    NotExt4 {
        /// The node of the partition.
        device: PathBuf,
    },
    /// The file system is damaged, and could not be repaired.
    #[error("{damage}; {source}")]
    Lost {
        /// What is wrong.
        damage: String,
        /// Why it could not be repaired.
        source: FsckError,
    },
    /// The disk is larger than the file system can become.
    #[error(
        "/var: has {has} of the {size} TiB of its partition: its file system was made without the ext4 feature 64bit, so it ends at 16 TiB"
    )]
    TooLarge {
        /// Size of the file system after its growth, in TiB.
        has: u64,
        /// Size of the partition, in TiB.
        size: u64,
    },
}

/// The result of [`mount_persistent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// The growth that [`grow`] must do for the file system.
    pub growth: Option<Growth>,
    /// What was wrong with the file system, if files may be lost.
    pub damage: Option<String>,
}

/// How far a file system can grow: it is smaller than its partition. It may have its largest size already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Present size in blocks of the file system.
    has: u64,
    /// New size in blocks of the file system.
    blocks: u64,
    /// New size in bytes.
    bytes: u64,
    /// Size of the partition in bytes.
    partition: u64,
}

/// Grows the var partition of `disk` (a node like `/dev/vda`) to the end of the disk, and mounts it. If the file system is damaged, repairs
/// it first; `begin_repair` is called before that, because a repair may take long.
///
/// # Errors
/// When there is no var partition, or its file system cannot be repaired or mounted. Then nothing is mounted.
pub fn mount_persistent(disk: &str, begin_repair: impl FnOnce()) -> Result<Mounted, VarError> {
    let sys = Path::new("/sys");
    let disks = block::disks(sys)?;
    let Some(found) = disks.iter().find(|found| block::node(&found.name) == Path::new(disk)) else {
        return Err(VarError::NoDisk { disk: disk.to_owned(), found: block::describe(&disks) });
    };
    let Some(partition) = found.partition(PartitionRole::Var.label()) else {
        return Err(VarError::NoPartition { found: block::describe(std::slice::from_ref(found)) });
    };
    // The boot continues if the partition cannot be grown: its present size can be used.
    let size = grow_partition(found, partition).unwrap_or_else(|error| {
        console::warning(format_args!(
            "partition var cannot be grown and stays at {} MiB: {error}",
            partition.size >> 20
        ));
        partition.size
    });
    let device = block::node(&partition.name);
    erase_if_marked(&device)?;
    let mount = || -> Result<Option<Growth>, VarError> {
        let growth = growth(&device, size)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME;
        mount(&device, paths::VAR, "ext4", flags, None).at("mount", &device)?;
        Ok(growth)
    };
    // The kernel has noted an error in the superblock, or cannot mount the file system.
    let damage = if has_errors(&device)? {
        format!("{}: its file system has errors", device.display())
    } else {
        match mount() {
            Ok(growth) => return Ok(Mounted { growth, damage: None }),
            Err(error) => error.to_string(),
        }
    };
    console::announce(&format!("{damage}: running e2fsck, which may take long"));
    begin_repair();
    let repair = match fsck::repair(fsck::program(), &device) {
        Ok(repair) => repair,
        // Without e2fsck, or if it fails, a file system with errors can still be mounted, as without a check.
        Err(source) => match mount() {
            Ok(growth) => {
                return Ok(Mounted { growth, damage: Some(format!("{damage}; it is used as it is: {source}")) });
            }
            Err(_) => return Err(VarError::Lost { damage, source }),
        },
    };
    let growth = mount()?;
    console::announce(&format!("{}: repaired", device.display()));
    let lossy = format!("{damage}; it was repaired: files may be lost, or in /var/lost+found");
    Ok(Mounted { growth, damage: (repair == Repair::Full).then_some(lossy) })
}

/// Whether the kernel has noted errors in the superblock: bit `EXT4_ERROR_FS` of `s_state`.
fn has_errors(device: &Path) -> Result<bool, PathError> {
    let mut state = [0; 2];
    File::open(device).and_then(|file| file.read_exact_at(&mut state, 1024 + 0x3a)).at("read", device)?;
    Ok(u16::from_le_bytes(state) & 2 != 0)
}

/// Mounts a tmpfs on /var, so that the host comes up and an administrator can find the cause.
///
/// # Errors
/// The error of mount(2).
pub fn mount_in_memory() -> Result<(), PathError> {
    mount("tmpfs", paths::VAR, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=0755,size=50%"))
        .at("mount", paths::VAR)
}

impl Growth {
    /// Less than a block of the partition may be left.
    fn check(&self) -> Result<(), VarError> {
        if self.partition - self.bytes < 1 << 20 {
            return Ok(());
        }
        Err(VarError::TooLarge { has: self.bytes >> 40, size: self.partition >> 40 })
    }
}

/// Grows the partition to the end of the disk, in the partition table and in the kernel. Returns its size.
fn grow_partition(disk: &Disk, partition: &Partition) -> Result<u64, VarError> {
    // The user may have added a partition after var. Then there is no space to grow into.
    if disk.partitions.iter().any(|other| other.start > partition.start) {
        return Ok(partition.size);
    }
    let node = block::node(&disk.name);
    let mut device = OpenOptions::new().read(true).write(true).open(&node).at("open", &node)?;
    let table = |source| VarError::Table { disk: node.display().to_string(), source };
    match gpt::grow_last(&mut device, disk.size).map_err(table)? {
        Grown::Already => Ok(partition.size),
        Grown::To { size } => {
            sys::block::resize_partition(&device, partition.number, partition.start, size)
                .at("resize", block::node(&partition.name))?;
            console::info(format_args!(
                "{}: grown from {} to {} MiB",
                partition.name,
                partition.size >> 20,
                size >> 20
            ));
            Ok(size)
        }
    }
}

/// Reads the superblock of ext4 (fs/ext4/ext4.h, always at byte 1024) and compares its size with `size`, the bytes of the partition.
fn growth(device: &Path, size: u64) -> Result<Option<Growth>, VarError> {
    let mut superblock = [0; 1024];
    File::open(device).and_then(|file| file.read_exact_at(&mut superblock, 1024)).at("read", device)?;
    let not_ext4 = || VarError::NotExt4 { device: device.to_owned() };
    growth_of(&superblock, size).ok_or_else(not_ext4)
}

/// The outer `None` means that this is not an ext4 superblock, the inner `None` that the file system fills the partition.
fn growth_of(superblock: &[u8; 1024], size: u64) -> Option<Option<Growth>> {
    /// `EXT4_FEATURE_INCOMPAT_64BIT`
    const WIDE: u32 = 0x80;
    let word =
        |at: usize| u32::from_le_bytes([superblock[at], superblock[at + 1], superblock[at + 2], superblock[at + 3]]);
    let (count_low, log_block_size, incompatible, count_high) = (word(0x4), word(0x18), word(0x60), word(0x150));
    if superblock[0x38..0x3a] != [0x53, 0xef] || log_block_size > 6 {
        return None;
    }
    let wide = incompatible & WIDE != 0;
    let has = u64::from(count_low) | if wide { u64::from(count_high) << 32 } else { 0 };
    let block_size = 1024_u64 << log_block_size;
    let fitting = size / block_size;
    let blocks = fitting.min(if wide { u64::MAX } else { u64::from(u32::MAX) });
    // At its largest size it cannot grow, but each boot says so.
    let growth = Growth { has, blocks, bytes: blocks * block_size, partition: size };
    Some((blocks > has || blocks < fitting).then_some(growth))
}

/// Grows the mounted file system. This takes a second or more on a large disk. Programs can use /var meanwhile. The kernel cannot be
/// interrupted, so the file system grows in steps: when `stop` says so, /var can be unmounted soon, and the next boot continues.
///
/// # Errors
/// When the kernel refuses, or the partition is larger than the file system can become.
pub fn grow(growth: &Growth, stop: &AtomicBool) -> Result<(), VarError> {
    let directory = File::open(paths::VAR).at("open", paths::VAR)?;
    for blocks in steps(growth) {
        if stop.load(Ordering::Relaxed) {
            console::info(format_args!("/var: not grown to its full size: the host is going down"));
            return Ok(());
        }
        sys::block::resize_ext4(&directory, blocks).at("grow", paths::VAR)?;
    }
    if growth.blocks > growth.has {
        console::info(format_args!("/var: grown to {} MiB", growth.bytes >> 20));
    }
    growth.check()
}

/// The sizes in blocks that the file system gets, one after the other.
fn steps(growth: &Growth) -> impl Iterator<Item = u64> + use<> {
    let (last, step) = (growth.blocks, (STEP / (growth.bytes / growth.blocks).max(1)).max(1));
    let mut size = growth.has;
    std::iter::from_fn(move || {
        (size < last).then(|| {
            size = size.saturating_add(step).min(last);
            size
        })
    })
}

/// Makes the directories and links that programs expect.
///
/// # Errors
/// When one of them cannot be made.
pub fn furnish() -> Result<(), Failure> {
    for (path, mode) in DIRECTORIES {
        if !Path::new(path).is_dir() {
            fs::create_dir_all(path).at("create", path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("set mode of", path)?;
        }
    }
    for (link, target) in LINKS {
        if fs::symlink_metadata(link).is_err() {
            std::os::unix::fs::symlink(target, link).at("link", link)?;
        }
    }
    fs::create_dir_all("/run/lock").at("create", "/run/lock")?;
    fs::set_permissions("/run/lock", fs::Permissions::from_mode(0o1777)).at("set mode of", "/run/lock")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Reads superblocks that mke2fs has made.
    #[test]
    fn growth_is_computed_from_real_superblocks() {
        berth_judge::needs!("mke2fs");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fs");
        for (features, block) in [("64bit", 4096_u64), ("^64bit", 4096), ("^64bit", 1024)] {
            File::create(&path).unwrap().set_len(32 << 20).unwrap();
            let status = Command::new("mke2fs")
                .args(["-q", "-F", "-t", "ext4", "-O", features, "-b", &block.to_string()])
                .arg(&path)
                .status()
                .expect("run ci/setup");
            assert!(status.success());
            assert_eq!(growth(&path, 32 << 20).unwrap(), None, "{features} {block}");
            assert_eq!(growth(&path, (32 << 20) + block - 1).unwrap(), None, "{features} {block}");
            let bytes = 64 << 20;
            let has = (32 << 20) / block;
            let wanted = Growth { has, blocks: bytes / block, bytes, partition: bytes };
            assert_eq!(growth(&path, bytes).unwrap(), Some(wanted));
            let large = growth(&path, 1 << 60).unwrap().unwrap();
            assert_eq!(large.blocks, if features == "64bit" { (1 << 60) / block } else { u64::from(u32::MAX) });
            match large.check() {
                Ok(()) => assert_eq!(features, "64bit"),
                Err(error) => assert!(error.to_string().contains("of the 1048576 TiB"), "{error}"),
            }
        }
    }

    #[test]
    fn a_file_system_of_the_largest_size_is_reported_at_each_boot() {
        let mut superblock = [0; 1024];
        superblock[4..8].fill(0xff);
        superblock[0x18] = 2;
        superblock[0x38..0x3a].copy_from_slice(&[0x53, 0xef]);
        let full = u64::from(u32::MAX) * 4096;
        assert_eq!(growth_of(&superblock, full), Some(None));
        let growth = growth_of(&superblock, full + (1 << 40)).unwrap().unwrap();
        assert_eq!(steps(&growth).count(), 0);
        assert!(growth.check().is_err());
    }

    #[test]
    fn a_file_system_grows_in_steps_up_to_its_new_size() {
        let grow = |has: u64, bytes: u64| {
            steps(&Growth { has, blocks: bytes / 4096, bytes, partition: bytes })
                .map(|blocks| blocks * 4096)
                .collect::<Vec<_>>()
        };
        assert_eq!(grow(1 << 17, 4 << 30), [4 << 30]);
        assert_eq!(
            grow(1 << 17, 100 << 30),
            [(512 << 20) + STEP, (512 << 20) + 2 * STEP, (512 << 20) + 3 * STEP, 100 << 30]
        );
        assert!(grow(1 << 20, 4 << 30).is_empty());
    }

    #[test]
    fn a_partition_without_ext4_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zero");
        File::create(&path).unwrap().set_len(1 << 20).unwrap();
        let error = growth(&path, 1 << 20).unwrap_err().to_string();
        assert!(error.ends_with("expected an ext4 file system, found none"), "{error}");
        assert!(growth(&dir.path().join("none"), 1).is_err());
    }

    #[test]
    fn a_missing_disk_is_an_error_that_names_it() {
        let error = mount_persistent("/dev/no-such-disk", || {}).unwrap_err().to_string();
        assert!(error.starts_with("disk /dev/no-such-disk of the root file system: not found"), "{error}");
    }
}
