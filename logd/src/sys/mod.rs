//! System calls without a safe wrapper.
#![allow(unsafe_code, reason = "system calls")]

use rustix::{
    io,
    ioctl::{Getter, ioctl},
};
use std::{ffi::c_int, os::fd::AsFd};

/// SIOCOUTQ of linux/sockios.h, tcp(7).
const SIOCOUTQ: rustix::ioctl::Opcode = 0x5411;

/// Number of bytes that were written to a TCP socket, and that the peer's kernel has not acknowledged yet.
///
/// # Errors
/// The error of ioctl(2).
pub(crate) fn unacknowledged(socket: impl AsFd) -> io::Result<usize> {
    // SAFETY: SIOCOUTQ writes one int to the address that it gets.
    let count = unsafe { ioctl(socket, Getter::<SIOCOUTQ, c_int>::new()) }?;
    Ok(usize::try_from(count).unwrap_or(0))
}
