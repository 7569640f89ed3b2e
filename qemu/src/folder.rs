//! The throw-away folder of a machine. A process that is killed cannot remove its own: the next machine does it.

use crate::error::VmError;
use std::{
    fs::{self, File},
    io,
    path::Path,
};
use tempfile::TempDir;

const PREFIX: &str = "berth-vm-";
/// Held locked as long as the folder's owner lives; the kernel lets go of it in any case.
const LOCK: &str = "owner.lock";

/// A folder that is removed with its value.
#[derive(Debug)]
pub(crate) struct Folder {
    folder: TempDir,
    /// Not handed down to QEMU, which ends with its owner.
    _lock: File,
}

impl Folder {
    /// Makes one in `parent`, and removes those there whose owners are gone.
    pub(crate) fn new(parent: &Path) -> Result<Self, VmError> {
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| VmError::Io { doing, path, source }
        };
        remove_orphans(parent);
        let folder =
            tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent).map_err(io("make a folder in", parent))?;
        // It gets its name when it is locked, so that nobody takes this folder for an orphan.
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

/// What cannot be looked at or removed is somebody else's.
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
    fn orphans_go_and_the_living_stay() {
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
