//! What a server grants, as the kernel and the resolver need it.

use crate::message::{Message, code};
use std::{net::Ipv4Addr, time::Duration};

/// A lease, as OFFER and ACK carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Length of its network's prefix, 1 to 32.
    pub prefix: u8,
    /// Who granted it.
    pub server: Ipv4Addr,
    /// How long it lasts; `None` is for ever.
    pub lifetime: Option<Duration>,
    /// T1: when to ask the server for more.
    pub renew: Duration,
    /// T2: when to ask anybody for more.
    pub rebind: Duration,
    /// Routes, the default route among them. Without duplicates.
    pub routes: Vec<Route>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// Domains to search.
    pub search: Vec<String>,
    /// The interface's MTU.
    pub mtu: Option<u32>,
    /// Time servers.
    pub ntp: Vec<Ipv4Addr>,
}

/// A route over the lease's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Where to; the bits after the prefix are 0.
    pub target: Ipv4Addr,
    /// Length of the prefix, 0 to 32.
    pub prefix: u8,
    /// Through whom; `None`: the target is on the link itself.
    pub gateway: Option<Ipv4Addr>,
}

/// Why an OFFER or ACK grants nothing usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// No host can have this address.
    #[error("address {0} is not one for a host")]
    Address(Ipv4Addr),
    /// The mask has holes, or is all zero.
    #[error("subnet mask {0} is none")]
    Mask(Ipv4Addr),
    /// RFC 2131 table 3: MUST be there.
    #[error("the server does not say who it is")]
    Server,
    /// RFC 2131 table 3: MUST be there. Or it is 0.
    #[error("there is no lease time")]
    LeaseTime,
}

/// RFC 2132 §5.1 allows 68; below 576 hosts cannot talk (RFC 791), and DHCP's own messages would not fit.
const MIN_MTU: u16 = 576;
/// RFC 2131 §3.3.
const FOREVER: u32 = u32::MAX;

impl Lease {
    /// What an OFFER or ACK grants.
    ///
    /// # Errors
    /// When what makes a lease is missing or cannot be. Everything else is left out when it is wrong.
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
            search: message.text(code::DOMAIN_NAME).map_or_else(Vec::new, |text| domains(&text)),
            mtu: message.array(code::MTU).map(|b| u16::from_be_bytes(*b)).filter(|&m| m >= MIN_MTU).map(u32::from),
            ntp: message.addresses(code::NTP),
        })
    }

    /// The gateway of the default route.
    #[must_use]
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.routes.iter().find(|route| route.prefix == 0).and_then(|route| route.gateway)
    }

    /// Whether `other` is in the address's own network, which the kernel routes by itself.
    #[must_use]
    pub fn is_neighbour(&self, other: Ipv4Addr) -> bool {
        mask(self.prefix) & self.address.to_bits() == mask(self.prefix) & other.to_bits()
    }
}

/// T1 and T2 in seconds, RFC 2131 §4.4.5: by default half and seven eighths of the time; in this order in any case.
fn timers(message: &Message, lease: u32) -> (u32, u32) {
    let rebind = message.seconds(code::REBINDING_TIME).filter(|&t2| 0 < t2 && t2 < lease);
    let rebind = rebind.unwrap_or(lease - lease / 8);
    let renew = message.seconds(code::RENEWAL_TIME).filter(|&t1| 0 < t1 && t1 < rebind);
    (renew.unwrap_or((lease / 2).min(rebind)), rebind)
}

/// RFC 3442: with classless routes the router option is not looked at. Only the first router is used.
fn routes(message: &Message) -> Vec<Route> {
    let classless = message.options.get(&code::CLASSLESS_ROUTES).and_then(|value| classless(value));
    let mut routes = classless.unwrap_or_else(|| {
        let router = message.addresses(code::ROUTER).into_iter().find(|router| !router.is_unspecified());
        router
            .map(|gateway| Route { target: Ipv4Addr::UNSPECIFIED, prefix: 0, gateway: Some(gateway) })
            .into_iter()
            .collect()
    });
    routes.sort_unstable();
    // The kernel has one route per target and metric.
    routes.dedup_by_key(|route| (route.target, route.prefix));
    routes
}

/// `None` when the option is cut off or a prefix is longer than 32.
fn classless(mut value: &[u8]) -> Option<Vec<Route>> {
    let mut routes = Vec::new();
    while let Some((&prefix, rest)) = value.split_first() {
        // "width of subnet mask" and then only the significant octets of the target.
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

/// RFC 2132 says nothing about a missing mask; the address's class is what there was before masks.
fn class_of(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    }
}

/// Names that may stand in resolv.conf; some servers give several, with blanks between.
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
    fn a_plain_lease_has_what_the_server_says_and_the_usual_timers() {
        let message = ack().with(code::DOMAIN_NAME, *b"example.org -x a;b").with(code::MTU, 1460_u16.to_be_bytes());
        let lease = Lease::read(&message).unwrap();
        assert_eq!((lease.address, lease.prefix), ([10, 0, 2, 15].into(), 24));
        assert_eq!(lease.gateway(), Some([10, 0, 2, 2].into()));
        assert_eq!((lease.renew.as_secs(), lease.rebind.as_secs()), (43_200, 75_600));
        assert_eq!((lease.search, lease.mtu), (vec!["example.org".to_owned()], Some(1460)));
        assert!(Lease::read(&ack()).unwrap().is_neighbour([10, 0, 2, 200].into()));
    }

    #[test]
    fn odd_timers_are_put_in_order() {
        for (lease, t1, t2, wanted) in [
            (100, 200, 300, (50, 88)),
            (100, 60, 50, (50, 50)),
            (1, 0, 0, (0, 1)),
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

    /// The examples of RFC 3442, and what comes when a cloud gives /32 addresses.
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
    fn what_is_no_lease_is_refused_by_name() {
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
