//! Name servers and search domains of IPv6 router advertisements, RFC 8106. The kernel handles the rest of an advertisement and passes
//! these options on in messages `RTM_NEWNDUSEROPT` of rtnetlink(7) (linux/rtnetlink.h, `struct nduseroptmsg`).
//!
//! The bytes come from the network and may be hostile. Nothing here panics. An option of a wrong length is ignored.

use crate::{
    client::Moment,
    domain::{self, Pointers},
};
use std::{collections::BTreeMap, net::Ipv6Addr, time::Duration};

/// `RTM_NEWNDUSEROPT`.
const NEW_OPTION: u16 = 68;
/// Size of `nlmsghdr`, and of `nduseroptmsg`.
const HEADER: usize = 16;
/// `AF_INET6`.
const INET6: u8 = 10;
/// RFC 4861 §4.2: the ICMPv6 type of an advertisement.
const ROUTER_ADVERTISEMENT: u8 = 134;
/// RFC 8106 §5.1.
const NAME_SERVERS: u8 = 25;
/// RFC 8106 §5.2.
const SEARCH_LIST: u8 = 31;
/// The lifetime that means "for ever".
const FOREVER: u32 = u32::MAX;
/// Name servers, and domains, of one link. RFC 8106 §5.3.1 asks for at least three. More are dropped, so that advertisements cannot fill the
/// memory.
const MOST: usize = 8;

/// What a router announces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Announced {
    /// A name server.
    Server(Ipv6Addr),
    /// A domain to search.
    Domain(String),
}

impl Announced {
    fn is_server(&self) -> bool {
        matches!(self, Self::Server(_))
    }
}

/// One announcement with its lifetime in seconds. A lifetime of 0 takes it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Index of the interface.
    pub index: u32,
    /// What is announced.
    pub what: Announced,
    /// Lifetime in seconds.
    pub lifetime: u32,
}

/// Reads one netlink message. Empty if it has no option that is used here.
#[must_use]
pub fn parse(message: &[u8]) -> Vec<Announcement> {
    let body = message.get(HEADER..).filter(|_| message.get(4..6) == Some(&NEW_OPTION.to_ne_bytes()));
    body.and_then(options).unwrap_or_default()
}

fn options(body: &[u8]) -> Option<Vec<Announcement>> {
    let (head, rest) = body.split_first_chunk::<HEADER>()?;
    let [family, _, l0, l1, i0, i1, i2, i3, kind, ..] = *head;
    if family != INET6 || kind != ROUTER_ADVERTISEMENT {
        return None;
    }
    let index = u32::from_ne_bytes([i0, i1, i2, i3]);
    let mut options = rest.get(..usize::from(u16::from_ne_bytes([l0, l1])))?;
    let mut found = Vec::new();
    // RFC 4861 §4.6: type, length in units of 8 bytes. A length of 0 makes the rest invalid.
    while let [kind, length, ..] = *options
        && length != 0
    {
        let (option, rest) = options.split_at_checked(usize::from(length) * 8)?;
        options = rest;
        // Type, length, two reserved bytes, lifetime.
        let Some((&[_, _, _, _, t0, t1, t2, t3], value)) = option.split_first_chunk::<8>() else { continue };
        let lifetime = u32::from_be_bytes([t0, t1, t2, t3]);
        let announce = |what| Announcement { index, what, lifetime };
        match kind {
            NAME_SERVERS => {
                let servers = value.as_chunks::<16>().0.iter().map(|octets| Ipv6Addr::from(*octets));
                found.extend(servers.filter(is_host).map(Announced::Server).map(announce));
            }
            SEARCH_LIST => {
                found.extend(domain::names(value, Pointers::Refused).into_iter().map(Announced::Domain).map(announce))
            }
            _ => {}
        }
    }
    Some(found)
}

fn is_host(address: &Ipv6Addr) -> bool {
    !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
}

/// The announcements in force, with the time when each ends.
#[derive(Debug, Default)]
pub struct Announcements(BTreeMap<u32, BTreeMap<Announced, Option<Moment>>>);

impl Announcements {
    /// Takes an announcement, or takes it back when its lifetime is 0.
    pub fn learn(&mut self, announcement: Announcement, now: Moment) {
        let Announcement { index, what, lifetime } = announcement;
        let known = self.0.entry(index).or_default();
        if lifetime == 0 {
            known.remove(&what);
        } else if known.contains_key(&what)
            || known.keys().filter(|old| old.is_server() == what.is_server()).count() < MOST
        {
            known.insert(what, (lifetime != FOREVER).then(|| now + Duration::from_secs(lifetime.into())));
        }
    }

    /// Drops what has ended.
    pub fn expire(&mut self, now: Moment) {
        for known in self.0.values_mut() {
            known.retain(|_, end| end.is_none_or(|end| now < end));
        }
    }

    /// When to call [`Announcements::expire`].
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        self.0.values().flat_map(BTreeMap::values).flatten().min().copied()
    }

    /// Drops the announcements on interfaces that are not in use any more.
    pub fn keep_only(&mut self, in_use: impl Fn(u32) -> bool) {
        self.0.retain(|index, _| in_use(*index));
    }

    /// Name servers of an interface.
    pub fn servers(&self, index: u32) -> impl Iterator<Item = Ipv6Addr> {
        self.of(index).filter_map(|what| if let Announced::Server(server) = what { Some(*server) } else { None })
    }

    /// Search domains of an interface.
    pub fn domains(&self, index: u32) -> impl Iterator<Item = &str> {
        self.of(index).filter_map(|what| if let Announced::Domain(name) = what { Some(name.as_str()) } else { None })
    }

    fn of(&self, index: u32) -> impl Iterator<Item = &Announced> {
        self.0.get(&index).into_iter().flat_map(BTreeMap::keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of the kernel with these options of an advertisement on interface 3.
    fn message(options: &[u8]) -> Vec<u8> {
        let mut bytes = [0; 2 * HEADER];
        bytes[4..6].copy_from_slice(&NEW_OPTION.to_ne_bytes());
        bytes[16] = INET6;
        bytes[18..20].copy_from_slice(&u16::try_from(options.len()).unwrap().to_ne_bytes());
        bytes[20..24].copy_from_slice(&3_u32.to_ne_bytes());
        bytes[24] = ROUTER_ADVERTISEMENT;
        [&bytes[..], options, b"NDUSEROPT_SRCADDR..."].concat()
    }

    fn servers(lifetime: u32, addresses: &[&str]) -> Vec<u8> {
        let length = u8::try_from(1 + 2 * addresses.len()).unwrap();
        let mut option = vec![NAME_SERVERS, length, 0, 0];
        option.extend(lifetime.to_be_bytes());
        addresses.iter().for_each(|text| option.extend(text.parse::<Ipv6Addr>().unwrap().octets()));
        option
    }

    fn server(text: &str) -> Announced {
        Announced::Server(text.parse().unwrap())
    }

    #[test]
    fn name_servers_and_domains_are_read_and_invalid_ones_are_not() {
        let mut list = vec![SEARCH_LIST, 4, 0, 0, 0, 0, 0, 9];
        list.extend(b"\x03lan\x07example\x00\x04corp\x00\0\0\0\0\0\0");
        let bytes = message(&[servers(600, &["fd00:77::1", "::1", "ff02::1"]), list].concat());
        let wanted = [
            (server("fd00:77::1"), 600),
            (Announced::Domain("lan.example".into()), 9),
            (Announced::Domain("corp".into()), 9),
        ];
        let found: Vec<_> = parse(&bytes).into_iter().map(|it| (it.index, it.what, it.lifetime)).collect();
        assert_eq!(found, wanted.map(|(what, lifetime)| (3, what, lifetime)));
        for end in 0..bytes.len() {
            let _ = parse(&bytes[..end]);
        }
        assert!(parse(&message(&[NAME_SERVERS, 0, 0, 0, 0, 0, 0, 0])).is_empty(), "a length of 0 ends the list");
        let mut other = bytes.clone();
        other[24] = 135;
        assert!(parse(&other).is_empty(), "another ICMPv6 message");
    }

    #[test]
    fn announcements_end_by_themselves_or_are_taken_back() {
        let s = Duration::from_secs;
        let mut known = Announcements::default();
        let say = |what: &Announced, lifetime| Announcement { index: 3, what: what.clone(), lifetime };
        let (a, b) = (server("fd00::a"), server("fd00::b"));
        known.learn(say(&a, 10), s(0));
        known.learn(say(&b, FOREVER), s(0));
        assert_eq!(known.deadline(), Some(s(10)));
        known.learn(say(&a, 10), s(5));
        known.expire(s(10));
        assert_eq!(known.servers(3).count(), 2, "the second announcement counts");
        known.expire(s(15));
        assert_eq!((known.servers(3).collect::<Vec<_>>(), known.deadline()), (vec!["fd00::b".parse().unwrap()], None));
        known.learn(say(&b, 0), s(16));
        assert_eq!(known.servers(3).count(), 0);
        for number in 0..100 {
            known.learn(say(&Announced::Domain(format!("d{number}")), 9), s(0));
        }
        assert_eq!(known.domains(3).count(), MOST);
        known.learn(say(&a, 9), s(0));
        assert_eq!(known.servers(3).count(), 1, "domains take no place of name servers");
        known.keep_only(|index| index != 3);
        assert_eq!(known.domains(3).count(), 0);
    }
}
