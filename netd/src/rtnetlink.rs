//! The kernel's network configuration over rtnetlink(7): links, addresses and routes, and notifications of changes.

use crate::{
    advertisement::{self, Announcement},
    lease::{Lease, Route},
};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo},
    link::{LinkAttribute, LinkFlags, LinkMessage},
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
    },
};
use rustix::{
    io::Errno,
    net::{
        AddressFamily as SocketFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, ipproto,
        netlink::SocketAddrNetlink,
        recv, sendto, socket_with,
        sockopt::{Timeout, set_ipv6_multicast_hops, set_socket_timeout},
    },
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV6},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

/// Time limit for an answer. The kernel answers at once; a lost answer must not block the program.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The kernel's messages of a dump are at most 32 KiB.
const BUFFER: usize = 1 << 16;
/// Bits of `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV6_IFADDR`, and of the group `RTNLGRP_ND_USEROPT`.
const GROUPS: u32 = 0x1 | 0x10 | 0x100 | 1 << 19;

/// A request that failed.
#[derive(Debug, thiserror::Error)]
#[error("rtnetlink: cannot {doing}: {source}")]
pub struct Refused {
    /// The request.
    pub doing: String,
    /// The kernel's error.
    pub source: io::Error,
}

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
    /// Has no lifetime.
    pub permanent: bool,
    /// Duplicate address detection is running or has failed.
    pub unsure: bool,
}

/// A socket for requests. (`NETLINK_ROUTE` is 0, which is `None` below.)
#[derive(Debug)]
pub struct Rtnetlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Rtnetlink {
    /// Opens a socket.
    ///
    /// # Errors
    /// When socket(2) or bind(2) fails.
    pub fn open() -> io::Result<Self> {
        let socket = socket_with(SocketFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_WITHIN))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sets an interface up.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_up(&mut self, index: u32) -> Result<(), Refused> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        (link.header.flags, link.header.change_mask) = (LinkFlags::Up, LinkFlags::Up);
        self.change(format!("set interface {index} up"), RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Sets an interface's MTU.
    ///
    /// # Errors
    /// When the kernel refuses, usually because the hardware does not support the MTU.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), Refused> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.attributes.push(LinkAttribute::Mtu(mtu));
        self.change(format!("set the MTU of interface {index} to {mtu}"), RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Sets the address of a lease on an interface, or gives it a new lifetime. The kernel removes the address when the lease
    /// expires, even if this program does not run any more.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn put_address(&mut self, index: u32, lease: &Lease, metric: u32) -> Result<(), Refused> {
        let mut message = address(index, lease.address, lease.prefix);
        let seconds = lease.lifetime.map_or(u32::MAX, |life| u32::try_from(life.as_secs()).unwrap_or(u32::MAX));
        let mut cache = CacheInfo::default();
        (cache.ifa_preferred, cache.ifa_valid) = (seconds, seconds);
        message.attributes.extend([AddressAttribute::CacheInfo(cache), AddressAttribute::RoutePriority(metric)]);
        if lease.prefix < 31 {
            let host_bits = u32::MAX.checked_shr(lease.prefix.into()).unwrap_or(0);
            let broadcast = Ipv4Addr::from_bits(lease.address.to_bits() | host_bits);
            message.attributes.push(AddressAttribute::Broadcast(broadcast));
        }
        let doing = format!("set {}/{} on interface {index}", lease.address, lease.prefix);
        self.change(doing, RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Removes an address from an interface. The kernel removes the routes that have it as their source. Success when the address
    /// does not exist.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove_address(&mut self, index: u32, ip: Ipv4Addr, prefix: u8) -> Result<(), Refused> {
        let doing = format!("remove {ip}/{prefix} from interface {index}");
        let gone = self.change(doing, RouteNetlinkMessage::DelAddress(address(index, ip, prefix)), 0);
        gone_is_fine(gone, Errno::ADDRNOTAVAIL)
    }

    /// Sets a route of a lease.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn put_route(&mut self, index: u32, lease: &Lease, route: &Route, metric: u32) -> Result<(), Refused> {
        let doing = format!("set the route to {}/{} through interface {index}", route.target, route.prefix);
        let message = RouteNetlinkMessage::NewRoute(route_message(index, lease, route, metric));
        self.change(doing, message, NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Removes a route of a lease. Success when the route does not exist.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove_route(&mut self, index: u32, lease: &Lease, route: &Route, metric: u32) -> Result<(), Refused> {
        let doing = format!("remove the route to {}/{} through interface {index}", route.target, route.prefix);
        let gone = self.change(doing, RouteNetlinkMessage::DelRoute(route_message(index, lease, route, metric)), 0);
        gone_is_fine(gone, Errno::SRCH)
    }

    /// All addresses of all interfaces.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn addresses(&mut self) -> Result<Vec<Address>, Refused> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let mut found = Vec::new();
        let listed = self.ask(request, NLM_F_DUMP, |message| {
            if let RouteNetlinkMessage::NewAddress(message) = message {
                found.extend(read_address(&message));
            }
        });
        listed.map_err(|source| Refused { doing: "list the addresses".to_owned(), source })?;
        Ok(found)
    }

    fn change(&mut self, doing: String, message: RouteNetlinkMessage, flags: u16) -> Result<(), Refused> {
        self.ask(message, NLM_F_ACK | flags, |_| {}).map_err(|source| Refused { doing, source })
    }

    /// Sends a request, and calls `each` with every message of the answer.
    fn ask(
        &mut self,
        what: RouteNetlinkMessage,
        flags: u16,
        mut each: impl FnMut(RouteNetlinkMessage),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        (header.flags, header.sequence_number) = (NLM_F_REQUEST | flags, self.sequence);
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(what));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        sendto(&self.socket, &bytes, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;

        let mut buffer = vec![0; BUFFER];
        loop {
            let (length, _) = rustix::io::retry_on_intr(|| recv(&self.socket, &mut buffer[..], RecvFlags::empty()))?;
            for answer in messages(&buffer[..length]) {
                match answer.payload {
                    _ if answer.header.sequence_number != self.sequence => {}
                    NetlinkPayload::InnerMessage(message) => each(message),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(()),
                    _ => {}
                }
            }
        }
    }
}

/// Notifications that links or addresses have changed, and options of router advertisements. The former do not say which links or
/// addresses: the caller reads all of them again.
#[derive(Debug)]
pub struct Changes(OwnedFd);

impl Changes {
    /// Starts to listen.
    ///
    /// # Errors
    /// When socket(2) or bind(2) fails.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(SocketFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Ok(Self(socket))
    }

    /// Reads all waiting notifications, and returns what routers have announced. An overrun (ENOBUFS) is treated as a notification.
    ///
    /// # Errors
    /// When recv(2) fails.
    pub fn drain(&self) -> io::Result<Vec<Announcement>> {
        let (mut buffer, mut announced) = ([0; 8192], Vec::new());
        loop {
            match recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => announced.extend(split(&buffer[..length]).flat_map(advertisement::parse)),
                Err(Errno::NOBUFS | Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(announced),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Asks the routers of a link for an advertisement, RFC 4861 §4.1. The kernel asks when the link comes up; this is for a link that was
/// up before this program listened.
///
/// # Errors
/// When the socket cannot be opened, or the message cannot be sent.
pub fn solicit(index: u32) -> io::Result<()> {
    const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(SocketFamily::INET6, SocketType::RAW, flags, Some(ipproto::ICMPV6))?;
    // Routers ignore a message with another hop limit, because it may come from another network.
    set_ipv6_multicast_hops(&socket, 255)?;
    // Type 133, code 0. The kernel writes the checksum.
    let message = [133, 0, 0, 0, 0, 0, 0, 0];
    sendto(&socket, &message, SendFlags::empty(), &SocketAddrV6::new(ALL_ROUTERS, 0, 0, index))?;
    Ok(())
}

/// The messages of one read. A message that the library cannot parse is left out: it is not an answer to a request of netd.
pub fn messages(bytes: &[u8]) -> impl Iterator<Item = NetlinkMessage<RouteNetlinkMessage>> {
    split(bytes).filter_map(|part| NetlinkMessage::deserialize(part).ok())
}

/// The address that a message announces.
#[must_use]
pub fn address_in(message: &NetlinkMessage<RouteNetlinkMessage>) -> Option<Address> {
    match &message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) => read_address(message),
        _ => None,
    }
}

/// The messages of one read, each with its header. The first word of nlmsghdr is the length; messages are aligned to 4 bytes.
fn split(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
        let message = bytes.get(..length).filter(|message| message.len() >= 16)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(message)
    })
}

fn gone_is_fine(result: Result<(), Refused>, gone: Errno) -> Result<(), Refused> {
    match result {
        Err(Refused { source, .. }) if Errno::from_io_error(&source) == Some(gone) => Ok(()),
        other => other,
    }
}

fn address(index: u32, ip: Ipv4Addr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    (message.header.family, message.header.index, message.header.prefix_len) = (AddressFamily::Inet, index, prefix);
    message.attributes = vec![AddressAttribute::Local(ip.into()), AddressAttribute::Address(ip.into())];
    message
}

fn read_address(message: &AddressMessage) -> Option<Address> {
    // On a point-to-point link IFA_ADDRESS is the address of the peer. IFA_LOCAL, if present, is the address of this host.
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    let ip = local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        })
    })?;
    let header = &message.header;
    let flags = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Flags(flags) => Some(*flags),
        _ => None,
    });
    let unsure = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
    let permanent = flags.is_some_and(|flags| flags.contains(AddressFlags::Permanent))
        || header.flags.contains(AddressHeaderFlags::Permanent);
    Some(Address {
        index: header.index,
        ip,
        prefix: header.prefix_len,
        global: header.scope == AddressScope::Universe,
        permanent,
        unsure: header.flags.intersects(unsure),
    })
}

fn route_message(index: u32, lease: &Lease, route: &Route, metric: u32) -> RouteMessage {
    let mut header = RouteHeader {
        address_family: AddressFamily::Inet,
        destination_prefix_length: route.prefix,
        table: RouteHeader::RT_TABLE_MAIN,
        protocol: RouteProtocol::Dhcp,
        scope: if route.gateway.is_some() { RouteScope::Universe } else { RouteScope::Link },
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    };
    // Cloud providers give /32 addresses with a gateway outside of that network: tell the kernel that the gateway is on the link.
    if route.gateway.is_some_and(|gateway| !lease.is_neighbour(gateway)) {
        header.flags = RouteFlags::Onlink;
    }
    let mut message = RouteMessage::default();
    message.header = header;
    message.attributes = vec![
        RouteAttribute::Oif(index),
        RouteAttribute::Priority(metric),
        RouteAttribute::PrefSource(RouteAddress::Inet(lease.address)),
    ];
    if route.prefix != 0 {
        message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(route.target)));
    }
    message.attributes.extend(route.gateway.map(|gateway| RouteAttribute::Gateway(RouteAddress::Inet(gateway))));
    message
}
