//! A lease: what a server grants, in the form that the kernel and the resolver need.

use crate::{
    domain::{self, Pointers},
    message::{Message, code},
};
use berth_contract::host_config::is_host_name;
use std::{net::Ipv4Addr, time::Duration};

/// The lease of an OFFER or ACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Prefix length of its network, 1 to 32.
    pub prefix: u8,
    /// Address of the server that grants the lease.
    pub server: Ipv4Addr,
    /// Lifetime; `None` means that it never expires.
    pub lifetime: Option<Duration>,
    /// T1: when to ask this server for more time.
    pub renew: Duration,
    /// T2: when to ask every server for more time.
    pub rebind: Duration,
    /// Routes, including the default route. Without duplicates.
    pub routes: Vec<Route>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// Domains to search.
    pub search: Vec<String>,
    /// The interface's MTU.
    pub mtu: Option<u32>,
    /// Time servers.
    pub ntp: Vec<Ipv4Addr>,
    /// Host name.
    pub hostname: Option<String>,
}

/// A route over the lease's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Destination; the bits after the prefix are 0.
    pub target: Ipv4Addr,
    /// Prefix length, 0 to 32.
    pub prefix: u8,
    /// Gateway; `None` when the destination is on the link.
    pub gateway: Option<Ipv4Addr>,
}

/// Why an OFFER or ACK has no usable lease.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A host cannot have this address.
    #[error("invalid address {0}: not a host address")]
    Address(Ipv4Addr),
    /// The mask has no one-bits, or they are not contiguous.
    #[error("invalid subnet mask {0}: expected contiguous one-bits")]
    Mask(Ipv4Addr),
    /// RFC 2131 table 3: required.
    #[error("no server identifier (option 54)")]
    Server,
    /// RFC 2131 table 3: required. A time of 0 counts as missing.
    #[error("no lease time (option 51)")]
    LeaseTime,
}

/// RFC 2132 §5.1 allows 68 bytes. But every host must accept 576 (RFC 791), and DHCP messages need that much.
const MIN_MTU: u16 = 576;
/// The lease time that means "for ever", RFC 2131 §3.3.
const FOREVER: u32 = u32::MAX;
/// Seconds. A shorter lease is used for this time, as dhcpcd does: a server with a lease of 1 s must not cause a stream of requests.
const SHORTEST_LEASE: u32 = 20;
/// Seconds. T1 and T2 are not earlier.
const EARLIEST_RENEWAL: u32 = 10;

impl Lease {
    /// Reads the lease of an OFFER or ACK.
    ///
    /// # Errors
    /// When address, mask, server or lease time is missing or invalid. Any other invalid option is ignored.
    pub fn read(message: &Message) -> Result<Self, Unusable> {
        let address = message.yiaddr;
        if address.is_unspecified() || address.is_loopback() || address.octets()[0] == 0 || address.octets()[0] >= 224 {
            return Err(Unusable::Address(address));
        }
        let prefix = match message.address(code::SUBNET_MASK) {
            Some(mask) => prefix_of(mask).ok_or(Unusable::Mask(mask))?,
            None => class_of(address),
        };
        let server = message.address(code::SERVER_ID).ok_or(Unusable::Server)?;
        let seconds = message.seconds(code::LEASE_TIME).filter(|&s| s != 0).ok_or(Unusable::LeaseTime)?;
        let seconds = seconds.max(SHORTEST_LEASE);
        let (renew, rebind) = timers(message, seconds);
        Ok(Self {
            address,
            prefix,
            server,
            lifetime: (seconds != FOREVER).then(|| Duration::from_secs(seconds.into())),
            renew: Duration::from_secs(renew.into()),
            rebind: Duration::from_secs(rebind.into()),
            routes: routes(message),
            dns: message.addresses(code::DNS).into_iter().filter(|dns| !dns.is_unspecified()).collect(),
            search: search(message),
            mtu: message.array(code::MTU).map(|b| u16::from_be_bytes(*b)).filter(|&m| m >= MIN_MTU).map(u32::from),
            ntp: message.addresses(code::NTP),
            hostname: message.text(code::HOST_NAME).filter(|name| is_host_name(name)),
        })
    }

    /// The gateway of the default route.
    #[must_use]
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.routes.iter().find(|route| route.prefix == 0).and_then(|route| route.gateway)
    }

    /// The routes, those to the link's own networks first: a gateway of another route may be reached through one of them.
    pub fn routes_in_order(&self) -> impl Iterator<Item = &Route> {
        let of = |is_near: bool| self.routes.iter().filter(move |route| route.gateway.is_none() == is_near);
        of(true).chain(of(false))
    }

    /// Whether `other` is in the network of the address. The kernel makes the route to that network.
    #[must_use]
    pub fn is_neighbour(&self, other: Ipv4Addr) -> bool {
        mask(self.prefix) & self.address.to_bits() == mask(self.prefix) & other.to_bits()
    }
}

/// T1 and T2 in seconds, RFC 2131 §4.4.5: by default one half and seven eighths of the lifetime. T1 is never later than T2. `lease` is at
/// least [`SHORTEST_LEASE`].
fn timers(message: &Message, lease: u32) -> (u32, u32) {
    let rebind = message.seconds(code::REBINDING_TIME).filter(|&t2| 0 < t2 && t2 < lease);
    let rebind = rebind.unwrap_or(lease - lease / 8).max(EARLIEST_RENEWAL);
    let renew = message.seconds(code::RENEWAL_TIME).filter(|&t1| 0 < t1 && t1 < rebind);
    (renew.unwrap_or(lease / 2).max(EARLIEST_RENEWAL).min(rebind), rebind)
}

/// RFC 3442: the router option is ignored when there are classless routes. Only the first router is used.
fn routes(message: &Message) -> Vec<Route> {
    let option = |code: u8| message.options.get(&code).and_then(|value| classless(value));
    let classless = option(code::CLASSLESS_ROUTES).or_else(|| option(code::MICROSOFT_ROUTES));
    let mut routes = classless.unwrap_or_else(|| {
        let router = message.addresses(code::ROUTER).into_iter().find(|router| !router.is_unspecified());
        router
            .map(|gateway| Route { target: Ipv4Addr::UNSPECIFIED, prefix: 0, gateway: Some(gateway) })
            .into_iter()
            .collect()
    });
    routes.sort_unstable();
    // The kernel has one route per destination and metric.
    routes.dedup_by_key(|route| (route.target, route.prefix));
    routes
}

/// `None` when the option is cut off or a prefix is longer than 32.
fn classless(mut value: &[u8]) -> Option<Vec<Route>> {
    let mut routes = Vec::new();
    while let Some((&prefix, rest)) = value.split_first() {
        // "width of subnet mask", then the significant octets of the destination.
        let (significant, rest) = rest.split_at_checked(usize::from(prefix.div_ceil(8)))?;
        let (gateway, rest) = rest.split_first_chunk::<4>()?;
        let mut target = [0; 4];
        target.get_mut(..significant.len())?.copy_from_slice(significant);
        let target = Ipv4Addr::from_bits(u32::from_be_bytes(target) & mask(prefix));
        let gateway = Some(Ipv4Addr::from(*gateway)).filter(|gateway| !gateway.is_unspecified());
        routes.push(Route { target, prefix, gateway });
        value = rest;
    }
    Some(routes)
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let ones = mask.to_bits().leading_ones();
    (ones != 0 && ones == mask.to_bits().count_ones()).then(|| u8::try_from(ones).ok()).flatten()
}

/// The prefix by address class. RFC 2132 does not define what a missing mask means; classes are older than masks.
fn class_of(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    }
}

/// The list of domains, or else the client's own domain.
fn search(message: &Message) -> Vec<String> {
    let list = message.options.get(&code::DOMAIN_SEARCH).map(|value| domain::names(value, Pointers::Allowed));
    list.filter(|names| !names.is_empty())
        .unwrap_or_else(|| message.text(code::DOMAIN_NAME).map_or_else(Vec::new, |text| domains(&text)))
}

/// Domain names that are valid in resolv.conf. Some servers send several, separated by blanks.
fn domains(text: &str) -> Vec<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = |name: &&str| name.len() <= 253 && !name.starts_with('-') && name.chars().all(plain);
    text.split_ascii_whitespace().filter(name).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{BOOTREPLY, MessageType};

    fn ack() -> Message {
        let mut ack = Message::new(BOOTREPLY, MessageType::Ack, 1, [2, 0, 0, 0, 0, 1])
            .with(code::SERVER_ID, [10, 0, 2, 2])
            .with(code::LEASE_TIME, 86_400_u32.to_be_bytes())
            .with(code::SUBNET_MASK, [255, 255, 255, 0])
            .with(code::ROUTER, [10, 0, 2, 2, 10, 0, 2, 3]);
        ack.yiaddr = [10, 0, 2, 15].into();
        ack
    }

    #[test]
    fn a_plain_lease_has_the_servers_values_and_the_default_timers() {
        let message = ack().with(code::DOMAIN_NAME, *b"example.org -x a;b").with(code::MTU, 1460_u16.to_be_bytes());
        let named = Lease::read(&message.clone().with(code::HOST_NAME, *b"node-7.example")).unwrap();
        assert_eq!(named.hostname.as_deref(), Some("node-7.example"));
        assert_eq!(Lease::read(&message.clone().with(code::HOST_NAME, *b"-x; y")).unwrap().hostname, None);
        let listed = message.clone().with(code::DOMAIN_SEARCH, *b"\x03lan\x07example\x00\x01a\xc0\x04");
        assert_eq!(Lease::read(&listed).unwrap().search, ["lan.example", "a.example"]);
        let damaged = message.clone().with(code::DOMAIN_SEARCH, *b"\x09short");
        assert_eq!(Lease::read(&damaged).unwrap().search, ["example.org"]);
        let lease = Lease::read(&message).unwrap();
        assert_eq!((lease.address, lease.prefix), ([10, 0, 2, 15].into(), 24));
        assert_eq!(lease.gateway(), Some([10, 0, 2, 2].into()));
        assert_eq!((lease.renew.as_secs(), lease.rebind.as_secs()), (43_200, 75_600));
        assert_eq!((lease.search, lease.mtu), (vec!["example.org".to_owned()], Some(1460)));
        assert!(Lease::read(&ack()).unwrap().is_neighbour([10, 0, 2, 200].into()));
    }

    #[test]
    fn timers_in_a_wrong_order_are_corrected() {
        for (lease, t1, t2, wanted) in [
            (100, 200, 300, (50, 88)),
            (100, 60, 50, (50, 50)),
            (SHORTEST_LEASE, 0, 0, (10, 18)),
            (SHORTEST_LEASE, 1, 2, (10, 10)),
            (86_400, 1, 3, (10, 10)),
            (100, 10, 20, (10, 20)),
            (u32::MAX, 0, 0, (u32::MAX / 2, u32::MAX - u32::MAX / 8)),
        ] {
            let seconds = |n: u32| n.to_be_bytes();
            let message = ack()
                .with(code::LEASE_TIME, seconds(lease))
                .with(code::RENEWAL_TIME, seconds(t1))
                .with(code::REBINDING_TIME, seconds(t2));
            assert_eq!(timers(&message, lease), wanted, "{lease} {t1} {t2}");
            assert_eq!(Lease::read(&message).unwrap().lifetime.is_none(), lease == u32::MAX);
        }
    }

    #[test]
    fn a_lease_of_a_second_is_used_for_longer() {
        let lease = Lease::read(&ack().with(code::LEASE_TIME, 1_u32.to_be_bytes())).unwrap();
        assert_eq!(lease.lifetime, Some(Duration::from_secs(SHORTEST_LEASE.into())));
        assert_eq!((lease.renew.as_secs(), lease.rebind.as_secs()), (10, 18));
    }

    /// The examples of RFC 3442, and a /32 address as cloud providers give it.
    #[test]
    fn classless_routes_replace_the_router() {
        let value = [0, 10, 0, 0, 1, 8, 10, 10, 0, 0, 2, 24, 10, 0, 0, 10, 0, 0, 3, 25, 10, 229, 0, 128, 0, 0, 0, 0];
        let lease = Lease::read(&ack().with(code::CLASSLESS_ROUTES, value)).unwrap();
        let text: Vec<String> =
            lease.routes.iter().map(|r| format!("{}/{} {:?}", r.target, r.prefix, r.gateway)).collect();
        assert_eq!(
            text,
            [
                "0.0.0.0/0 Some(10.0.0.1)",
                "10.0.0.0/8 Some(10.0.0.2)",
                "10.0.0.0/24 Some(10.0.0.3)",
                "10.229.0.128/25 None"
            ]
        );
        let older = Lease::read(&ack().with(code::MICROSOFT_ROUTES, value)).unwrap();
        assert_eq!(older.routes, lease.routes);
        for bad in [&[33, 1, 2, 3, 4, 5, 9, 9, 9, 9][..], &[24, 10, 0, 0, 1], &[8], &[255]] {
            assert_eq!(
                Lease::read(&ack().with(code::CLASSLESS_ROUTES, bad)).unwrap().gateway(),
                Some([10, 0, 2, 2].into())
            );
        }
        let loose = ack().with(code::CLASSLESS_ROUTES, [8, 10, 1, 1, 1, 1]);
        assert_eq!(Lease::read(&loose).unwrap().gateway(), None);
    }

    #[test]
    fn each_fault_of_a_lease_has_its_own_error() {
        let without = |code: u8| {
            let mut message = ack();
            message.options.remove(&code);
            Lease::read(&message)
        };
        assert_eq!(without(code::SERVER_ID), Err(Unusable::Server));
        assert_eq!(without(code::LEASE_TIME), Err(Unusable::LeaseTime));
        assert_eq!(without(code::SUBNET_MASK).unwrap().prefix, 8);
        for mask in [[255, 0, 255, 0], [0, 0, 0, 0], [127, 255, 255, 255]] {
            assert_eq!(Lease::read(&ack().with(code::SUBNET_MASK, mask)), Err(Unusable::Mask(mask.into())));
        }
        for address in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255, 255, 255, 255]] {
            let mut message = ack();
            message.yiaddr = address.into();
            assert_eq!(Lease::read(&message), Err(Unusable::Address(address.into())));
        }
    }
}
