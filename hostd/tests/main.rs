//! The real hostd on the loopback interface, with a fake init and a fake container engine.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod attacks;
mod document;
mod kit;
mod load;
mod settings;
mod tunnels;
