//! What a DHCPv6 server grants, in the form that the kernel and the resolver need.

use crate::{
    domain::{self, Pointers},
    message6::{Message6, Options, code},
};
use std::{net::Ipv6Addr, time::Duration};

/// The lease of an ADVERTISE or REPLY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease6 {
    /// The server's identifier.
    pub server: Vec<u8>,
    /// The addresses. Empty if the server gives settings only.
    pub addresses: Vec<Address6>,
    /// T1: when to ask this server for more time.
    pub renew: Duration,
    /// T2: when to ask every server for more time.
    pub rebind: Duration,
    /// Name servers.
    pub dns: Vec<Ipv6Addr>,
    /// Domains to search.
    pub search: Vec<String>,
}

/// An address of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address6 {
    /// The address.
    pub ip: Ipv6Addr,
    /// How long new connections use it.
    pub preferred: Duration,
    /// How long it is valid. [`FOREVER`] does not end.
    pub valid: Duration,
}

/// The lifetime that means "for ever", RFC 8415 §7.7.
pub const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);
/// Seconds. A shorter lease is used for this time, as in DHCPv4: it must not cause a stream of requests.
const SHORTEST_LEASE: u32 = 20;
/// Seconds. T1 and T2 are not earlier.
const EARLIEST_RENEWAL: u32 = 10;
/// Addresses and name servers of one lease. More are dropped.
const MOST: usize = 8;

impl Lease6 {
    /// Reads a lease for the group with this number. `None` if the message has no server.
    #[must_use]
    pub fn read(message: &Message6, iaid: u32) -> Option<Self> {
        let options = &message.options;
        let server = options.get(code::SERVER_ID).filter(|id| (1..=130).contains(&id.len()))?.to_vec();
        let group = options.all(code::IA_NA).find_map(|value| Group::read(value, iaid));
        let (addresses, t1, t2) = group.map_or((Vec::new(), 0, 0), |group| (group.addresses, group.t1, group.t2));
        let shortest =
            addresses.iter().map(|address| seconds(address.preferred)).filter(|&s| s > 0).min().unwrap_or(u32::MAX);
        // RFC 8415 §21.4: 0 leaves the choice to the client; it recommends 0.5 and 0.8 of the shortest preferred lifetime.
        let choose = |given: u32, share: u64| match given {
            0 => u32::try_from(u64::from(shortest) * share / 10).unwrap_or(u32::MAX),
            given => given,
        };
        let rebind = choose(t2, 8).max(EARLIEST_RENEWAL);
        let renew = choose(t1, 5).max(EARLIEST_RENEWAL).min(rebind);
        let (servers, _) = options.get(code::DNS).unwrap_or_default().as_chunks::<16>();
        let usable = |ip: &Ipv6Addr| !ip.is_unspecified() && !ip.is_multicast() && !ip.is_loopback();
        Some(Self {
            server,
            addresses,
            renew: Duration::from_secs(renew.into()),
            rebind: Duration::from_secs(rebind.into()),
            dns: servers.iter().map(|octets| Ipv6Addr::from(*octets)).filter(usable).take(MOST).collect(),
            search: domain::names(options.get(code::DOMAINS).unwrap_or_default(), Pointers::Refused),
        })
    }

    /// How long the lease lasts: until its last address is not valid any more.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.addresses.iter().map(|address| address.valid).max().unwrap_or(FOREVER)
    }
}

/// An option `IA_NA`, RFC 8415 §21.4.
struct Group {
    t1: u32,
    t2: u32,
    addresses: Vec<Address6>,
}

impl Group {
    fn read(value: &[u8], iaid: u32) -> Option<Self> {
        let (head, rest) = value.split_first_chunk::<12>()?;
        let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (t1, t2) = (number(4), number(8));
        let options = Options::parse(rest).filter(|options| options.status() == 0)?;
        // RFC 8415 §21.4: a group with T1 after T2 is ignored.
        if number(0) != iaid || (t2 != 0 && t1 > t2) {
            return None;
        }
        let addresses = options.all(code::IA_ADDRESS).filter_map(address).take(MOST).collect();
        Some(Self { t1, t2, addresses })
    }
}

/// An option `IAADDR`, RFC 8415 §21.6. `None` if the address is not valid.
fn address(value: &[u8]) -> Option<Address6> {
    let (head, rest) = value.split_first_chunk::<24>()?;
    let ip = Ipv6Addr::from(*head.first_chunk::<16>()?);
    let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (preferred, valid) = (number(16), number(20));
    let is_host = !ip.is_unspecified() && !ip.is_multicast() && !ip.is_loopback() && !ip.is_unicast_link_local();
    if !is_host || valid == 0 || preferred > valid || Options::parse(rest)?.status() != 0 {
        return None;
    }
    let time = |seconds: u32| Duration::from_secs(seconds.into());
    let valid = valid.max(SHORTEST_LEASE);
    // 0 means that new connections do not use the address.
    let preferred = if preferred == 0 { 0 } else { preferred.max(SHORTEST_LEASE) };
    Some(Address6 { ip, preferred: time(preferred), valid: time(valid) })
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}
