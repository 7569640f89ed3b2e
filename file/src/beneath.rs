//! Opening a file of a file system whose content is not trusted: a stick, a disc, or a folder that a user names.

use rustix::{
    fd::OwnedFd,
    fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2},
};
use std::{fs::File, io, path::Path};

/// Opens the regular file at `path`, a relative path below the folder `root`, for reading.
///
/// No symbolic link below `root` is followed, and `path` cannot leave `root`. Never blocks: a FIFO or a device is not opened.
///
/// # Errors
/// The error of openat2(2): `ELOOP` for a symbolic link. [`io::ErrorKind::InvalidInput`] when it is no regular file.
pub fn open_beneath(root: &Path, path: &Path) -> io::Result<File> {
    // Look at the file first: opening a device can have effects.
    regular(beneath(root, path, OFlags::PATH)?)?;
    // The file may have been replaced meanwhile. NONBLOCK: the open call returns even then.
    regular(beneath(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?)
}

fn beneath(root: &Path, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let root = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    loop {
        match openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // A file was renamed at the same time.
            Err(rustix::io::Errno::AGAIN) => {}
            other => return Ok(other?),
        }
    }
}

fn regular(file: OwnedFd) -> io::Result<File> {
    match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(file.into()),
        FileType::Symlink => Err(rustix::io::Errno::LOOP.into()),
        found => {
            let kind = match found {
                FileType::Directory => "a folder",
                FileType::Fifo => "a FIFO",
                FileType::Socket => "a socket",
                _ => "a device",
            };
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("expected a regular file, found {kind}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, mknodat};
    use std::{fs, io::Read as _, os::unix::fs::symlink};

    #[test]
    fn only_regular_files_below_the_folder_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("folder")).unwrap();
        fs::write(dir.path().join("outside"), "secret").unwrap();
        fs::write(root.join("folder/file"), "text").unwrap();
        symlink("folder/file", root.join("link")).unwrap();
        symlink("folder", root.join("way")).unwrap();
        symlink("/proc/self/environ", root.join("proc")).unwrap();
        mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let fault = |path: &str| open_beneath(&root, Path::new(path)).unwrap_err();
        let mut text = String::new();
        open_beneath(&root, Path::new("folder/file")).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        for link in ["link", "way/file", "proc"] {
            assert_eq!(fault(link).raw_os_error(), Some(rustix::io::Errno::LOOP.raw_os_error()), "{link}");
        }
        for outside in ["../outside", "folder/../../outside", "/proc/version"] {
            assert_eq!(fault(outside).raw_os_error(), Some(rustix::io::Errno::XDEV.raw_os_error()), "{outside}");
        }
        for (path, found) in [("fifo", "a FIFO"), ("folder", "a folder")] {
            assert_eq!(fault(path).to_string(), format!("expected a regular file, found {found}"));
        }
        assert_eq!(fault("none").kind(), io::ErrorKind::NotFound);
    }
}
