//! System calls that rustix does not wrap. Only this module uses `unsafe`. All its functions have safe interfaces.
#![expect(unsafe_code, reason = "rustix has no safe wrapper for these system calls")]

pub mod block;
pub mod confine;
pub mod dm;
pub mod mount_view;
pub mod net;
pub mod signal;
pub mod spawn;
pub mod watchdog;
