//! Notifications of the kernel, and the question to routers that causes one.

use crate::{
    advertisement::{self, Announcement},
    netlink::split,
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily as SocketFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, ipproto,
        netlink::SocketAddrNetlink, recv, sendto, socket_with, sockopt::set_ipv6_multicast_hops,
    },
};
use std::{
    io,
    net::{Ipv6Addr, SocketAddrV6},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Bits of `RTMGRP_LINK`, of addresses, routes and rules of IPv4 and IPv6, of `RTMGRP_IPV6_IFINFO`, and of the group
/// `RTNLGRP_ND_USEROPT`.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x800 | 1 << 18 | 1 << 19;

/// Notifications that something has changed, and options of router advertisements. The former do not say what has changed: the caller
/// reads everything again.
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

    /// Reads all waiting notifications. `None` if there is none; otherwise what routers have announced. An overrun (ENOBUFS) is treated
    /// as a notification.
    ///
    /// # Errors
    /// When recv(2) fails.
    pub fn drain(&self) -> io::Result<Option<Vec<Announcement>>> {
        let (mut buffer, mut announced) = ([0; 8192], None);
        loop {
            match recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => {
                    let found = split(&buffer[..length]).flat_map(advertisement::parse);
                    announced.get_or_insert_with(Vec::new).extend(found);
                }
                Err(Errno::NOBUFS) => _ = announced.get_or_insert_with(Vec::new),
                Err(Errno::INTR) => {}
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
