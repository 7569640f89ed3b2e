//! A virtual link of any kind.

use super::{Addressing, Bond, Bridge, Dummy, LinkName, Vlan, Vxlan, Wireguard};
use serde::{Deserialize, Serialize};

/// `protocol` of a VLAN.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VlanProtocol {
    /// The usual tags.
    #[serde(rename = "802.1q")]
    Customer,
    /// Outer tags of a provider (Q-in-Q).
    #[serde(rename = "802.1ad")]
    Service,
}

/// The table of a virtual link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own<'a> {
    /// `[[network.vlan]]`.
    Vlan(&'a Vlan),
    /// `[[network.bond]]`.
    Bond(&'a Bond),
    /// `[[network.bridge]]`.
    Bridge(&'a Bridge),
    /// `[[network.vxlan]]`.
    Vxlan(&'a Vxlan),
    /// `[[network.wireguard]]`.
    Wireguard(&'a Wireguard),
    /// `[[network.dummy]]`.
    Dummy(&'a Dummy),
}

impl<'a> Own<'a> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'a LinkName {
        match self {
            Self::Vlan(table) => &table.name,
            Self::Bond(table) => &table.name,
            Self::Bridge(table) => &table.name,
            Self::Vxlan(table) => &table.name,
            Self::Wireguard(table) => &table.name,
            Self::Dummy(table) => &table.name,
        }
    }

    /// Its kind: the word of the table, which is also the kernel's.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Vlan(_) => "vlan",
            Self::Bond(_) => "bond",
            Self::Bridge(_) => "bridge",
            Self::Vxlan(_) => "vxlan",
            Self::Wireguard(_) => "wireguard",
            Self::Dummy(_) => "dummy",
        }
    }

    /// The link that must exist first.
    #[must_use]
    pub fn below(&self) -> Option<&'a LinkName> {
        match self {
            Self::Vlan(table) => Some(&table.link),
            Self::Vxlan(table) => table.link.as_ref(),
            _ => None,
        }
    }

    /// Patterns of the names of its ports.
    #[must_use]
    pub fn ports(&self) -> &'a [String] {
        match self {
            Self::Bond(table) => &table.links,
            Self::Bridge(table) => &table.links,
            _ => &[],
        }
    }

    /// Whether the link has hardware addresses and broadcasts, so that DHCP works on it and makes sense.
    #[must_use]
    pub fn is_ethernet(&self) -> bool {
        !matches!(self, Self::Wireguard(_) | Self::Dummy(_))
    }

    /// Its address keys.
    #[must_use]
    pub fn addressing(&self) -> Addressing {
        match self {
            Self::Vlan(table) => table.addressing(),
            Self::Bond(table) => table.addressing(),
            Self::Bridge(table) => table.addressing(),
            Self::Vxlan(table) => table.addressing(),
            Self::Wireguard(table) => table.addressing(),
            Self::Dummy(table) => table.addressing(),
        }
    }
}
