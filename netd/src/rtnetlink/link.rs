//! Changes of links, and what routers say about a link.

use super::Rtnetlink;
use crate::netlink::Refused;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{AfSpecInet6, AfSpecUnspec, Inet6IfaceFlags, LinkAttribute, LinkFlags, LinkMessage},
};
use rustix::io::Errno;

/// Group of the links that netd makes, visible in `ip link`. It is set when the link is made, so no link of netd is without it.
pub const OWN_GROUP: u32 = 0x6e65_7464;

/// How the last router advertisement wants hosts to use DHCPv6 (RFC 4861 §4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RaFlags {
    /// M: addresses are given by DHCPv6.
    pub managed: bool,
    /// O: other settings, such as name servers, are given by DHCPv6.
    pub other: bool,
}

impl Rtnetlink {
    /// Sets an interface up.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_up(&mut self, index: u32) -> Result<(), Refused> {
        let mut link = of(index);
        (link.header.flags, link.header.change_mask) = (LinkFlags::Up, LinkFlags::Up);
        self.set_link(|| format!("set interface {index} up"), link)
    }

    /// Sets an interface down.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_down(&mut self, index: u32) -> Result<(), Refused> {
        let mut link = of(index);
        (link.header.flags, link.header.change_mask) = (LinkFlags::empty(), LinkFlags::Up);
        self.set_link(|| format!("set interface {index} down"), link)
    }

    /// Sets an interface's MTU.
    ///
    /// # Errors
    /// When the kernel refuses, usually because the hardware does not support the MTU.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), Refused> {
        let link = with(index, LinkAttribute::Mtu(mtu));
        self.set_link(|| format!("set the MTU of interface {index} to {mtu}"), link)
    }

    /// Sets an interface's hardware address.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_mac(&mut self, index: u32, mac: [u8; 6]) -> Result<(), Refused> {
        let link = with(index, LinkAttribute::Address(mac.to_vec()));
        self.set_link(|| format!("set the hardware address of interface {index}"), link)
    }

    /// Makes an interface a port of a bond or bridge. 0: of none.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_master(&mut self, index: u32, master: u32) -> Result<(), Refused> {
        let link = with(index, LinkAttribute::Controller(master));
        self.set_link(|| format!("make interface {index} a port of interface {master}"), link)
    }

    /// Sets the text that `ip link` shows as alias.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_alias(&mut self, index: u32, alias: &str) -> Result<(), Refused> {
        let link = with(index, LinkAttribute::IfAlias(alias.to_owned()));
        self.set_link(|| format!("set the alias of interface {index}"), link)
    }

    /// Makes a link.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn make_link(&mut self, name: &str, mut link: LinkMessage) -> Result<(), Refused> {
        link.attributes.push(LinkAttribute::IfName(name.to_owned()));
        link.attributes.push(LinkAttribute::Group(OWN_GROUP));
        let doing = || format!("make the link {name}");
        self.change(doing, RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL, None)
    }

    /// Changes the settings of a link that exists. `fine` is an error of the kernel that does not matter.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn change_link(&mut self, index: u32, mut link: LinkMessage, fine: Option<Errno>) -> Result<(), Refused> {
        link.header.index = index;
        self.change(|| format!("change interface {index}"), RouteNetlinkMessage::NewLink(link), 0, fine)
    }

    /// Removes a link. Success when it does not exist.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove_link(&mut self, index: u32) -> Result<(), Refused> {
        let message = RouteNetlinkMessage::DelLink(of(index));
        self.change(|| format!("remove interface {index}"), message, 0, Some(Errno::NODEV))
    }

    /// What the last router advertisement on an interface said. Nothing if there was none, or no such interface.
    pub fn ra_flags(&mut self, index: u32) -> RaFlags {
        let mut found = RaFlags::default();
        // Without an answer the link is treated like one without a router.
        let _ = self.get(RouteNetlinkMessage::GetLink(of(index)), |message| {
            if let RouteNetlinkMessage::NewLink(link) = message {
                found = announced(&link);
            }
        });
        found
    }

    fn set_link(&mut self, doing: impl FnOnce() -> String, link: LinkMessage) -> Result<(), Refused> {
        self.change(doing, RouteNetlinkMessage::SetLink(link), 0, None)
    }
}

fn of(index: u32) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link
}

fn with(index: u32, attribute: LinkAttribute) -> LinkMessage {
    let mut link = of(index);
    link.attributes.push(attribute);
    link
}

/// The flags that the kernel has kept of the last advertisement.
pub(super) fn announced(link: &LinkMessage) -> RaFlags {
    let specific = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::AfSpecUnspec(families) => Some(families),
        _ => None,
    });
    let six = specific.into_iter().flatten().find_map(|family| match family {
        AfSpecUnspec::Inet6(values) => Some(values),
        _ => None,
    });
    let flags = six.into_iter().flatten().find_map(|value| match value {
        AfSpecInet6::Flags(flags) => Some(*flags),
        _ => None,
    });
    let has = |flag| flags.is_some_and(|flags| flags.contains(flag));
    RaFlags { managed: has(Inet6IfaceFlags::RaManaged), other: has(Inet6IfaceFlags::Otherconf) }
}
