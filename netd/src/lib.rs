//! The network process: sets the machine's Ethernet interfaces up, asks DHCP for their addresses, and keeps the resolver's
//! configuration. Its own process, so that a parser's crash is not the kernel's panic.
//!
//! - [`message`], [`datagram`], [`lease`]: what is on the wire, and what it means. Pure.
//! - [`client`]: the DHCP client as a machine without I/O.
//! - [`link`], [`rtnetlink`]: the kernel's side. [`interface`] ties one link to one client.
//! - [`publish`], [`notify`]: what the host is told. [`sntp`]: the clock.
//! - [`daemon`]: the loop.
//!
//! IPv6 is left to the kernel (SLAAC); its addresses are reported.
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
