//! The network process: sets the Ethernet interfaces up, gets their addresses by DHCP, and writes the resolver's configuration. It
//! is a process and a crate of its own, because it parses bytes from the network: a crash of PID 1 would be a kernel panic.
//!
//! - [`message`], [`datagram`], [`lease`]: the messages and what they mean. Pure.
//! - [`client`]: the DHCP client as a state machine without I/O.
//! - [`link`], [`rtnetlink`]: the kernel's interfaces. [`interface`] connects one link with one client.
//! - [`publish`], [`notify`]: files and messages for the rest of the host. [`sntp`]: the clock.
//! - [`daemon`]: the loop.
//!
//! The kernel configures IPv6 (SLAAC); netd only reports the addresses.
#![deny(missing_docs)]

pub mod client;
pub mod daemon;
pub mod datagram;
pub mod interface;
pub mod lease;
pub mod link;
pub mod message;
pub mod notify;
pub mod publish;
pub mod rtnetlink;
pub mod sntp;
pub mod sys;
