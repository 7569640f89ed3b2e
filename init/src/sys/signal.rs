//! Signals as a file descriptor, signalfd(2).

use rustix::io::Errno;
use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd},
};

/// A descriptor for blocked signals: they are read instead of delivered. It is close-on-exec and non-blocking.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

/// One received signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Number of the signal (`libc::SIGTERM`, ...).
    pub signal: i32,
    /// Process that sent the signal; 0 for the kernel.
    pub sender: u32,
}

impl SignalFd {
    /// Blocks `signals` in the calling thread, and opens a descriptor for them. Threads that are started later inherit the block, so call
    /// this before the first thread is started. Processes inherit the block as well, so start them with [`super::spawn::spawn`].
    ///
    /// # Errors
    /// The error of sigprocmask(2) or signalfd(2).
    pub fn block(signals: &[i32]) -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset initialises the set it is given; sigaddset refuses bad numbers by itself.
        let set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for &signal in signals {
                if libc::sigaddset(set.as_mut_ptr(), signal) != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            set.assume_init()
        };
        // SAFETY: `set` is initialised and outlives both calls; a null old set is allowed.
        let fd = unsafe {
            let failed = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            if failed != 0 {
                return Err(io::Error::from_raw_os_error(failed));
            }
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal, or `None` when no signal is pending.
    ///
    /// # Errors
    /// The error of read(2).
    pub fn read(&self) -> io::Result<Option<Received>> {
        // struct signalfd_siginfo, 128 bytes: ssi_signo at 0, ssi_pid at 12.
        let mut info = [0; 128];
        match rustix::io::read(&self.0, &mut info) {
            Ok(128) => {}
            Ok(got) => return Err(io::Error::other(format!("signalfd: expected 128 bytes, found {got}"))),
            Err(Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let word = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
        Ok(Some(Received { signal: word(0).cast_signed(), sender: word(12) }))
    }
}

/// Unblocks all signals in the calling thread. This is a single system call, so it may be used between fork(2) and exec(2).
///
/// # Errors
/// The error of sigprocmask(2).
pub fn unblock_all() -> io::Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set before it is read; a null old set is allowed.
    let failed = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut())
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(failed)) }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_is_read_from_the_descriptor() {
        let thread = std::thread::spawn(|| {
            let fd = SignalFd::block(&[libc::SIGUSR1]).unwrap();
            assert_eq!(fd.read().unwrap(), None);
            // SAFETY: raising a signal that this thread blocks.
            unsafe { libc::raise(libc::SIGUSR1) };
            assert_eq!(fd.read().unwrap(), Some(Received { signal: libc::SIGUSR1, sender: std::process::id() }));
        });
        thread.join().unwrap();
    }
}
