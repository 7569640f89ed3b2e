//! Addresses of links.

use super::Rtnetlink;
use crate::netlink::Refused;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{
        AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
    },
};
use rustix::io::Errno;
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

/// The protocol (`IFA_PROTO`) of the addresses that netd sets: a number that the kernel does not use. netd removes only these.
const OURS: u8 = 98;

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface's index.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// Prefix length of its network.
    pub prefix: u8,
    /// Scope: valid everywhere, not only on the link or the host.
    pub global: bool,
    /// Duplicate address detection is running or has failed.
    pub unsure: bool,
    /// Duplicate address detection has failed: another host has the address.
    pub failed: bool,
    /// netd has set it.
    pub ours: bool,
    /// The kernel has made it of a router advertisement.
    pub announced: bool,
}

/// An address to set.
#[derive(Clone, Copy, Debug)]
pub struct NewAddress {
    /// The address.
    pub ip: IpAddr,
    /// Prefix length of its network.
    pub prefix: u8,
    /// How long the address is preferred and how long it is valid. The kernel removes it at the end, even if this program does not run
    /// any more. `None`: for ever.
    pub lifetime: Option<(Duration, Duration)>,
    /// Metric of the route to its network.
    pub metric: u32,
}

impl NewAddress {
    /// Whether both differ in the length of their lifetime at most.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let key = |one: &Self| (one.ip, one.prefix, one.metric, one.lifetime.is_some());
        key(self) == key(other)
    }
}

impl Rtnetlink {
    /// Sets an address on an interface, or gives it a new lifetime.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn put_address(&mut self, index: u32, new: &NewAddress) -> Result<(), Refused> {
        let mut message = address(index, new.ip, new.prefix);
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let mut cache = CacheInfo::default();
        let forever = (u32::MAX, u32::MAX);
        (cache.ifa_preferred, cache.ifa_valid) = new.lifetime.map_or(forever, |(p, v)| (seconds(p), seconds(v)));
        message.attributes.extend([AddressAttribute::CacheInfo(cache), AddressAttribute::RoutePriority(new.metric)]);
        message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(OURS)));
        if let IpAddr::V4(ip) = new.ip
            && new.prefix < 31
        {
            let host_bits = u32::MAX.checked_shr(new.prefix.into()).unwrap_or(0);
            let broadcast = Ipv4Addr::from_bits(ip.to_bits() | host_bits);
            message.attributes.push(AddressAttribute::Broadcast(broadcast));
        }
        let doing = || format!("set {}/{} on interface {index}", new.ip, new.prefix);
        self.change(doing, RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE, None)
    }

    /// Removes an address from an interface. The kernel removes the routes that have it as their source. Success when the address
    /// does not exist.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove_address(&mut self, index: u32, ip: IpAddr, prefix: u8) -> Result<(), Refused> {
        let doing = || format!("remove {ip}/{prefix} from interface {index}");
        let message = RouteNetlinkMessage::DelAddress(address(index, ip, prefix));
        self.change(doing, message, 0, Some(Errno::ADDRNOTAVAIL))
    }

    /// All addresses of all interfaces.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn addresses(&mut self) -> Result<Vec<Address>, Refused> {
        let mut found = Vec::new();
        self.list("list the addresses", RouteNetlinkMessage::GetAddress(AddressMessage::default()), |message| {
            if let RouteNetlinkMessage::NewAddress(message) = message {
                found.extend(read(&message));
            }
        })?;
        Ok(found)
    }
}

fn address(index: u32, ip: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    let family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    (message.header.family, message.header.index, message.header.prefix_len) = (family, index, prefix);
    message.attributes = vec![AddressAttribute::Local(ip), AddressAttribute::Address(ip)];
    message
}

pub(super) fn read(message: &AddressMessage) -> Option<Address> {
    // On a point-to-point link IFA_ADDRESS is the address of the peer. IFA_LOCAL, if present, is the address of this host.
    let (mut local, mut peer, mut protocol, mut flags) = (None, None, None, AddressFlags::empty());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => peer = Some(*ip),
            AddressAttribute::Protocol(found) => protocol = Some(*found),
            AddressAttribute::Flags(found) => flags = *found,
            _ => {}
        }
    }
    let header = &message.header;
    let unsure = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
    Some(Address {
        index: header.index,
        ip: local.or(peer)?,
        prefix: header.prefix_len,
        global: header.scope == AddressScope::Universe,
        failed: header.flags.contains(AddressHeaderFlags::Dadfailed) || flags.contains(AddressFlags::Dadfailed),
        unsure: header.flags.intersects(unsure) || flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed),
        ours: protocol == Some(AddressProtocol::Other(OURS)),
        // Temporary addresses have no protocol.
        announced: protocol == Some(AddressProtocol::RouterAnnouncement)
            || (peer.is_some_and(|ip| ip.is_ipv6()) && header.flags.contains(AddressHeaderFlags::Secondary)),
    })
}
