//! Addresses with a prefix length, and networks.

use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// An address of a link with the prefix length of its network: `192.0.2.10/24`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressWithPrefix {
    /// The address.
    pub ip: IpAddr,
    /// Prefix length.
    pub prefix: u8,
}

impl TryFrom<String> for AddressWithPrefix {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("expected an address with prefix length such as 192.0.2.10/24, found {text:?}");
        let (ip, prefix) = split(&text).ok_or_else(wrong)?;
        if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || prefix == 0 {
            return Err(wrong());
        }
        Ok(Self { ip, prefix })
    }
}

impl From<AddressWithPrefix> for String {
    fn from(address: AddressWithPrefix) -> Self {
        address.to_string()
    }
}

impl fmt::Display for AddressWithPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// A network: `10.0.0.0/8`. The bits after the prefix are 0.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    /// Its first address.
    pub ip: IpAddr,
    /// Prefix length.
    pub length: u8,
}

impl Prefix {
    /// A network. Bits of `ip` after the prefix are cleared.
    #[must_use]
    pub fn of(ip: IpAddr, length: u8) -> Self {
        let ip = match ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length.into())).unwrap_or(0);
                std::net::Ipv4Addr::from_bits(ip.to_bits() & mask).into()
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0);
                std::net::Ipv6Addr::from_bits(ip.to_bits() & mask).into()
            }
        };
        Self { ip, length }
    }

    /// Whether an address is in the network.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.ip.is_ipv4() == ip.is_ipv4() && Self::of(ip, self.length) == *self
    }
}

impl TryFrom<String> for Prefix {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let Some((ip, length)) = split(&text) else {
            return Err(format!("expected a network such as 10.0.0.0/8, 0.0.0.0/0 or ::/0, found {text:?}"));
        };
        let network = Self::of(ip, length);
        if network.ip != ip {
            return Err(format!("expected the first address of the network, {network}, found {text:?}"));
        }
        Ok(network)
    }
}

impl From<Prefix> for String {
    fn from(network: Prefix) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.length)
    }
}

/// Address and prefix length. A single address has the longest prefix.
fn split(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, length) = text.split_once('/').map_or((text, None), |(ip, length)| (ip, Some(length)));
    let ip: IpAddr = ip.parse().ok()?;
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let digits = |length: &str| length.bytes().all(|c| c.is_ascii_digit()).then(|| length.parse::<u8>().ok()).flatten();
    let length = length.map_or(Some(longest), digits)?;
    (length <= longest).then_some((ip, length))
}
