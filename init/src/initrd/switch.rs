//! From the initrd's file system to the real root, as switch_root(8) does it.

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

/// Mounts that go along.
const MOVED: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];

/// Moves into the root, frees the initrd's memory, and executes the host's init. Returns only to say why it could not.
///
/// # Errors
/// The step that failed.
pub fn switch_root() -> Result<(), PathError> {
    for target in MOVED {
        let inside = Path::new(SYSROOT).join(target.trim_start_matches('/'));
        // Should the root lack a directory for it, the mount would stay on the file system that is to be freed.
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

/// Deletes everything on the file system of `directory`, and nothing on any other.
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
            // A mount point, or its parent, stays; it costs nothing.
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
    fn freeing_follows_no_link_and_leaves_nothing() {
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
    fn freeing_stops_at_other_file_systems() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        free_below(dir.path(), 0).unwrap();
        assert!(dir.path().join("file").exists());
    }
}
