//! The words that builder, init and hostctl must agree on.
//!
//! Pure data: no I/O, no policy. Every fact of the contract on disk and on the wire stands here once.
#![deny(missing_docs)]

pub mod arch;
pub mod boot_report;
pub mod chain;
pub mod cmdline;
pub mod container;
pub mod container_state;
pub mod control;
pub mod digest;
pub mod disk;
pub mod engine;
pub mod entry;
mod guid;
pub mod host_config;
pub mod image_spec;
pub mod paths;
pub mod release;
pub mod service;
pub mod subject;
pub mod update;
pub mod version;
mod word;
