//! init: PID 1 of a Berth host, in the initrd and in the root file system. [`sequence`] lists the phases of the boot.
#![deny(missing_docs)]

pub mod block;
pub mod clock;
pub mod config;
pub mod console;
pub mod control;
pub mod crash_records;
pub mod device_modes;
pub mod device_nodes;
pub mod drop_in;
pub mod efi;
pub mod ending;
pub mod host;
pub mod hostname;
pub mod initrd;
pub mod kernel_log;
pub mod modules;
pub mod mount_table;
pub mod mounts;
pub mod phase;
pub mod power;
pub mod random_seed;
pub mod sequence;
pub mod services;
pub mod shutdown;
pub mod slot;
pub mod supervisor;
pub mod sys;
pub mod sysctl;
pub mod timeline;
pub mod trial;
pub mod uevent;
