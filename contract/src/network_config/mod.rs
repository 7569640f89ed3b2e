//! `[network]` and `[dns]` of host.toml: links, their addresses, routes and name servers, and the virtual links that the host makes.
//!
//! netd applies them. A table of a virtual link has its own keys and the [address keys](Addressing) of a link.

mod addressing;
mod bond;
mod check;
mod fault;
mod name;
mod prefix;
mod virtual_link;
mod wireguard;

pub use addressing::{Addressing, Dhcp, Match, Route, Rule};
pub use bond::{AdSelect, BondMode, FailOverMac, HashPolicy, LacpRate, MIIMON};
pub use name::{LinkName, Mac, glob};
pub use prefix::{AddressWithPrefix, Prefix};
pub use virtual_link::{Own, VlanProtocol};
pub use wireguard::{Peer, PublicKey, SecretKey};

use crate::config_fault::ConfigFault;
use addressing::table;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// `[network]`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// How links are set up. The first table that matches a link is taken. Without any table: DHCP on every Ethernet card.
    #[serde(default, rename = "link", skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkTable>,
    /// VLANs.
    #[serde(default, rename = "vlan", skip_serializing_if = "Vec::is_empty")]
    pub vlans: Vec<Vlan>,
    /// Bonds.
    #[serde(default, rename = "bond", skip_serializing_if = "Vec::is_empty")]
    pub bonds: Vec<Bond>,
    /// Bridges.
    #[serde(default, rename = "bridge", skip_serializing_if = "Vec::is_empty")]
    pub bridges: Vec<Bridge>,
    /// VXLANs.
    #[serde(default, rename = "vxlan", skip_serializing_if = "Vec::is_empty")]
    pub vxlans: Vec<Vxlan>,
    /// WireGuard interfaces.
    #[serde(default, rename = "wireguard", skip_serializing_if = "Vec::is_empty")]
    pub wireguards: Vec<Wireguard>,
    /// Dummy links.
    #[serde(default, rename = "dummy", skip_serializing_if = "Vec::is_empty")]
    pub dummies: Vec<Dummy>,
}

/// `[dns]`: settings of the resolver for the whole host.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsConfig {
    /// Name servers. They replace the servers of all links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<IpAddr>,
    /// Search domains. They replace the domains of all links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options of resolv.conf(5), e.g. `edns0`, `rotate`, `timeout:2`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

table! {
    /// `[[network.link]]`: a link that the host has.
    LinkTable {
        /// Which links. All values that are given must match.
        #[serde(rename = "match")]
        matches: Match,
    }
}

table! {
    /// `[[network.vlan]]`.
    Vlan {
        /// Name of the link that is made.
        name: LinkName,
        /// VLAN id, 1 to 4094.
        id: u16,
        /// The link that carries the VLAN.
        link: LinkName,
        /// Protocol of the tags.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        protocol: Option<VlanProtocol>,
        /// Hardware address. Default: that of the link below.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mac: Option<Mac>,
    }
}

table! {
    /// `[[network.bond]]`.
    Bond {
        /// Name of the link that is made.
        name: LinkName,
        /// Its ports: names of links, with `*` and `?` as in a match.
        links: Vec<String>,
        /// How the ports are used. Default: `balance-rr`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<BondMode>,
        /// Milliseconds between two checks of the ports' carriers. Default: 100, or 0 (off) with `arp_interval`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        miimon: Option<u32>,
        /// Milliseconds to wait before a port with a carrier is used: a multiple of `miimon`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        up_delay: Option<u32>,
        /// Milliseconds to wait before a port without a carrier is given up: a multiple of `miimon`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        down_delay: Option<u32>,
        /// Milliseconds between two ARP requests that check the ports. Not with the modes 802.3ad, balance-tlb and balance-alb.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arp_interval: Option<u32>,
        /// IPv4 addresses to ask, at most 16.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        arp_targets: Vec<std::net::Ipv4Addr>,
        /// Ports with a carrier that the bond needs to have one itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_links: Option<u32>,
        /// How often the other side is asked to send LACP packets. Mode 802.3ad only. Default: `slow`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lacp_rate: Option<LacpRate>,
        /// What chooses the port of a packet. Modes balance-xor, 802.3ad and balance-tlb only. Default: `layer2`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hash_policy: Option<HashPolicy>,
        /// How the aggregator is chosen. Mode 802.3ad only. Default: `stable`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ad_select: Option<AdSelect>,
        /// The port that is used whenever it has a carrier. Modes active-backup, balance-tlb and balance-alb only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        primary: Option<LinkName>,
        /// Hardware addresses of the ports. Mode active-backup only. Default: `none`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fail_over_mac: Option<FailOverMac>,
        /// Hardware address. Default: that of the first port.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mac: Option<Mac>,
    }
}

table! {
    /// `[[network.bridge]]`.
    Bridge {
        /// Name of the link that is made.
        name: LinkName,
        /// Its ports: names of links, with `*` and `?` as in a match.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        links: Vec<String>,
        /// Spanning Tree Protocol. Default: off.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stp: Option<bool>,
        /// Priority of the bridge in the spanning tree, 0 to 65535. Default: 32768.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        priority: Option<u16>,
        /// Seconds before a new port forwards packets, 2 to 30; with `stp` only. Default: 15.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forward_delay: Option<u32>,
        /// Seconds between two messages of the spanning tree, 1 to 10. Default: 2.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hello_time: Option<u32>,
        /// Seconds before another bridge counts as gone, 6 to 40. Default: 20.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_age: Option<u32>,
        /// Seconds before a learned hardware address is forgotten. Default: 300.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ageing: Option<u32>,
        /// Whether ports belong to VLANs. Default: off.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vlan_filtering: Option<bool>,
        /// VLAN of packets without a tag, for ports without another setting; 0 is none. Default: 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default_vlan: Option<u16>,
        /// Whether multicast packets go only to ports that asked for them. Default: on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        multicast_snooping: Option<bool>,
        /// Hardware address. Default: the lowest of the ports.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mac: Option<Mac>,
    }
}

table! {
    /// `[[network.vxlan]]`.
    Vxlan {
        /// Name of the link that is made.
        name: LinkName,
        /// VXLAN network identifier, 1 to 16777215.
        id: u32,
        /// The link over which packets go. Required with a multicast group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<LinkName>,
        /// This host's address in the outer packets.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        local: Option<IpAddr>,
        /// The other host, or a multicast group of hosts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remote: Option<IpAddr>,
        /// UDP port. Default: 4789.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
        /// Hop limit of the outer packets.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u8>,
        /// Whether hardware addresses are learned from packets. Default: on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        learning: Option<bool>,
        /// Hardware address. Default: random.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mac: Option<Mac>,
    }
}

table! {
    /// `[[network.wireguard]]`.
    Wireguard {
        /// Name of the link that is made.
        name: LinkName,
        /// The private key of this host.
        private_key: SecretKey,
        /// UDP port. Default: a random one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        listen_port: Option<u16>,
        /// Mark of the outer packets, for policy rules.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<u32>,
        /// The other hosts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        peers: Vec<Peer>,
    }
}

table! {
    /// `[[network.dummy]]`: a link that drops every packet. It holds addresses that do not depend on a card.
    Dummy {
        /// Name of the link that is made.
        name: LinkName,
        /// Hardware address. Default: random.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mac: Option<Mac>,
    }
}

impl NetworkConfig {
    /// Checks the rules that serde cannot express. Returns the first fault: the path of the key, what was expected, what was found.
    ///
    /// # Errors
    /// A value out of its range, two values that exclude each other, a name that is declared twice, links in a circle.
    pub fn check(&self) -> Result<(), ConfigFault> {
        check::network(self)
    }

    /// The virtual links, in the order of their kinds.
    pub fn virtual_links(&self) -> impl Iterator<Item = Own<'_>> {
        let vlans = self.vlans.iter().map(Own::Vlan);
        let bonds = self.bonds.iter().map(Own::Bond);
        let bridges = self.bridges.iter().map(Own::Bridge);
        let vxlans = self.vxlans.iter().map(Own::Vxlan);
        let wireguards = self.wireguards.iter().map(Own::Wireguard);
        let dummies = self.dummies.iter().map(Own::Dummy);
        bonds.chain(dummies).chain(vxlans).chain(wireguards).chain(vlans).chain(bridges)
    }
}

impl DnsConfig {
    /// Checks the rules that serde cannot express.
    ///
    /// # Errors
    /// A search domain or an option that is not valid in resolv.conf.
    pub fn check(&self) -> Result<(), ConfigFault> {
        check::dns(self)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
