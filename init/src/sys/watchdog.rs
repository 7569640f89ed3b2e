//! Watchdog descriptors: taking them over after exec(2), and setting the timeout.

use rustix::io::{FdFlags, fcntl_setfd};
use std::{
    fs, io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
};

/// `_IOWR('W', 6, int)` of linux/watchdog.h.
const WDIOC_SETTIMEOUT: libc::Ioctl = 0xc004_5706;

/// Sets the timeout of a watchdog, in seconds. Returns the timeout that the driver has chosen.
///
/// # Errors
/// The error of ioctl(2), for example when the driver has a fixed timeout.
pub fn set_timeout(device: BorrowedFd<'_>, seconds: u32) -> io::Result<u32> {
    let mut value = libc::c_int::try_from(seconds).map_err(io::Error::other)?;
    // SAFETY: WDIOC_SETTIMEOUT reads and writes one int, which lives until the call returns.
    if unsafe { libc::ioctl(device.as_raw_fd(), WDIOC_SETTIMEOUT, &raw mut value) } < 0 {
        return Err(io::Error::last_os_error());
    }
    u32::try_from(value).map_err(io::Error::other)
}

/// Takes over the descriptors that the earlier program has left open across exec(2), for paths that start with `prefix`
/// (`/dev/watchdog`). They are closed at the next exec(2). Call this before this program opens such a path.
///
/// # Errors
/// When /proc is not mounted.
pub fn inherited(prefix: &Path) -> io::Result<Vec<(PathBuf, OwnedFd)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")?.flatten() {
        let number: Option<RawFd> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let (Some(number), Ok(target)) = (number, fs::read_link(entry.path())) else { continue };
        if number > 2 && target.as_os_str().as_encoded_bytes().starts_with(prefix.as_os_str().as_encoded_bytes()) {
            // SAFETY: /proc lists the descriptor, so it is open. This program opens no path below `prefix` before this call, so the
            // descriptor was open when the program started, and nothing in the program owns it.
            let fd = unsafe { OwnedFd::from_raw_fd(number) };
            fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
            found.push((target, fd));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::File,
        os::fd::{AsFd, IntoRawFd},
    };

    #[test]
    fn descriptors_that_were_left_open_are_found_by_their_path() {
        let dir = tempfile::tempdir().unwrap();
        let prefix = dir.path().join("watchdog");
        let left = File::create(dir.path().join("watchdog0")).unwrap().into_raw_fd();
        let _other = File::create(dir.path().join("other")).unwrap();
        let found = inherited(&prefix).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0.as_path(), found[0].1.as_raw_fd()), (dir.path().join("watchdog0").as_path(), left));
        // A file is not a watchdog.
        assert!(set_timeout(found[0].1.as_fd(), 60).is_err());
    }
}
