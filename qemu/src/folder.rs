//! The temporary folder of a machine. A process that is killed cannot remove its folder, so the next machine removes it.

use crate::error::VmError;
use std::{
    fs::{self, File},
    io,
    path::Path,
};
use tempfile::TempDir;

const PREFIX: &str = "berth-vm-";
/// The process that owns the folder holds a lock on this file. The kernel releases the lock when the process ends.
const LOCK: &str = "owner.lock";

/// A folder that is removed when its value is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    folder: TempDir,
    /// QEMU does not inherit this file, so the lock is released when this process ends. QEMU then ends too.
    _lock: File,
}

impl Folder {
    /// Creates a folder in `parent`. First removes the folders in `parent` that ended processes have left behind.
    pub(crate) fn new(parent: &Path) -> Result<Self, VmError> {
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| VmError::Io { doing, path, source }
        };
        remove_orphans(parent);
        let folder =
            tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent).map_err(io("make a folder in", parent))?;
        // The lock file gets its name only after it is locked. Otherwise another process could take this folder for an orphan and remove
        // it.
        let (unnamed, named) = (folder.path().join("new.lock"), folder.path().join(LOCK));
        let lock = File::create(&unnamed).map_err(io("make", &unnamed))?;
        lock.lock().map_err(io("lock", &unnamed))?;
        fs::rename(&unnamed, &named).map_err(io("rename", &unnamed))?;
        Ok(Self { folder, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders of processes that have ended. A folder that cannot be read or removed belongs to another user and is left alone.
fn remove_orphans(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_orphan(&entry.path()).unwrap_or(false) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_orphan(folder: &Path) -> io::Result<bool> {
    Ok(File::options().write(true).open(folder.join(LOCK))?.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_without_an_owner_are_removed_and_others_stay() {
        let parent = tempfile::tempdir().unwrap();
        for (name, file) in [("berth-vm-orphan", LOCK), ("berth-vm-young", "new.lock"), ("other", LOCK)] {
            fs::create_dir(parent.path().join(name)).unwrap();
            fs::write(parent.path().join(name).join(file), "").unwrap();
        }
        let living = Folder::new(parent.path()).unwrap();
        let second = Folder::new(parent.path()).unwrap();
        assert!(living.path().is_dir() && second.path().is_dir());
        let there = ["berth-vm-orphan", "berth-vm-young", "other"].map(|name| parent.path().join(name).exists());
        assert_eq!(there, [false, true, true]);
        drop((living, second));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 2);
    }
}
