//! The kernel's form of a virtual link: the message that makes it.

use berth_contract::network_config::{
    self as config, AdSelect, Bond, BondMode, Bridge, FailOverMac, HashPolicy, LacpRate, Mac, Own, Vlan, VlanProtocol,
    Vxlan,
};
use netlink_packet_route::link::{
    BondAdSelect, BondFailOverMac, BondLacpRate, BondMode as KernelMode, BondXmitHashPolicy, BridgeStpState, InfoBond,
    InfoBridge, InfoData, InfoKind, InfoVlan, InfoVxlan, LinkAttribute, LinkInfo, LinkMessage,
    VlanProtocol as KernelProtocol,
};
use std::net::IpAddr;

/// Hundredths of a second, the kernel's unit of a bridge's times.
const TICKS: u32 = 100;

/// The message that makes a link, without its name. `below` is the index of the link that it needs.
#[must_use]
pub fn message(own: Own<'_>, below: Option<u32>) -> LinkMessage {
    let mut link = LinkMessage::default();
    let mac = match own {
        Own::Vlan(table) => table.mac,
        Own::Bond(table) => table.mac,
        Own::Bridge(table) => table.mac,
        Own::Vxlan(table) => table.mac,
        Own::Dummy(table) => table.mac,
        Own::Wireguard(_) => None,
    };
    link.attributes.extend(mac.map(|Mac(mac)| LinkAttribute::Address(mac.to_vec())));
    let (kind, data) = match own {
        Own::Vlan(table) => {
            link.attributes.extend(below.map(LinkAttribute::Link));
            (InfoKind::Vlan, Some(InfoData::Vlan(vlan(table))))
        }
        Own::Bond(table) => (InfoKind::Bond, Some(InfoData::Bond(bond(table)))),
        Own::Bridge(table) => (InfoKind::Bridge, Some(InfoData::Bridge(bridge(table)))),
        Own::Vxlan(table) => (InfoKind::Vxlan, Some(InfoData::Vxlan(vxlan(table, below)))),
        Own::Wireguard(_) => (InfoKind::Wireguard, None),
        Own::Dummy(_) => (InfoKind::Dummy, None),
    };
    let info = [LinkInfo::Kind(kind)].into_iter().chain(data.map(LinkInfo::Data)).collect();
    link.attributes.push(LinkAttribute::LinkInfo(info));
    link
}

/// The message that makes a port the primary one of a bond; 0 means none. The kernel knows the port only once it is one.
#[must_use]
pub fn primary(port: u32) -> LinkMessage {
    let mut link = LinkMessage::default();
    let data = InfoData::Bond(vec![InfoBond::Primary(port)]);
    link.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bond), LinkInfo::Data(data)]));
    link
}

fn vlan(table: &Vlan) -> Vec<InfoVlan> {
    let protocol = match table.protocol.unwrap_or(VlanProtocol::Customer) {
        VlanProtocol::Customer => KernelProtocol::Ieee8021Q,
        VlanProtocol::Service => KernelProtocol::Ieee8021Ad,
    };
    vec![InfoVlan::Id(table.id), InfoVlan::Protocol(protocol)]
}

/// The mode comes first: the kernel refuses options that the mode does not have.
fn bond(table: &Bond) -> Vec<InfoBond> {
    let mut data = vec![InfoBond::Mode(match table.mode.unwrap_or(BondMode::BalanceRr) {
        BondMode::BalanceRr => KernelMode::BalanceRr,
        BondMode::ActiveBackup => KernelMode::ActiveBackup,
        BondMode::BalanceXor => KernelMode::BalanceXor,
        BondMode::Broadcast => KernelMode::Broadcast,
        BondMode::Lacp => KernelMode::Ieee8023Ad,
        BondMode::BalanceTlb => KernelMode::BalanceTlb,
        BondMode::BalanceAlb => KernelMode::BalanceAlb,
    })];
    if let Some(interval) = table.arp_interval.filter(|&interval| interval > 0) {
        data.extend([InfoBond::ArpInterval(interval), InfoBond::ArpIpTarget(table.arp_targets.clone())]);
    } else {
        data.push(InfoBond::MiiMon(table.miimon.unwrap_or(config::MIIMON)));
        data.extend(table.up_delay.map(InfoBond::UpDelay));
        data.extend(table.down_delay.map(InfoBond::DownDelay));
    }
    data.extend(table.min_links.map(InfoBond::MinLinks));
    data.extend(table.lacp_rate.map(|rate| {
        InfoBond::AdLacpRate(match rate {
            LacpRate::Slow => BondLacpRate::Slow,
            LacpRate::Fast => BondLacpRate::Fast,
        })
    }));
    data.extend(table.ad_select.map(|select| {
        InfoBond::AdSelect(match select {
            AdSelect::Stable => BondAdSelect::Stable,
            AdSelect::Bandwidth => BondAdSelect::Bandwidth,
            AdSelect::Count => BondAdSelect::Count,
        })
    }));
    data.extend(table.hash_policy.map(|policy| {
        InfoBond::XmitHashPolicy(match policy {
            HashPolicy::Layer2 => BondXmitHashPolicy::Layer2,
            HashPolicy::Layer23 => BondXmitHashPolicy::Layer23,
            HashPolicy::Layer34 => BondXmitHashPolicy::Layer34,
            HashPolicy::Encap23 => BondXmitHashPolicy::Encap23,
            HashPolicy::Encap34 => BondXmitHashPolicy::Encap34,
            HashPolicy::VlanSrcMac => BondXmitHashPolicy::VlanSrcMac,
        })
    }));
    data.extend(table.fail_over_mac.map(|policy| {
        InfoBond::FailOverMac(match policy {
            FailOverMac::None => BondFailOverMac::None,
            FailOverMac::Active => BondFailOverMac::Active,
            FailOverMac::Follow => BondFailOverMac::Follow,
        })
    }));
    data
}

/// The message that changes the VLANs of an existing bridge. Some kernels have none.
#[must_use]
pub fn bridge_vlans(table: &Bridge) -> LinkMessage {
    let mut link = LinkMessage::default();
    let data = InfoData::Bridge(vec![
        InfoBridge::VlanFiltering(table.vlan_filtering.unwrap_or(false)),
        InfoBridge::VlanDefaultPvid(table.default_vlan.unwrap_or(1)),
    ]);
    link.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge), LinkInfo::Data(data)]));
    link
}

/// All values but those of VLANs, with the kernel's defaults for absent ones: the same message changes an existing bridge.
fn bridge(table: &Bridge) -> Vec<InfoBridge> {
    let stp = if table.stp.unwrap_or(false) { BridgeStpState::KernelStp } else { BridgeStpState::Disabled };
    let mut data = vec![
        InfoBridge::ForwardDelay(table.forward_delay.unwrap_or(15) * TICKS),
        InfoBridge::HelloTime(table.hello_time.unwrap_or(2) * TICKS),
        InfoBridge::MaxAge(table.max_age.unwrap_or(20) * TICKS),
        InfoBridge::AgeingTime(table.ageing.unwrap_or(300) * TICKS),
        InfoBridge::StpState(stp),
        InfoBridge::Priority(table.priority.unwrap_or(32768)),
        InfoBridge::MulticastSnooping(table.multicast_snooping.unwrap_or(true)),
    ];
    data.extend(table.vlan_filtering.map(InfoBridge::VlanFiltering));
    data.extend(table.default_vlan.map(InfoBridge::VlanDefaultPvid));
    data
}

fn vxlan(table: &Vxlan, below: Option<u32>) -> Vec<InfoVxlan> {
    let mut data = vec![InfoVxlan::Id(table.id), InfoVxlan::Port(table.port.unwrap_or(4789))];
    data.extend(below.map(InfoVxlan::Link));
    data.extend(table.local.map(|ip| match ip {
        IpAddr::V4(ip) => InfoVxlan::Local(ip),
        IpAddr::V6(ip) => InfoVxlan::Local6(ip),
    }));
    data.extend(table.remote.map(|ip| match ip {
        IpAddr::V4(ip) => InfoVxlan::Group(ip),
        IpAddr::V6(ip) => InfoVxlan::Group6(ip),
    }));
    data.extend(table.ttl.map(InfoVxlan::Ttl));
    data.push(InfoVxlan::Learning(table.learning.unwrap_or(true)));
    data
}
