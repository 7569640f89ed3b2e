//! Checks whether a name resolves: one query for an address (RFC 1035) over UDP to each name server.
//!
//! The resolver of the C library is not used, because a health check has three needs that it does not meet: it asks the given name servers,
//! it tells a server that does not answer from an answer that the name does not exist, and its time is limited.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

/// UDP port of name servers.
pub const PORT: u16 = 53;
/// Time limit for the answer of one server.
const PATIENCE: Duration = Duration::from_secs(2);
/// Size limit of an answer over UDP without extensions, in bytes.
const LONGEST: usize = 512;
const HEADER: usize = 12;

/// Why a name does not resolve.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The host has no name servers.
    #[error("there are no name servers")]
    NoServers,
    /// A query cannot contain this name.
    #[error("invalid host name {0:?}: expected labels of 1 to 63 ASCII characters, at most 255 bytes")]
    Name(String),
    /// A server cannot be reached, or does not answer.
    #[error("name server {server}: {source}")]
    Server {
        /// The server's address.
        server: IpAddr,
        /// The system's error.
        source: io::Error,
    },
    /// A server answered that the name has no address.
    #[error("name server {server}: expected an address, found none (response code {code})")]
    NoAddress {
        /// The server's address.
        server: IpAddr,
        /// RFC 1035, 4.1.1: RCODE.
        code: u8,
    },
}

/// Asks the servers one after the other for an address of `name`, until one of them returns an address.
///
/// # Errors
/// When no server returns an address: [`DnsError::NoAddress`] of the last server that answered. If no server answered, the error of the
/// last server.
pub fn resolves(name: &str, servers: &[IpAddr], port: u16) -> Result<(), DnsError> {
    let question = question(name).ok_or_else(|| DnsError::Name(name.to_owned()))?;
    let mut last = DnsError::NoServers;
    for &server in servers {
        match ask(SocketAddr::new(server, port), &question) {
            Ok(Answer { code: 0, addresses: true }) => return Ok(()),
            Ok(Answer { code, .. }) => last = DnsError::NoAddress { server, code },
            Err(_) if matches!(last, DnsError::NoAddress { .. }) => {}
            Err(source) => last = DnsError::Server { server, source },
        }
    }
    Err(last)
}

struct Answer {
    code: u8,
    addresses: bool,
}

fn ask(server: SocketAddr, question: &[u8]) -> io::Result<Answer> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    // A connected socket receives datagrams of this server only.
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let [low, high, ..] = RandomState::new().build_hasher().finish().to_le_bytes();
    let mut query = vec![low, high];
    // Header: recursion desired, one question.
    query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    query.extend(question);
    socket.send(&query)?;
    let mut bytes = [0; LONGEST];
    // Ignore one answer that belongs to another query. More of them are an error.
    for _ in 0..2 {
        let count = socket.recv(&mut bytes)?;
        if let Some(answer) = parse(&bytes[..count], &query) {
            return Ok(answer);
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "expected an answer to this query, found answers to other queries"))
}

/// Reads an answer. `None` if the bytes are not an answer to `query`.
fn parse(bytes: &[u8], query: &[u8]) -> Option<Answer> {
    let same = bytes.len() >= query.len() && bytes[..2] == query[..2] && bytes[2] & 0x80 != 0;
    let echoed = bytes.get(HEADER..query.len())?.eq_ignore_ascii_case(&query[HEADER..]);
    let answers = u16::from_be_bytes([bytes[6], bytes[7]]);
    (same && echoed).then_some(Answer { code: bytes[3] & 0x0f, addresses: answers > 0 })
}

/// The question section (RFC 1035, 4.1.2): labels with their lengths, type A, class IN. `None` if the name is invalid.
fn question(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        bytes.push(length);
        bytes.extend(label.bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    (bytes.len() <= 255 + 4 && name.is_ascii()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn questions_are_labels_with_their_lengths() {
        assert_eq!(question("a.example.").unwrap(), b"\x01a\x07example\0\0\x01\0\x01");
        for bad in ["", ".", "a..b", &"x".repeat(64), &"a.".repeat(200), "\u{e4}.example"] {
            assert!(question(bad).is_none(), "{bad}");
        }
    }

    /// A server that answers each query with the result of `answer`.
    fn server(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> u16 {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        thread::spawn(move || {
            let mut bytes = [0; 512];
            while let Ok((count, from)) = socket.recv_from(&mut bytes) {
                let _ = socket.send_to(&answer(&bytes[..count]), from);
            }
        });
        port
    }

    fn answer(query: &[u8], code: u8, answers: u8) -> Vec<u8> {
        let mut bytes = query.to_vec();
        (bytes[2], bytes[3], bytes[7]) = (0x81, 0x80 | code, answers);
        bytes
    }

    #[test]
    fn only_an_address_is_a_success() {
        let here = [IpAddr::from(Ipv4Addr::LOCALHOST)];
        assert!(resolves("a.example.org", &here, server(|query| answer(query, 0, 1))).is_ok());
        let error = |port: u16| resolves("a.example.org", &here, port).unwrap_err().to_string();
        assert!(error(server(|query| answer(query, 3, 0))).ends_with("found none (response code 3)"));
        assert!(error(server(|query| answer(query, 0, 0))).ends_with("found none (response code 0)"));
        assert!(error(server(|_| b"\0\0\x81\x80".to_vec())).contains("name server 127.0.0.1"));
        assert!(
            error(server(|query| query.to_vec())).contains("name server 127.0.0.1"),
            "a copy of the query is not an answer"
        );
        let other = server(|query| {
            let mut bytes = answer(query, 0, 1);
            bytes[13] ^= 1;
            bytes
        });
        assert!(error(other).contains("name server 127.0.0.1"));
        assert!(matches!(resolves("a.example.org", &[], 53), Err(DnsError::NoServers)));
    }

    #[test]
    fn one_server_with_an_address_is_enough() {
        // No server listens on the first address.
        let servers = [IpAddr::from(Ipv4Addr::new(127, 0, 0, 2)), Ipv4Addr::LOCALHOST.into()];
        assert!(resolves("a.example.org", &servers, server(|query| answer(query, 0, 2))).is_ok());
        // An answer is preferred to a server that does not answer, in either order.
        for servers in [servers, [servers[1], servers[0]]] {
            let error = resolves("a.example.org", &servers, server(|query| answer(query, 2, 0))).unwrap_err();
            assert!(matches!(error, DnsError::NoAddress { code: 2, .. }), "{error}");
        }
    }
}
