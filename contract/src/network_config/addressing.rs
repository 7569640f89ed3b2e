//! The address keys, which every table of a link has.

use super::{AddressWithPrefix, LinkName, Mac, Prefix, glob};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Makes the struct of a table: its own keys, and the address keys. (`serde(flatten)` would accept unknown keys and lose the lines of
/// faults.)
macro_rules! table {
    ($(#[$meta:meta])* $table:ident { $($(#[$key_meta:meta])* $key:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $table {
            $($(#[$key_meta])* pub $key: $type,)*
            /// Which addresses are asked of servers. Default: `yes`, or `no` if `addresses` is given. `no` for WireGuard and dummy links.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub dhcp: Option<crate::network_config::Dhcp>,
            /// Static addresses with the prefix length of their network.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub addresses: Vec<crate::network_config::AddressWithPrefix>,
            /// Default gateways: at most one for each of IPv4 and IPv6.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub gateway: Vec<std::net::IpAddr>,
            /// Routes over this link.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub routes: Vec<crate::network_config::Route>,
            /// Policy rules that are in force while the link exists.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub rules: Vec<crate::network_config::Rule>,
            /// Metric of the routes that have none of their own. The link with the lowest is preferred. Default: 1024 and the number of
            /// the link.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub metric: Option<u32>,
            /// MTU in bytes. Default: what DHCP says, or the link's own.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub mtu: Option<u32>,
            /// Name servers. They replace those that servers and routers of this link give.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub dns: Vec<std::net::IpAddr>,
            /// Search domains. They replace those that servers and routers of this link give.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub search: Vec<String>,
            /// Whether addresses and routes of IPv6 routers are used (SLAAC). Default: yes.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub router_advertisements: Option<bool>,
            /// Whether the host uses temporary IPv6 addresses (RFC 8981). Default: no.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub privacy: Option<bool>,
        }

        impl $table {
            /// The address keys.
            #[must_use]
            pub fn addressing(&self) -> crate::network_config::Addressing {
                crate::network_config::Addressing {
                    dhcp: self.dhcp,
                    addresses: self.addresses.clone(),
                    gateway: self.gateway.clone(),
                    routes: self.routes.clone(),
                    rules: self.rules.clone(),
                    metric: self.metric,
                    mtu: self.mtu,
                    dns: self.dns.clone(),
                    search: self.search.clone(),
                    router_advertisements: self.router_advertisements,
                    privacy: self.privacy,
                }
            }
        }
    };
}
pub(super) use table;

/// The address keys of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the keys of a table have the descriptions")]
pub struct Addressing {
    pub dhcp: Option<Dhcp>,
    pub addresses: Vec<AddressWithPrefix>,
    pub gateway: Vec<IpAddr>,
    pub routes: Vec<Route>,
    pub rules: Vec<Rule>,
    pub metric: Option<u32>,
    pub mtu: Option<u32>,
    pub dns: Vec<IpAddr>,
    pub search: Vec<String>,
    pub router_advertisements: Option<bool>,
    pub privacy: Option<bool>,
}

impl Addressing {
    /// The protocols of DHCP that are used on a link that can use them.
    #[must_use]
    pub fn dhcp(&self) -> Dhcp {
        self.dhcp.unwrap_or(if self.addresses.is_empty() { Dhcp::Yes } else { Dhcp::No })
    }
}

/// `dhcp`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dhcp {
    /// DHCPv4, and DHCPv6 if a router announces it.
    Yes,
    /// DHCPv4 only.
    V4,
    /// DHCPv6 only, also if no router announces it.
    V6,
    /// None.
    No,
}

/// `match`: all values that are given must match.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Name of the link; `*` stands for any characters, `?` for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Hardware address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Name of the driver, e.g. `virtio_net`, `e1000e`; with `*` and `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Path of the device below `/sys/devices`, or one part of that path, e.g. `0000:03:00.0`; with `*` and `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Match {
    /// Whether a link has all values that are given.
    #[must_use]
    pub fn fits(&self, name: &str, mac: Option<[u8; 6]>, driver: Option<&str>, path: Option<&str>) -> bool {
        let text = |pattern: &Option<String>, found: Option<&str>| {
            pattern.as_ref().is_none_or(|pattern| found.is_some_and(|found| glob(pattern, found)))
        };
        let part = |pattern: &str| {
            path.is_some_and(|path| glob(pattern, path) || path.split('/').any(|part| glob(pattern, part)))
        };
        text(&self.name, Some(name))
            && self.mac.is_none_or(|wanted| mac == Some(wanted.0))
            && text(&self.driver, driver)
            && self.path.as_deref().is_none_or(part)
    }
}

/// One of `routes`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Destination, e.g. `10.0.0.0/8`, `0.0.0.0/0`, `::/0`.
    pub to: Prefix,
    /// Gateway. Without one the destination is on the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<IpAddr>,
    /// Metric. Default: that of the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// Routing table. Default: 254, the main table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// This host's address for packets on this route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
}

/// One of `rules`: packets to which it applies use the routes of `table`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Sources of the packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Prefix>,
    /// Destinations of the packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Prefix>,
    /// Mark of the packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
    /// The link from which the packets come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incoming: Option<LinkName>,
    /// The routing table.
    pub table: u32,
    /// Rules with a lower number are asked first; the main table has 32766. Default: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
}
