//! PID 1 of a Berth host, and the processes that stand beside it.
#![deny(missing_docs)]

pub mod block;
pub mod config;
pub mod console;
pub mod control;
pub mod drop_in;
pub mod fault;
pub mod host;
pub mod initrd;
pub mod modules;
pub mod mount_table;
pub mod netd;
pub mod power;
pub mod sequence;
pub mod services;
pub mod shutdown;
pub mod slot;
pub mod supervisor;
pub mod sys;
pub mod timeline;
pub mod trial;
pub mod uevent;
