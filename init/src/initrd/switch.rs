//! Switches from the initrd to the root file system, like switch_root(8).

use super::root::SYSROOT;
use berth_contract::{
    fault::{At, PathError},
    paths,
};
use rustix::{
    mount::{UnmountFlags, mount_move, unmount},
    process::{chdir, chroot},
};
use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::Command,
};

/// Mounts that are moved to the root file system.
const MOVED: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];

/// Moves the mounts to the root file system, frees the memory of the initrd, and executes the init of the host. Returns only on an error.
///
/// # Errors
/// The step that failed.
pub fn switch_root() -> Result<(), PathError> {
    for target in MOVED {
        let inside = Path::new(SYSROOT).join(target.trim_start_matches('/'));
        // The root file system may lack the directory. Unmount, so that nothing is mounted on the file system that is freed below.
        if let Err(error) = mount_move(target, &inside) {
            let _ = unmount(target, UnmountFlags::DETACH);
            return Err(error).at("move a mount to", inside);
        }
    }
    free(Path::new("/"))?;
    chdir(SYSROOT).at("enter", SYSROOT)?;
    mount_move(".", "/").at("move to /", SYSROOT)?;
    chroot(".").at("change root to", SYSROOT)?;
    chdir("/").at("enter", "/")?;
    let error = Command::new(paths::INIT).env_clear().exec();
    Err(error).at("execute", paths::INIT)
}

/// Deletes everything in `directory` on its file system, and nothing on other file systems.
fn free(directory: &Path) -> Result<(), PathError> {
    let device = fs::symlink_metadata(directory).at("look at", directory)?.dev();
    free_below(directory, device)
}

fn free_below(directory: &Path, device: u64) -> Result<(), PathError> {
    for entry in fs::read_dir(directory).at("list", directory)?.flatten() {
        let path = entry.path();
        let found = fs::symlink_metadata(&path).at("look at", &path)?;
        if found.dev() != device {
            continue;
        }
        if found.is_dir() {
            free_below(&path, device)?;
            // An error is ignored: a mount point or its parent stays, which costs no memory.
            let _ = fs::remove_dir(&path);
        } else {
            fs::remove_file(&path).at("remove", &path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn free_deletes_everything_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let kept = tempfile::tempdir().unwrap();
        fs::write(kept.path().join("file"), "").unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/c"), "").unwrap();
        symlink(kept.path(), dir.path().join("link")).unwrap();
        free(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(kept.path().join("file").exists());
    }

    #[test]
    fn free_stops_at_other_file_systems() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        free_below(dir.path(), 0).unwrap();
        assert!(dir.path().join("file").exists());
    }
}
