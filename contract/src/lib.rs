//! The facts that builder, init and hostctl must agree on: names, paths, limits, file formats and the control protocol.
//!
//! This crate has data types only, without I/O and without policy. Each fact is written once, here.
#![deny(missing_docs)]

pub mod arch;
pub mod boot_report;
pub mod capability;
pub mod chain;
pub mod cmdline;
pub mod config_fault;
pub mod config_source;
pub mod container;
pub mod container_state;
pub mod control;
pub mod credentials;
pub mod digest;
pub mod disk;
pub mod engine;
pub mod entry;
pub mod fault;
pub mod generation;
mod guid;
pub mod host_config;
pub mod image_spec;
pub mod limit;
pub mod log_config;
pub mod log_line;
pub mod network_config;
mod network_status;
pub mod paths;
mod pem;
pub mod release;
pub mod remote_api;
pub mod remote_config;
#[cfg(feature = "schema")]
pub mod schema;
pub mod service;
pub mod service_set;
pub mod service_state;
pub mod subject;
pub mod system_calls;
pub mod system_config;
pub mod time_config;
pub mod update;
pub mod version;
mod word;
