//! netd's readers: bytes from the network.

use super::reader::Reader;
use berth_netd::{
    advertisement::{self, Announcements},
    client::{Action, Client},
    client6::{Action6, Client6, Mode},
    datagram,
    domain::{self, Pointers},
    lease::Lease,
    lease6::Lease6,
    message::{BOOTREPLY, Message, MessageType, code},
    message6::{self, Kind, Message6, Options},
    netlink, rtnetlink, sntp,
};
use std::time::Duration;

/// The readers.
pub(crate) const READERS: &[Reader] = &[
    Reader { name: "dhcp", seeds: dhcp_seeds, read: dhcp },
    Reader { name: "dhcp-client", seeds: client_seeds, read: client },
    Reader { name: "dhcp6", seeds: dhcp6_seeds, read: dhcp6 },
    Reader { name: "dhcp6-client", seeds: client_seeds, read: client6 },
    Reader { name: "domains", seeds: domain_seeds, read: domains },
    Reader { name: "advertisement", seeds: advertisement_seeds, read: advertisement },
    Reader { name: "rtnetlink", seeds: rtnetlink_seeds, read: rtnetlink },
    Reader { name: "sntp", seeds: sntp_seeds, read: sntp },
];

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn reply(kind: MessageType) -> Message {
    let mut message = Message::new(BOOTREPLY, kind, 1, MAC)
        .with(code::SERVER_ID, [10, 0, 2, 2])
        .with(code::LEASE_TIME, [0, 0, 14, 16])
        .with(code::SUBNET_MASK, [255, 255, 255, 0])
        .with(code::ROUTER, [10, 0, 2, 2])
        .with(code::DNS, [10, 0, 2, 3, 9, 9, 9, 9])
        .with(code::DOMAIN_NAME, *b"example.org lan")
        .with(code::MTU, [5, 120])
        .with(code::OVERLOAD, [3])
        .with(code::CLASSLESS_ROUTES, [0, 10, 0, 2, 2, 24, 10, 1, 2, 10, 0, 2, 9]);
    message.yiaddr = [10, 0, 2, 15].into();
    message
}

/// Datagrams of a server.
fn dhcp_seeds() -> Vec<Vec<u8>> {
    let packet = |kind| {
        let mut packet = datagram::broadcast([10, 0, 2, 2].into(), &reply(kind).bytes()).unwrap_or_default();
        packet[20..24].copy_from_slice(&[0, 67, 0, 68]);
        packet
    };
    [MessageType::Offer, MessageType::Ack, MessageType::Nak].map(packet).to_vec()
}

fn dhcp(bytes: &[u8]) {
    // Also the payload alone: few changed packets have a right checksum.
    for payload in datagram::payload(bytes).into_iter().chain([bytes]) {
        let Ok(message) = Message::parse(payload) else { continue };
        assert_eq!(Message::parse(&message.bytes()).as_ref().map(|again| &again.options), Ok(&message.options));
        if let Ok(lease) = Lease::read(&message) {
            assert!((1..=32).contains(&lease.prefix) && lease.renew <= lease.rebind);
            assert!(lease.renew >= Duration::from_secs(10));
        }
    }
}

/// Events for the client: seconds that pass, kind of the message, what is changed.
fn client_seeds() -> Vec<Vec<u8>> {
    vec![vec![0, 0, 0, 1, 1, 0, 60, 1, 0], vec![0, 0, 0, 0, 2, 0, 0, 3, 0, 200, 0, 7, 0, 1, 9, 200, 4, 0]]
}

fn client(bytes: &[u8]) {
    let (mut client, mut now, mut sent) = (Client::new(MAC, 1), Duration::ZERO, 0_u32);
    let mut actions = client.carrier_up(now, None);
    for event in bytes.chunks_exact(3) {
        let &[wait, kind, change] = event else { continue };
        let mut xid = 0;
        for action in actions.drain(..) {
            if let Action::Broadcast { message, .. } | Action::Unicast { message, .. } = action {
                xid = Message::parse(&message).expect("the client's own message").xid;
                sent += 1;
            }
        }
        now += Duration::from_secs(u64::from(wait) * u64::from(wait));
        let mut message = match kind % 5 {
            0 => reply(MessageType::Offer),
            1 => reply(MessageType::Ack),
            2 => reply(MessageType::Nak),
            3 => {
                client.carrier_down();
                actions = client.carrier_up(now, None);
                continue;
            }
            _ => {
                actions = client.tick(now);
                continue;
            }
        };
        message.xid = xid;
        message.options.insert(code::LEASE_TIME, vec![0, 0, change, kind]);
        message.options.insert(code::RENEWAL_TIME, vec![0, 0, 0, change]);
        actions = client.receive(now, &message);
        actions.extend(client.tick(now));
    }
    // Every event causes two messages at most: an answer, and one that is due.
    let events = u32::try_from(bytes.len() / 3).unwrap_or(u32::MAX);
    assert!(sent <= events.saturating_mul(2).saturating_add(1), "{sent} messages after {events} events");
}

/// The group of addresses that [`Client6`] has for [`MAC`].
const IAID: u32 = 1;

fn reply6(kind: Kind, xid: u32, times: [u32; 4]) -> Message6 {
    let [t1, t2, preferred, valid] = times.map(u32::to_be_bytes);
    let address = [&[0xfd, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9][..], &preferred, &valid].concat();
    let options = Options(vec![(message6::code::IA_ADDRESS, address)]);
    Message6::new(kind, xid)
        .with(message6::code::CLIENT_ID, [&[0, 3, 0, 1][..], &MAC].concat())
        .with(message6::code::SERVER_ID, [0, 3, 0, 1, 2, 0, 0, 0, 0, 9])
        .with(message6::code::IA_NA, [&IAID.to_be_bytes()[..], &t1, &t2, &options.bytes()].concat())
        .with(message6::code::DNS, [0xfd, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
        .with(message6::code::DOMAINS, *b"\x03lan\x07example\x00")
}

/// Messages of a DHCPv6 server.
fn dhcp6_seeds() -> Vec<Vec<u8>> {
    [Kind::Advertise, Kind::Reply].map(|kind| reply6(kind, 1, [300, 480, 600, 1200]).bytes()).to_vec()
}

fn dhcp6(bytes: &[u8]) {
    let Some(message) = Message6::parse(bytes) else { return };
    assert_eq!(Message6::parse(&message.bytes()).as_ref(), Some(&message));
    if let Some(lease) = Lease6::read(&message, IAID) {
        assert!(lease.renew <= lease.rebind && lease.renew >= Duration::from_secs(10));
        assert!(lease.lifetime() >= Duration::from_secs(20));
    }
}

/// Events as for [`client`].
fn client6(bytes: &[u8]) {
    let (mut client, mut now, mut sent, mut xid) = (Client6::new(MAC, Mode::Stateful, 1), Duration::ZERO, 0_u32, 0);
    client.up(now);
    for event in bytes.chunks_exact(3) {
        let &[wait, kind, change] = event else { continue };
        now += Duration::from_secs(u64::from(wait) * u64::from(wait));
        let times = [change.into(), kind.into(), kind.into(), u32::from(kind) + u32::from(change)];
        let message = match kind % 6 {
            0 => Some(reply6(Kind::Advertise, xid, times)),
            1 => Some(reply6(Kind::Reply, xid, times)),
            2 => Some(reply6(Kind::Reply, xid, times).with(message6::code::RAPID_COMMIT, [])),
            3 => Some(reply6(Kind::Reply, xid, [0; 4]).with(message6::code::STATUS, [0, change])),
            4 => {
                client.down();
                client.up(now);
                None
            }
            _ => None,
        };
        let mut actions = message.map_or_else(Vec::new, |message| client.receive(now, &message));
        actions.extend(client.tick(now));
        for action in actions {
            if let Action6::Send(message) = action {
                xid = Message6::parse(&message).expect("the client's own message").xid;
                sent += 1;
            }
        }
    }
    let events = u32::try_from(bytes.len() / 3).unwrap_or(u32::MAX);
    assert!(sent <= events.saturating_mul(3).saturating_add(1), "{sent} messages after {events} events");
}

fn domain_seeds() -> Vec<Vec<u8>> {
    vec![b"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04".to_vec(), b"\x03lan\x07example\x00\0\0".to_vec()]
}

fn domains(bytes: &[u8]) {
    for pointers in [Pointers::Allowed, Pointers::Refused] {
        for name in domain::names(bytes, pointers) {
            assert!((1..=253).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_graphic()), "{name:?}");
        }
    }
}

/// A message of the kernel with name servers and domains.
fn advertisement_seeds() -> Vec<Vec<u8>> {
    let mut servers = vec![25, 3, 0, 0, 0, 0, 2, 88];
    servers.extend([0xfd, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let domains = *b"\x1f\x03\0\0\0\0\0\x09\x03lan\x07example\0\0\0\0";
    let options = [&servers[..], &domains].concat();
    let mut message = [0; 32];
    message[4..6].copy_from_slice(&68_u16.to_ne_bytes());
    message[16] = 10;
    message[18..20].copy_from_slice(&u16::try_from(options.len()).unwrap_or(0).to_ne_bytes());
    (message[20], message[24]) = (3, 134);
    vec![[&message[..], &options].concat()]
}

fn advertisement(bytes: &[u8]) {
    let mut known = Announcements::default();
    for announcement in advertisement::parse(bytes) {
        known.learn(announcement, Duration::ZERO);
    }
    known.expire(known.deadline().unwrap_or_default());
}

/// An answer of the kernel with one IPv4 address.
fn rtnetlink_seeds() -> Vec<Vec<u8>> {
    let mut message = vec![0; 40];
    message[0] = 40;
    message[4] = 20;
    (message[16], message[17], message[20]) = (2, 24, 3);
    message[24..32].copy_from_slice(&[8, 0, 1, 0, 10, 0, 2, 15]);
    message[32..40].copy_from_slice(&[8, 0, 2, 0, 10, 0, 2, 15]);
    vec![message.clone(), [message.clone(), message].concat()]
}

fn rtnetlink(bytes: &[u8]) {
    for message in netlink::messages(bytes) {
        rtnetlink::read(&message);
    }
}

fn sntp_seeds() -> Vec<Vec<u8>> {
    let mut packet = vec![0; 48];
    (packet[0], packet[1]) = (4 << 3 | 4, 2);
    packet[24..32].copy_from_slice(&NONCE);
    packet[32..36].copy_from_slice(&[0xec, 0, 0, 0]);
    packet[40..44].copy_from_slice(&[0xec, 0, 0, 1]);
    vec![packet]
}

const NONCE: [u8; 8] = *b"question";

fn sntp(bytes: &[u8]) {
    if let Some(packet) = bytes.first_chunk() {
        let _ = sntp::offset(packet, NONCE, 0, i128::from(i64::MAX));
    }
}
