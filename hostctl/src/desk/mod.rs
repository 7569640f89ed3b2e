//! Reaching a host from another computer, a desk: its hosts and certificates, and the connection to hostd.

mod address;
mod connection;
mod error;
mod fault;
mod hosts;
mod tls;
mod tunnel;

pub use address::Address;
pub use connection::{Desk, fingerprint};
pub use error::DeskError;
pub use hosts::{Hosts, KnownHost};
pub use tunnel::Tunnels;
