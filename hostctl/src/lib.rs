//! The host's command, and the client of the control protocol that other programs may use as well.
#![deny(missing_docs)]

pub mod client;
pub mod entries;
pub mod file;
pub mod health;
pub mod machine;
pub mod settle;
pub mod show;
pub mod slots;
pub mod source;
pub mod trust;
pub mod upgrade;
pub mod why;
