//! netd's report on the network.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// netd's report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NetworkStatus {
    /// Interfaces that have an address.
    pub interfaces: Vec<InterfaceStatus>,
    /// Name servers in use.
    pub dns: Vec<IpAddr>,
    /// Whether netd has reported that it is ready: there is a network, or netd has waited long enough for one.
    #[serde(default)]
    pub settled: bool,
    /// Time servers of DHCP. `None` until netd has asked them once itself, or knows that there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ntp: Option<Vec<IpAddr>>,
    /// Search domains in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Every link that netd manages, and the ports of its bonds and bridges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkStatus>,
    /// Routes over these links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteStatus>,
    /// Policy rules that netd has set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleStatus>,
    /// What is wrong with the settings: they are not in force, or the kernel refuses a part of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InterfaceStatus {
    /// Kernel name.
    pub name: String,
    /// Addresses with prefix length, e.g. `10.0.2.15/24`.
    pub addresses: Vec<String>,
    /// Default gateway. `None` without a carrier, because the route is not in use then.
    pub gateway: Option<IpAddr>,
    /// Whether there is a carrier.
    #[serde(default = "yes")]
    pub carrier: bool,
    /// MTU in bytes; 0 if unknown.
    #[serde(default)]
    pub mtu: u32,
    /// Lifetime of the DHCP lease, in seconds.
    pub lease_seconds: Option<u32>,
}

fn yes() -> bool {
    true
}

/// A link that netd manages, or a port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkStatus {
    /// Kernel name.
    pub name: String,
    /// `ethernet`, `vlan`, `bond`, `bridge`, `vxlan`, `wireguard` or `dummy`.
    pub kind: String,
    /// Whether there is a carrier.
    pub carrier: bool,
    /// Hardware address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// MTU in bytes.
    pub mtu: u32,
    /// Name of the driver, for a card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Path of the device below `/sys/devices`, for a card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The bond or bridge that this link is a port of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_of: Option<String>,
    /// Addresses with prefix length, also those that are valid on the link only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Leases in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<LeaseStatus>,
}

/// A lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeaseStatus {
    /// `dhcp4` or `dhcp6`.
    pub protocol: String,
    /// The server that has given it: its address, or its identifier in hexadecimal digits.
    pub server: String,
    /// The addresses with prefix length. Empty if the server gives other settings only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Lifetime in seconds; `None` if it does not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// Name servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<IpAddr>,
    /// Search domains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Time servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ntp: Vec<IpAddr>,
    /// Host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RouteStatus {
    /// Destination, e.g. `10.0.0.0/8`.
    pub to: String,
    /// Gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<IpAddr>,
    /// Name of the link.
    pub link: String,
    /// Metric.
    pub metric: u32,
    /// Routing table, if it is not the main one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// Where it comes from: `static`, `dhcp`, `kernel`, `ra` or `other`.
    pub origin: String,
}

/// A policy rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RuleStatus {
    /// Its number.
    pub priority: u32,
    /// Sources of the packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Destinations of the packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Mark of the packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
    /// The link from which the packets come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incoming: Option<String>,
    /// The routing table.
    pub table: u32,
    /// 4 or 6.
    pub ip: u8,
}
