//! The program logd, between a fake init and receivers of other projects.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "logd/kit.rs"]
mod kit;
#[path = "logd/loki.rs"]
mod loki;
#[path = "logd/network.rs"]
mod network;
#[path = "logd/stored.rs"]
mod stored;
#[path = "logd/syslog.rs"]
mod syslog;
