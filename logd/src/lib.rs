//! `logd`: stores the logs of kernel, init and services on /var, and forwards them.
//!
//! [`collect`] takes the lines from init, [`containers`] those of containers. [`store`] writes them. [`forward`] reads the stored lines and
//! sends them to receivers. Nothing on the host waits for this process: init keeps the newest lines in memory.
#![deny(missing_docs)]

pub mod bell;
pub mod clock;
pub mod collect;
pub mod config;
pub mod containers;
pub mod daemon;
pub mod forward;
pub mod store;
mod sys;
