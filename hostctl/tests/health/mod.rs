//! The verdict on a host: init, docker, name server and checks are stood in for, each ill in its own way.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod before;
mod illness;
mod kit;
mod time;
