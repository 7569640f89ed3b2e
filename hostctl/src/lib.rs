//! The host's command.
#![deny(missing_docs)]

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
