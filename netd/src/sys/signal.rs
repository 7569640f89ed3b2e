//! SIGHUP as a file descriptor, signalfd(2).

use rustix::io::{Errno, read};
use std::{
    io,
    mem::size_of,
    os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd},
};

/// Receives SIGHUP: the settings have changed.
#[derive(Debug)]
pub struct Hangup(OwnedFd);

impl Hangup {
    /// Blocks the signal, so that it does not end the process, and opens the descriptor.
    ///
    /// # Errors
    /// When sigprocmask(2) or signalfd(2) fails.
    pub fn open() -> io::Result<Self> {
        // SAFETY: all-zero is valid memory for a sigset_t, which sigemptyset then initializes.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: the pointers are to a live sigset_t.
        let fd = unsafe {
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGHUP);
            if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) < 0 {
                return Err(io::Error::last_os_error());
            }
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and has no other owner.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Whether the signal has come since the last call.
    #[must_use]
    pub fn came(&self) -> bool {
        let mut buffer = [0; size_of::<libc::signalfd_siginfo>()];
        let mut came = false;
        loop {
            match read(&self.0, &mut buffer[..]) {
                Ok(1..) => came = true,
                Err(Errno::INTR) => {}
                _ => return came,
            }
        }
    }
}

impl AsFd for Hangup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
