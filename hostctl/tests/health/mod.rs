//! The verdict on a host. Stand-ins replace init, docker, the name server and the checks, and each of them fails in its own way.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod before;
mod illness;
mod kit;
mod time;
