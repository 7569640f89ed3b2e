//! A whole host in a folder: hostctl runs in it by chroot, and its devices are files. What needs no boot is tested here, in a second
//! instead of the minute of a virtual machine.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod config;
mod healing;
mod kernel_images;
mod kit;
mod refusals;
mod upgrades;
