//! Erasing /var: the mark that asks for it, and the new file system.

use crate::slots::{self, SlotError};
use berth_contract::{
    boot_report::InitrdReport,
    disk::{BLOCK, PartitionRole, VAR_EMPTY_MARK, VAR_ERASE_MARK},
};
use berth_formats::{
    ext4::{self, Ext4Error, MIN_SIZE},
    range::Range,
};
use rustix::{
    fs::{Advice, FallocateFlags, fadvise, fallocate},
    mount::{MountFlags, UnmountFlags, mount, unmount},
    rand::{GetRandomFlags, getrandom},
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Length of the mark in bytes.
const LEN: usize = VAR_ERASE_MARK.len();
/// Length of the first block in bytes.
const FIRST: usize = 4096;
/// Bytes at the start of the first block that are not part of ext4. The mark is in them.
const BOOT: usize = 1024;

/// What happens to /var at the next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is erased.
    Erase,
    /// It is erased, except the configuration.
    EraseButConfig,
    /// It is kept.
    Keep,
}

/// The user has not confirmed the loss of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "everything in /var would be erased: containers, images, volumes, logs, the machine id, and the memory of updates"
)]
pub struct NotSure;

impl NotSure {
    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(self) -> String {
        "save what you need, then: `hostctl reset --yes`, or `hostctl reset --keep-config --yes`".to_owned()
    }
}

/// Why /var cannot be marked or made.
#[derive(Debug, thiserror::Error)]
pub enum VarError {
    /// The partition cannot be found.
    #[error(transparent)]
    Partition(#[from] SlotError),
    /// An operation on the partition failed.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// The operation.
        verb: &'static str,
        /// The device node.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The partition has no mark, so nothing is erased.
    #[error("{}: expected the mark of `hostctl reset` in the first block, found none", path.display())]
    NotMarked {
        /// The device node.
        path: PathBuf,
    },
    /// The file system cannot be made.
    #[error(transparent)]
    Make(#[from] Ext4Error),
}

/// The device of the var partition.
///
/// # Errors
/// When there is none.
pub fn partition(report: &InitrdReport) -> Result<PathBuf, VarError> {
    Ok(slots::partition(report, Path::new("/sys"), Path::new("/dev"), PartitionRole::Var)?)
}

/// Writes or removes the mark, and reads it back from the disk. The file system may be mounted: ext4 does not use these bytes.
///
/// # Errors
/// When the device cannot be written, or does not read back.
pub fn mark(device: &Path, mark: Mark) -> Result<(), VarError> {
    let wanted = match mark {
        Mark::Erase => *VAR_ERASE_MARK,
        Mark::EraseButConfig => *VAR_EMPTY_MARK,
        Mark::Keep => [0; LEN],
    };
    let io = |verb| move |source| VarError::Io { verb, path: device.to_owned(), source };
    let file = File::options().read(true).write(true).open(device).map_err(io("open"))?;
    file.write_all_at(&wanted, 0).and_then(|()| file.sync_all()).map_err(io("write"))?;
    // An error is ignored: then the cache is read.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    let mut found = [0; LEN];
    file.read_exact_at(&mut found, 0).map_err(io("read"))?;
    if found == wanted { Ok(()) } else { Err(io("read back")(io::ErrorKind::InvalidData.into())) }
}

/// Makes a new, small file system on a partition with the mark [`Mark::Erase`], or empties one with the mark [`Mark::EraseButConfig`]; init grows it. The first block is written last, and its part with the mark after the rest. `epoch` is the
/// time of the file system, in seconds since 1970.
///
/// # Errors
/// When the partition has no mark, or cannot be written.
pub fn make(device: &Path, epoch: u64) -> Result<(), VarError> {
    let io = |verb| move |source| VarError::Io { verb, path: device.to_owned(), source };
    let mut file = File::options().read(true).write(true).open(device).map_err(io("open"))?;
    let mut found = [0; LEN];
    file.read_exact_at(&mut found, 0).map_err(io("read"))?;
    if found == *VAR_EMPTY_MARK {
        return empty(device);
    }
    if found != *VAR_ERASE_MARK {
        return Err(VarError::NotMarked { path: device.to_owned() });
    }
    let size = file.seek(SeekFrom::End(0)).map_err(io("find the size of"))?.min(MIN_SIZE);
    // Made in memory first: only the blocks that are not zero take room.
    let made = tempfile::tempfile().map_err(io("make a file for the content of"))?;
    made.set_len(size).map_err(io("make a file for the content of"))?;
    let epoch = epoch.min(u32::MAX.into());
    ext4::write(&Range::new(&made, 0, size), new_uuid(), PartitionRole::Var.label(), epoch, &BTreeMap::new())?;
    zero(&file, BLOCK, size).map_err(io("erase"))?;
    copy(&made, &file).map_err(io("write"))?;
    file.sync_all().map_err(io("write"))?;
    let mut first = [0; FIRST];
    made.read_exact_at(&mut first, 0).map_err(io("read"))?;
    // The disk may write only a part of the block before a power cut. The mark goes when all else is there.
    let (boot, superblock) = first.split_at(BOOT);
    for (bytes, at) in [(superblock, BOOT as u64), (boot, 0)] {
        file.write_all_at(bytes, at).and_then(|()| file.sync_all()).map_err(io("write"))?;
    }
    Ok(())
}

/// Where the file system is mounted while it is emptied.
const MOUNTED: &str = "/run/berth/reset";

/// Removes everything but the configuration, and the mark last.
fn empty(device: &Path) -> Result<(), VarError> {
    let mounted = Path::new(MOUNTED);
    let io = |verb| move |source| VarError::Io { verb, path: device.to_owned(), source };
    fs::create_dir_all(mounted).map_err(io("make a folder to mount"))?;
    mount(device, mounted, "ext4", MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC, None)
        .map_err(|error| io("mount")(error.into()))?;
    let emptied = keep_only(mounted, &KEPT).map_err(io("erase"));
    rustix::fs::sync();
    unmount(mounted, UnmountFlags::empty()).map_err(|error| io("unmount")(error.into()))?;
    emptied?;
    mark(device, Mark::Keep)
}

/// Paths that `hostctl reset --keep-config` keeps, relative to /var.
const KEPT: [&str; 3] = ["lib/berth/config", "lib/berth/host.toml.good", "lib/berth/host.toml.place"];

/// Removes everything in a folder but these paths.
fn keep_only(folder: &Path, kept: &[&str]) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let name: &str = &name.to_string_lossy();
        if kept.contains(&name) {
            continue;
        }
        let inside: Vec<&str> = kept.iter().filter_map(|kept| kept.strip_prefix(name)?.strip_prefix('/')).collect();
        match (entry.file_type()?.is_dir(), inside.is_empty()) {
            (true, true) => fs::remove_dir_all(&path)?,
            (true, false) => keep_only(&path, &inside)?,
            (false, _) => fs::remove_file(&path)?,
        }
    }
    Ok(())
}

/// A random UUID (version 4).
fn new_uuid() -> [u8; 16] {
    let mut bytes = [0; 16];
    // An error is ignored: the kernel's generator is always there, and the UUID need not be secret.
    let _ = getrandom(&mut bytes, GetRandomFlags::empty());
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    bytes
}

/// Makes the bytes from `start` to `end` zero.
fn zero(file: &File, start: u64, end: u64) -> io::Result<()> {
    if fallocate(file, FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE, start, end - start).is_ok() {
        return Ok(());
    }
    let zeros = vec![0; 1 << 20];
    let mut at = start;
    while at < end {
        let len = (end - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..usize::try_from(len).unwrap_or(0)], at)?;
        at += len;
    }
    Ok(())
}

/// Copies all data of the sparse file `from`, except the first block.
fn copy(from: &File, to: &File) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 20];
    let mut at = FIRST as u64;
    loop {
        let start = match rustix::fs::seek(from, rustix::fs::SeekFrom::Data(at)) {
            Err(rustix::io::Errno::NXIO) => return Ok(()),
            found => found?.max(at),
        };
        let end = rustix::fs::seek(from, rustix::fs::SeekFrom::Hole(start))?;
        at = start;
        while at < end {
            let piece = &mut bytes[..usize::try_from((end - at).min(1 << 20)).unwrap_or(0)];
            from.read_exact_at(piece, at)?;
            to.write_all_at(piece, at)?;
            at += piece.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn all_but_the_kept_paths_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let all = [
            "lib/berth/config/1.toml",
            "lib/berth/host.toml.good",
            "lib/berth/machine-id",
            "lib/docker/x/y",
            "log/a",
            "top",
        ];
        for name in all {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        std::os::unix::fs::symlink("/etc", dir.path().join("link")).unwrap();
        // A power cut in between: the second run does the rest.
        for _ in 0..2 {
            keep_only(dir.path(), &KEPT).unwrap();
        }
        let left: Vec<&str> = all.into_iter().filter(|name| dir.path().join(name).exists()).collect();
        assert_eq!(left, ["lib/berth/config/1.toml", "lib/berth/host.toml.good"]);
        assert!(Path::new("/etc/passwd").exists() && fs::symlink_metadata(dir.path().join("link")).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only lib is left");
    }

    #[test]
    fn only_a_marked_partition_is_erased_and_the_new_file_system_is_sound() {
        berth_judge::needs!("e2fsck", "dumpe2fs");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("var");
        let size = MIN_SIZE + (64 << 20);
        let file = File::create_new(&path).unwrap();
        file.set_len(size).unwrap();
        // The old content: nothing of it may be left where the new file system expects zeros.
        for at in (0..size).step_by(1 << 20) {
            file.write_all_at(&[0xa5; 8192], at).unwrap();
        }
        assert!(matches!(make(&path, 1000), Err(VarError::NotMarked { .. })));
        mark(&path, Mark::Erase).unwrap();
        mark(&path, Mark::Keep).unwrap();
        assert!(matches!(make(&path, 1000), Err(VarError::NotMarked { .. })));
        mark(&path, Mark::Erase).unwrap();
        make(&path, 1_000_000_000).unwrap();
        assert!(matches!(make(&path, 1000), Err(VarError::NotMarked { .. })), "the mark is gone");
        let judge = |program: &str, argument: &str| {
            let output = Command::new(program).arg(argument).arg(&path).output().expect("run ci/setup");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{program}: {said}");
            said
        };
        judge("e2fsck", "-fn");
        assert!(judge("dumpe2fs", "-h").contains("Filesystem volume name:   var"));
    }
}
