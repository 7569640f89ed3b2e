//! The only place with `unsafe`: system calls that rustix does not wrap. Everything here takes and returns safe values.
#![expect(unsafe_code, reason = "rustix has no safe wrapper for what is done here")]

pub mod block;
pub mod dm;
pub mod net;
pub mod signal;
pub mod spawn;
pub mod watchdog;
