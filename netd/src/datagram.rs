//! IPv4 and UDP headers (RFC 791, RFC 768) around DHCP messages. netd writes them itself while the interface has no address, because
//! the kernel's UDP sockets need one.

use crate::message::{CLIENT_PORT, SERVER_PORT};
use std::net::Ipv4Addr;

const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const UDP: u8 = 17;
/// Bits of the fragment offset and of the flag "more fragments".
const FRAGMENT: u16 = 0x3fff;

/// Wraps a message from `source` to the broadcast address. `None` when the message is too long for a datagram.
#[must_use]
pub fn broadcast(source: Ipv4Addr, message: &[u8]) -> Option<Vec<u8>> {
    let udp_length = u16::try_from(UDP_HEADER + message.len()).ok()?;
    let total = udp_length.checked_add(20)?;
    let (source, target) = (source.octets(), Ipv4Addr::BROADCAST.octets());

    let mut ip = [0; IP_HEADER];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    (ip[8], ip[9]) = (64, UDP);
    ip[12..16].copy_from_slice(&source);
    ip[16..20].copy_from_slice(&target);
    let sum = checksum(&[&ip]);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());

    let mut udp = [0; UDP_HEADER];
    udp[..2].copy_from_slice(&CLIENT_PORT.to_be_bytes());
    udp[2..4].copy_from_slice(&SERVER_PORT.to_be_bytes());
    udp[4..6].copy_from_slice(&udp_length.to_be_bytes());
    // The checksum covers the pseudo-header. A result of 0 is sent as 0xffff, because 0 means "no checksum".
    let sum = match checksum(&[&source, &target, &[0, UDP], &udp_length.to_be_bytes(), &udp, message]) {
        0 => u16::MAX,
        sum => sum,
    };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    Some([&ip[..], &udp, message].concat())
}

/// The message in a datagram from a server to a client; `None` for anything else.
///
/// The UDP checksum is not verified. A server in a virtual machine on the same host leaves the checksum to the network card, but the
/// packet never passes one.
#[must_use]
pub fn payload(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let header = usize::from(first & 15) * 4;
    if first >> 4 != 4 || header < IP_HEADER {
        return None;
    }
    let ip = packet.get(..header)?;
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    if ip[9] != UDP || u16::from_be_bytes([ip[6], ip[7]]) & FRAGMENT != 0 || checksum(&[ip]) != 0 {
        return None;
    }
    let (udp, rest) = packet.get(header..total)?.split_first_chunk::<UDP_HEADER>()?;
    let port = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
    let length = usize::from(port(4)).checked_sub(UDP_HEADER)?;
    (port(0) == SERVER_PORT && port(2) == CLIENT_PORT).then(|| rest.get(..length)).flatten()
}

/// RFC 1071. All parts but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    // At most 2^16 words of 16 bits: no overflow.
    let mut sum: u32 = parts.iter().flat_map(|part| part.chunks(2)).map(word).sum();
    while let high @ 1.. = sum >> 16 {
        sum = (sum & 0xffff) + high;
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server's datagram: the ports are exchanged, which does not change the checksum.
    fn reply(message: &[u8]) -> Vec<u8> {
        let mut packet = broadcast([10, 0, 0, 1].into(), message).unwrap();
        packet[20..24].copy_from_slice(&[0, 67, 0, 68]);
        packet
    }

    #[test]
    fn checksums_agree_with_a_published_example() {
        // The usual example for RFC 1071.
        let header: [u8; 20] =
            [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 192, 168, 0, 1, 192, 168, 0, 199];
        assert_eq!(checksum(&[&header]), 0);
        let packet = broadcast(Ipv4Addr::UNSPECIFIED, b"odd").unwrap();
        let length = &packet[24..26];
        assert_eq!(checksum(&[&packet[12..20], &[0, 17], length, &packet[20..]]), 0);
        assert!(broadcast(Ipv4Addr::UNSPECIFIED, &[0; 65_530]).is_none());
    }

    #[test]
    fn only_complete_datagrams_from_servers_are_accepted() {
        assert_eq!(payload(&reply(b"hello")), Some(&b"hello"[..]));
        let padded = [reply(b"hello"), vec![0; 30]].concat();
        assert_eq!(payload(&padded), Some(&b"hello"[..]));
        assert_eq!(payload(&broadcast(Ipv4Addr::UNSPECIFIED, b"hello").unwrap()), None, "a client's");
        let whole = reply(b"hello");
        for end in 0..whole.len() {
            assert_eq!(payload(&whole[..end]), None, "cut at {end}");
        }
        for (at, value, fault) in
            [(0, 0x65, "version 6"), (0, 0x41, "short header"), (9, 6, "TCP"), (11, 1, "sum"), (25, 200, "length")]
        {
            let mut bad = reply(b"hello");
            bad[at] = value;
            assert_eq!(payload(&bad), None, "{fault}");
        }
    }
}
