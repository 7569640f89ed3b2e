//! The server side of the control protocol, [`berth_contract::control`], over the Unix socket and the virtio-serial port.
//!
//! The server never blocks, and its memory is limited. The answers to a client go into a queue of limited size. While the queue is full, no
//! further request of this client is read. A client that follows a log has a position in the log, not a copy, so a slow client can miss
//! lines.

mod all_logs;
pub mod answers;
pub mod channel;
mod line_buffer;
pub mod port;
pub mod server;
pub mod session;

pub use answers::{Answers, LogName, Readiness, Started};
pub use server::Server;
