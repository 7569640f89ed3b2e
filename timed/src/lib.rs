//! Keeps the clock right, with Debian's ntpd-rs.
//!
//! ntpd-rs reads its servers only when it starts. This program knows where the servers come from: host.toml, DHCP (from netd's report), or
//! the image. It writes ntpd-rs's configuration, starts ntpd-rs, starts it again when the servers have changed, and reports the state of
//! the clock for `hostctl status`.
//!
//! - [`servers`]: which servers are used.
//! - [`configuration`]: the configuration of ntpd-rs.
//! - [`observation`]: ntpd-rs's report.
//! - [`process`]: the running ntpd-rs.
//! - [`daemon`]: the loop.
#![deny(missing_docs)]

pub mod configuration;
pub mod daemon;
pub mod observation;
pub mod process;
pub mod servers;
