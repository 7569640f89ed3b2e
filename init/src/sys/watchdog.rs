//! Watchdog descriptors: across exec(2), and their time.

use rustix::io::{FdFlags, fcntl_setfd};
use std::{
    fs, io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
};

/// `_IOWR('W', 6, int)` of linux/watchdog.h.
const WDIOC_SETTIMEOUT: libc::Ioctl = 0xc004_5706;

/// Sets the time in seconds after which it strikes. Returns the one that the driver has taken.
///
/// # Errors
/// What ioctl(2) says: the driver has one time only.
pub fn set_timeout(device: BorrowedFd<'_>, seconds: u32) -> io::Result<u32> {
    let mut value = libc::c_int::try_from(seconds).map_err(io::Error::other)?;
    // SAFETY: WDIOC_SETTIMEOUT reads and writes one int, which lives until the call returns.
    if unsafe { libc::ioctl(device.as_raw_fd(), WDIOC_SETTIMEOUT, &raw mut value) } < 0 {
        return Err(io::Error::last_os_error());
    }
    u32::try_from(value).map_err(io::Error::other)
}

/// Descriptors below `prefix` (`/dev/watchdog`) that the program before this one left open, now this one's own and closed with the
/// next exec(2). Call it before anything else is opened below it.
///
/// # Errors
/// When /proc is not there.
pub fn inherited(prefix: &Path) -> io::Result<Vec<(PathBuf, OwnedFd)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")?.flatten() {
        let number: Option<RawFd> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let (Some(number), Ok(target)) = (number, fs::read_link(entry.path())) else { continue };
        if number > 2 && target.as_os_str().as_encoded_bytes().starts_with(prefix.as_os_str().as_encoded_bytes()) {
            // SAFETY: /proc says that it is open, and what it is open on is opened by nobody else in this program: it was there
            // when the program began, so nothing owns it.
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
    fn descriptors_left_open_are_found_by_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let prefix = dir.path().join("watchdog");
        let left = File::create(dir.path().join("watchdog0")).unwrap().into_raw_fd();
        let _other = File::create(dir.path().join("other")).unwrap();
        let found = inherited(&prefix).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0.as_path(), found[0].1.as_raw_fd()), (dir.path().join("watchdog0").as_path(), left));
        // A file is no watchdog.
        assert!(set_timeout(found[0].1.as_fd(), 60).is_err());
    }
}
