//! The only place with `unsafe`: system calls that rustix does not wrap. Everything here takes and returns safe values.
#![expect(unsafe_code, reason = "rustix has no packet socket")]

pub mod packet;
