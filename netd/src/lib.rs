//! The network process: sets the Ethernet interfaces up, gets their addresses by DHCP, and writes the resolver's configuration.
//!
//! netd is a separate process because it parses bytes from the network. If PID 1 did that, a crash would be a kernel panic.
//!
//! - [`settings`], [`plan`], [`wanted`]: what the settings say about each link, without I/O. [`shape`] makes the virtual links
//!   ([`virtual_link`], [`wireguard`]), [`reconcile`] sets addresses, routes and rules.
//! - [`message`], [`datagram`], [`lease`]: DHCP messages and their meaning, without I/O.
//! - [`client`]: the DHCP client as a state machine without I/O. [`dhcp4`] is the client with its sockets.
//! - [`message6`], [`lease6`], [`client6`], [`dhcp6`]: the same for DHCPv6. [`lease_file`] keeps leases for the next process.
//! - [`link`], [`rtnetlink`], [`netlink`]: the kernel's interfaces. [`interface`] connects one link with its settings and its client.
//! - [`resolv_conf`], [`report`], [`publish`]: files for the rest of the host. [`clock`], [`sntp`]: the clock.
//! - [`daemon`]: the loop.
//!
//! The kernel configures IPv6 (SLAAC). netd reports the addresses, and takes name servers from router advertisements
//! ([`advertisement`]).
#![deny(missing_docs)]

pub mod advertisement;
pub mod client;
pub mod client6;
pub mod clock;
pub mod daemon;
pub mod datagram;
pub mod dhcp4;
pub mod dhcp6;
pub mod domain;
pub mod interface;
pub mod lease;
pub mod lease6;
pub mod lease_file;
pub mod link;
pub mod message;
pub mod message6;
pub mod netlink;
pub mod pace;
pub mod plan;
pub mod publish;
pub mod reconcile;
pub mod report;
pub mod resolv_conf;
pub mod rtnetlink;
pub mod settings;
pub mod shape;
pub mod sntp;
pub mod sys;
pub mod virtual_link;
pub mod wanted;
pub mod wireguard;
