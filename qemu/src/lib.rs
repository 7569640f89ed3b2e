//! Drives a virtual machine, for the product's tests and for `berth run`.
#![deny(missing_docs)]

pub mod accel;
pub mod booted;
pub mod console;
mod description;
pub mod disk;
pub mod error;
pub mod firmware;
mod folder;
pub mod machine;
pub mod monitor;
pub mod once;
pub mod patience;
pub mod pki;
pub mod program;
pub mod run;
mod save;
pub mod standstill;
pub mod tool;
mod watch;
