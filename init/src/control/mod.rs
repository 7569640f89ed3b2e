//! The server side of the control protocol, [`berth_contract::control`], over the Unix socket and the virtio-serial port.
//!
//! Nothing blocks and no memory grows without limit. Answers go into a queue of limited size, and no further request of a client is
//! read while its queue is full. A client that follows a log has a position in the log, not a copy; a slow client misses lines.

pub mod answers;
pub mod channel;
mod line_buffer;
pub mod port;
pub mod server;
pub mod session;

pub use answers::{Answers, LogName, Readiness, Started};
pub use server::Server;
