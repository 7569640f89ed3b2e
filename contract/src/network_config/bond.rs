//! Values of the keys of a bond. The words are the kernel's (Documentation/networking/bonding.rst).

use super::{
    Bond,
    fault::{needs, number},
};
use crate::config_fault::ConfigFault;
use serde::{Deserialize, Serialize};

/// Default of `miimon` in milliseconds. The kernel's is 0: then a bond does not notice that a cable is unplugged.
pub const MIIMON: u32 = 100;

/// `mode`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BondMode {
    /// One port after the other.
    BalanceRr,
    /// One port, the others in reserve.
    ActiveBackup,
    /// The port by a hash of the packet.
    BalanceXor,
    /// Every port.
    Broadcast,
    /// IEEE 802.3ad (LACP).
    #[serde(rename = "802.3ad")]
    Lacp,
    /// The least loaded port for what is sent.
    BalanceTlb,
    /// As `balance-tlb`, also for what is received.
    BalanceAlb,
}

/// `lacp_rate`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LacpRate {
    /// Every 30 seconds.
    Slow,
    /// Every second.
    Fast,
}

/// `hash_policy`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HashPolicy {
    /// Hardware addresses.
    #[serde(rename = "layer2")]
    Layer2,
    /// Hardware and IP addresses.
    #[serde(rename = "layer2+3")]
    Layer23,
    /// IP addresses and ports.
    #[serde(rename = "layer3+4")]
    Layer34,
    /// As `layer2+3`, of the inner packet of a tunnel.
    #[serde(rename = "encap2+3")]
    Encap23,
    /// As `layer3+4`, of the inner packet of a tunnel.
    #[serde(rename = "encap3+4")]
    Encap34,
    /// VLAN and source hardware address.
    #[serde(rename = "vlan+srcmac")]
    VlanSrcMac,
}

/// `ad_select`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdSelect {
    /// The one in use, as long as it has ports.
    Stable,
    /// The one with the highest bandwidth.
    Bandwidth,
    /// The one with the most ports.
    Count,
}

/// `fail_over_mac`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailOverMac {
    /// All ports have the address of the bond.
    None,
    /// The bond has the address of the port in use.
    Active,
    /// The port in use has the address of the bond.
    Follow,
}

/// Keys that a mode of the bond does not have, and values that do not fit each other.
pub(super) fn check(place: &str, bond: &Bond) -> Result<(), ConfigFault> {
    use BondMode::{ActiveBackup, BalanceAlb, BalanceTlb, BalanceXor, Lacp};
    let is = |modes: &[BondMode]| modes.contains(&bond.mode.unwrap_or(BondMode::BalanceRr));
    if bond.links.is_empty() {
        return Err(ConfigFault::of(&format!("{place}.links"), "at least one link", "none"));
    }
    needs(place, "lacp_rate", bond.lacp_rate.is_some(), is(&[Lacp]), "mode 802.3ad")?;
    needs(place, "ad_select", bond.ad_select.is_some(), is(&[Lacp]), "mode 802.3ad")?;
    let hashes = is(&[BalanceXor, Lacp, BalanceTlb]);
    needs(place, "hash_policy", bond.hash_policy.is_some(), hashes, "mode balance-xor, 802.3ad or balance-tlb")?;
    let prefers = is(&[ActiveBackup, BalanceTlb, BalanceAlb]);
    needs(place, "primary", bond.primary.is_some(), prefers, "mode active-backup, balance-tlb or balance-alb")?;
    needs(place, "fail_over_mac", bond.fail_over_mac.is_some(), is(&[ActiveBackup]), "mode active-backup")?;
    let asks = bond.arp_interval.is_some_and(|interval| interval > 0);
    needs(
        place,
        "arp_interval",
        asks,
        !is(&[Lacp, BalanceTlb, BalanceAlb]),
        "mode balance-rr, active-backup, balance-xor or broadcast",
    )?;
    if asks && bond.miimon.is_some_and(|miimon| miimon > 0) {
        return Err(ConfigFault::of(&format!("{place}.miimon"), "miimon or arp_interval", "both"));
    }
    if asks == bond.arp_targets.is_empty() || bond.arp_targets.len() > 16 {
        let found = bond.arp_targets.len();
        return Err(ConfigFault::of(
            &format!("{place}.arp_targets"),
            "1 to 16 addresses with arp_interval, none without",
            found,
        ));
    }
    // Larger values would overflow the kernel's signed numbers.
    number(place, "miimon", bond.miimon, 0..=1_000_000)?;
    number(place, "arp_interval", bond.arp_interval, 0..=1_000_000)?;
    number(place, "min_links", bond.min_links, 0..=1000)?;
    let every = bond.miimon.unwrap_or(if asks { 0 } else { MIIMON });
    for (key, delay) in [("up_delay", bond.up_delay), ("down_delay", bond.down_delay)] {
        number(place, key, delay, 0..=1_000_000)?;
        if let Some(delay) = delay.filter(|&delay| delay > 0 && (every == 0 || !delay.is_multiple_of(every))) {
            return Err(ConfigFault::of(&format!("{place}.{key}"), format!("a multiple of miimon ({every})"), delay));
        }
    }
    Ok(())
}
