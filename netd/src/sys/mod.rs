//! The only module with `unsafe`: system calls that rustix does not wrap. Its functions are safe to call.
#![expect(unsafe_code, reason = "rustix has no packet socket and no signalfd")]

pub mod packet;
pub mod signal;
