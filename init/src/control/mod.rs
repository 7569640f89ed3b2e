//! The server side of the control protocol, [`berth_contract::control`], over the Unix socket and the virtio-serial port.
//!
//! Nothing waits and nothing grows: what a client asks is answered into a bounded queue, and no further request of it is read
//! while that is full. A follower of a log has a place in the log, not a copy of it, and misses lines when it is slow.

pub mod answers;
pub mod channel;
mod line_buffer;
pub mod port;
pub mod server;
pub mod session;

pub use answers::{Answers, LogName, Readiness, Started};
pub use server::Server;
