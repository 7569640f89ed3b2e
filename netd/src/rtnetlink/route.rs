//! Routes.

use super::Rtnetlink;
use crate::netlink::Refused;
use berth_contract::network_config::Prefix;
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
    },
};
use rustix::io::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Number of the main table.
pub const MAIN: u32 = 254;
/// Number of the table of the host's own addresses, which is the kernel's.
const LOCAL: u32 = 255;

/// Who has set a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// netd, from the settings.
    Static,
    /// netd, from a lease.
    Dhcp,
    /// The kernel, for an address.
    Kernel,
    /// The kernel, from a router advertisement.
    Ra,
    /// Another program.
    Other,
}

/// A route over one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Index of the interface.
    pub index: u32,
    /// Destination.
    pub to: Prefix,
    /// Gateway; `None` when the destination is on the link.
    pub via: Option<IpAddr>,
    /// Metric.
    pub metric: u32,
    /// Routing table.
    pub table: u32,
    /// This host's address for packets on this route.
    pub source: Option<IpAddr>,
    /// The gateway is on the link although it is in none of the link's networks.
    pub onlink: bool,
    /// Who has set it.
    pub origin: Origin,
}

impl Route {
    /// Whether both are one route for the kernel.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let key = |route: &Self| (route.index, route.to, route.via, route.metric, route.table, route.source);
        key(self) == key(other)
    }
}

impl Rtnetlink {
    /// Sets a route. Success when it exists.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn put_route(&mut self, route: &Route) -> Result<(), Refused> {
        let doing = || format!("set the route to {} through interface {}", route.to, route.index);
        // In IPv4, a route that differs only in its gateway is added without a gap, because the old one is removed afterwards.
        let flags = if route.to.ip.is_ipv4() { NLM_F_CREATE | NLM_F_APPEND } else { NLM_F_CREATE };
        self.change(doing, RouteNetlinkMessage::NewRoute(message(route)), flags, Some(Errno::EXIST))
    }

    /// Removes a route. Success when it does not exist.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove_route(&mut self, route: &Route) -> Result<(), Refused> {
        let doing = || format!("remove the route to {} through interface {}", route.to, route.index);
        self.change(doing, RouteNetlinkMessage::DelRoute(message(route)), 0, Some(Errno::SRCH))
    }

    /// All unicast routes, without those of the table of local addresses.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn routes(&mut self) -> Result<Vec<Route>, Refused> {
        let mut found = Vec::new();
        self.list("list the routes", RouteNetlinkMessage::GetRoute(RouteMessage::default()), |message| {
            if let RouteNetlinkMessage::NewRoute(message) = message {
                found.extend(read(&message));
            }
        })?;
        Ok(found)
    }
}

fn message(route: &Route) -> RouteMessage {
    let wrap = |ip| match ip {
        IpAddr::V4(ip) => RouteAddress::Inet(ip),
        IpAddr::V6(ip) => RouteAddress::Inet6(ip),
    };
    let four = route.to.ip.is_ipv4();
    let header = RouteHeader {
        address_family: if four { AddressFamily::Inet } else { AddressFamily::Inet6 },
        destination_prefix_length: route.to.length,
        // The attribute has the whole number.
        table: u8::try_from(route.table).unwrap_or(0),
        // The kernel removes a route only if this is the protocol that it has.
        protocol: match route.origin {
            Origin::Dhcp => RouteProtocol::Dhcp,
            Origin::Ra => RouteProtocol::Ra,
            _ => RouteProtocol::Static,
        },
        scope: if four && route.via.is_none() { RouteScope::Link } else { RouteScope::Universe },
        kind: RouteType::Unicast,
        flags: if route.onlink { RouteFlags::Onlink } else { RouteFlags::empty() },
        ..RouteHeader::default()
    };
    let mut message = RouteMessage::default();
    message.header = header;
    message.attributes = vec![
        RouteAttribute::Oif(route.index),
        RouteAttribute::Priority(route.metric),
        RouteAttribute::Table(route.table),
    ];
    message.attributes.extend(route.source.map(wrap).map(RouteAttribute::PrefSource));
    if route.to.length != 0 {
        message.attributes.push(RouteAttribute::Destination(wrap(route.to.ip)));
    }
    message.attributes.extend(route.via.map(wrap).map(RouteAttribute::Gateway));
    message
}

/// The routes of one message: one for each gateway.
pub(super) fn read(message: &RouteMessage) -> Vec<Route> {
    let header = &message.header;
    let none: IpAddr = match header.address_family {
        AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return Vec::new(),
    };
    let mut to = none;
    let (mut index, mut via, mut metric, mut table, mut source) = (0, None, 0, u32::from(header.table), None);
    let mut hops = Vec::new();
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => to = unwrap(address).unwrap_or(none),
            RouteAttribute::Oif(found) => index = *found,
            RouteAttribute::Gateway(address) => via = unwrap(address),
            RouteAttribute::Priority(found) => metric = *found,
            RouteAttribute::Table(found) => table = *found,
            RouteAttribute::PrefSource(address) => source = unwrap(address),
            RouteAttribute::MultiPath(found) => hops.clone_from(found),
            _ => {}
        }
    }
    let origin = match header.protocol {
        RouteProtocol::Static => Origin::Static,
        RouteProtocol::Dhcp => Origin::Dhcp,
        RouteProtocol::Kernel => Origin::Kernel,
        RouteProtocol::Ra => Origin::Ra,
        _ => Origin::Other,
    };
    let longest = if none.is_ipv4() { 32 } else { 128 };
    let is_cached = header.flags.contains(RouteFlags::Cloned);
    if header.kind != RouteType::Unicast || table == LOCAL || header.destination_prefix_length > longest || is_cached {
        return Vec::new();
    }
    let to = Prefix::of(to, header.destination_prefix_length);
    let onlink = header.flags.contains(RouteFlags::Onlink);
    let route = Route { index, to, via, metric, table, source, onlink, origin };
    if hops.is_empty() {
        return vec![route];
    }
    let hop = hops.iter().map(|hop| {
        let via = hop.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Gateway(address) => unwrap(address),
            _ => None,
        });
        Route { index: hop.interface_index, via, ..route }
    });
    hop.collect()
}

fn unwrap(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}
