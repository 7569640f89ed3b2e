//! The network process: sets the Ethernet interfaces up, gets their addresses by DHCP, and writes the resolver's configuration.
//!
//! netd is a separate process because it parses bytes from the network. If PID 1 did that, a crash would be a kernel panic.
//!
//! - [`message`], [`datagram`], [`lease`]: DHCP messages and their meaning, without I/O.
//! - [`client`]: the DHCP client as a state machine without I/O.
//! - [`link`], [`rtnetlink`]: the kernel's interfaces. [`interface`] connects one link with one client.
//! - [`publish`]: files for the rest of the host. [`sntp`]: the clock.
//! - [`daemon`]: the loop.
//!
//! The kernel configures IPv6 (SLAAC). netd reports the addresses, and takes name servers from router advertisements
//! ([`advertisement`]).
#![deny(missing_docs)]

pub mod advertisement;
pub mod client;
pub mod daemon;
pub mod datagram;
pub mod interface;
pub mod lease;
pub mod link;
pub mod message;
pub mod publish;
pub mod rtnetlink;
pub mod sntp;
pub mod sys;
