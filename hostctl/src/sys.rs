//! System calls that need unsafe code.

use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Moves this thread into namespaces of its own.
///
/// # Errors
/// The kernel refuses it.
#[expect(unsafe_code, reason = "the table of file descriptors could be unshared by it")]
pub(crate) fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    let flags = flags - UnshareFlags::FILES;
    // SAFETY: the table of file descriptors stays as it is.
    unsafe { unshare_unsafe(flags) }
}

/// Closes a file that no value of this program owns. A file that is closed already is no error.
#[expect(unsafe_code, reason = "the number may be owned by a value")]
pub(crate) fn close(file: i32) {
    // SAFETY: the caller has opened no file yet, so no value owns the number.
    let _ = unsafe { libc::close(file) };
}
