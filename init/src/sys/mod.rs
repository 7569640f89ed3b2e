//! The only place with `unsafe`: system calls that rustix does not wrap. Everything here takes and returns safe values.
#![expect(unsafe_code, reason = "ioctl(2) and signalfd(2) have no safe wrapper in rustix")]

pub mod block;
pub mod dm;
pub mod net;
pub mod packet;
pub mod signal;
pub mod spawn;
