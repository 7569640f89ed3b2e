//! Loads a kernel module, as an intruder would: finit_module(2).
#![expect(unsafe_code, reason = "the standard library has no such function")]

use std::{fs::File, io, os::fd::AsRawFd, path::Path};

/// Gives the file to the kernel.
pub(crate) fn load(file: &Path) -> io::Result<()> {
    let file = File::open(file)?;
    // SAFETY: the file is open, and the parameters are a string with an end.
    let result = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
