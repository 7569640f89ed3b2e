//! The host's command, and the client of the control protocol that other programs may use as well.
#![deny(missing_docs)]

pub mod client;
pub mod entries;
pub mod show;
pub mod slots;
pub mod source;
pub mod trust;
