//! DHCP messages, RFC 2131 §2 and RFC 2132; long options by RFC 3396.
//!
//! The bytes come from the network and may be hostile. Nothing here panics. An option of a wrong length is treated as absent.

use std::{collections::BTreeMap, net::Ipv4Addr};

/// The server's UDP port.
pub const SERVER_PORT: u16 = 67;
/// The client's UDP port.
pub const CLIENT_PORT: u16 = 68;

const FIXED: usize = 236;
const SNAME: std::ops::Range<usize> = 44..108;
const FILE: std::ops::Range<usize> = 108..236;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
/// RFC 951 §3: some relays drop shorter messages.
const MINIMUM: usize = 300;

/// `op`: from the client.
pub const BOOTREQUEST: u8 = 1;
/// `op`: from the server.
pub const BOOTREPLY: u8 = 2;

/// Option codes, RFC 2132 and RFC 3442.
pub mod code {
    /// Subnet mask.
    pub const SUBNET_MASK: u8 = 1;
    /// Routers.
    pub const ROUTER: u8 = 3;
    /// Domain name servers.
    pub const DNS: u8 = 6;
    /// The client's host name.
    pub const HOST_NAME: u8 = 12;
    /// The client's domain.
    pub const DOMAIN_NAME: u8 = 15;
    /// The interface's MTU.
    pub const MTU: u8 = 26;
    /// NTP servers.
    pub const NTP: u8 = 42;
    /// Address that the client asks for.
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// Lease time in seconds.
    pub const LEASE_TIME: u8 = 51;
    /// Fields that hold more options: 1 `file`, 2 `sname`, 3 both.
    pub const OVERLOAD: u8 = 52;
    /// Kind of the message.
    pub const MESSAGE_TYPE: u8 = 53;
    /// The server's address.
    pub const SERVER_ID: u8 = 54;
    /// Options that the client asks for.
    pub const PARAMETER_LIST: u8 = 55;
    /// A server's reason for a refusal.
    pub const MESSAGE: u8 = 56;
    /// Longest message that the client accepts.
    pub const MAX_SIZE: u8 = 57;
    /// T1 in seconds.
    pub const RENEWAL_TIME: u8 = 58;
    /// T2 in seconds.
    pub const REBINDING_TIME: u8 = 59;
    /// Client identifier.
    pub const CLIENT_ID: u8 = 61;
    /// Domains to search, RFC 3397.
    pub const DOMAIN_SEARCH: u8 = 119;
    /// Classless static routes.
    pub const CLASSLESS_ROUTES: u8 = 121;
    /// Classless static routes of older servers, in the same form.
    pub const MICROSOFT_ROUTES: u8 = 249;
}

/// Kind of a message, RFC 2132 §9.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// A client looks for servers.
    Discover,
    /// A server offers an address.
    Offer,
    /// A client asks for an address, or for more time.
    Request,
    /// A server grants it.
    Ack,
    /// A server refuses it.
    Nak,
}

impl MessageType {
    fn number(self) -> u8 {
        match self {
            Self::Discover => 1,
            Self::Offer => 2,
            Self::Request => 3,
            Self::Ack => 5,
            Self::Nak => 6,
        }
    }
}

/// A DHCP message over Ethernet. Fields that are not listed here are written as zero and ignored when read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// [`BOOTREQUEST`] or [`BOOTREPLY`].
    pub op: u8,
    /// Transaction id.
    pub xid: u32,
    /// Seconds since the client's first message of this exchange.
    pub secs: u16,
    /// The address that the client has and uses.
    pub ciaddr: Ipv4Addr,
    /// The address that the server gives to the client.
    pub yiaddr: Ipv4Addr,
    /// The client's hardware address.
    pub chaddr: [u8; 6],
    /// Options by code.
    pub options: BTreeMap<u8, Vec<u8>>,
}

/// Bytes that are not a DHCP message over Ethernet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Too short.
    #[error("DHCP message: expected at least 240 bytes, found {0}")]
    Short(usize),
    /// Hardware type or length.
    #[error("DHCP message: expected hardware type 1 with 6 bytes, found type {0} with {1}")]
    Hardware(u8, u8),
    /// Another protocol on the same port.
    #[error("DHCP message: expected the magic cookie 63825363, found another value")]
    Magic,
    /// An option that is longer than the rest of its field.
    #[error("DHCP option {code}: expected {wanted} bytes, found {found}")]
    Truncated {
        /// The option.
        code: u8,
        /// The option's length byte.
        wanted: usize,
        /// Bytes that are left in the field.
        found: usize,
    },
}

impl Message {
    /// A message of this kind from (`op` [`BOOTREQUEST`]) or to the client with this hardware address.
    #[must_use]
    pub fn new(op: u8, kind: MessageType, xid: u32, chaddr: [u8; 6]) -> Self {
        let options = BTreeMap::from([(code::MESSAGE_TYPE, vec![kind.number()])]);
        let none = Ipv4Addr::UNSPECIFIED;
        Self { op, xid, secs: 0, ciaddr: none, yiaddr: none, chaddr, options }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When the bytes are not a DHCP message, or an option is cut off.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
            return Err(Malformed::Short(bytes.len()));
        };
        let Some((magic, field)) = rest.split_first_chunk::<4>() else {
            return Err(Malformed::Short(bytes.len()));
        };
        if *magic != MAGIC {
            return Err(Malformed::Magic);
        }
        if (fixed[1], fixed[2]) != (1, 6) {
            return Err(Malformed::Hardware(fixed[1], fixed[2]));
        }
        let mut options = BTreeMap::new();
        collect(field, &mut options)?;
        // RFC 3396 §5: the fields are read in this order, and an option may continue in the next field.
        let overload = options.get(&code::OVERLOAD).and_then(|value| value.first().copied()).unwrap_or(0);
        if overload & 1 != 0 {
            collect(&fixed[FILE], &mut options)?;
        }
        if overload & 2 != 0 {
            collect(&fixed[SNAME], &mut options)?;
        }
        let quad = |at: usize| [fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]];
        Ok(Self {
            op: fixed[0],
            xid: u32::from_be_bytes(quad(4)),
            secs: u16::from_be_bytes([fixed[8], fixed[9]]),
            ciaddr: quad(12).into(),
            yiaddr: quad(16).into(),
            chaddr: [fixed[28], fixed[29], fixed[30], fixed[31], fixed[32], fixed[33]],
            options,
        })
    }

    /// The bytes of the message. An option longer than 255 bytes is split.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0; FIXED];
        out[..4].copy_from_slice(&[self.op, 1, 6, 0]);
        out[4..8].copy_from_slice(&self.xid.to_be_bytes());
        out[8..10].copy_from_slice(&self.secs.to_be_bytes());
        out[12..16].copy_from_slice(&self.ciaddr.octets());
        out[16..20].copy_from_slice(&self.yiaddr.octets());
        out[28..34].copy_from_slice(&self.chaddr);
        out.extend(MAGIC);
        // Some servers require the message type to be the first option.
        let first = self.options.get_key_value(&code::MESSAGE_TYPE);
        let others = self.options.iter().filter(|(code, _)| **code != code::MESSAGE_TYPE);
        for (code, value) in first.into_iter().chain(others) {
            for part in value.chunks(255).chain(value.is_empty().then_some(&value[..])) {
                out.extend([*code, u8::try_from(part.len()).unwrap_or(u8::MAX)]);
                out.extend(part);
            }
        }
        out.push(255);
        out.resize(out.len().max(MINIMUM), 0);
        out
    }

    /// Sets an option.
    #[must_use]
    pub fn with(mut self, code: u8, value: impl Into<Vec<u8>>) -> Self {
        self.options.insert(code, value.into());
        self
    }

    /// The kind of the message; `None` for a kind that this client neither sends nor receives.
    #[must_use]
    pub fn kind(&self) -> Option<MessageType> {
        use MessageType::{Ack, Discover, Nak, Offer, Request};
        let [number] = *self.array(code::MESSAGE_TYPE)?;
        [Discover, Offer, Request, Ack, Nak].into_iter().find(|kind| kind.number() == number)
    }

    /// The value of an option with exactly `N` bytes.
    #[must_use]
    pub fn array<const N: usize>(&self, code: u8) -> Option<&[u8; N]> {
        self.options.get(&code)?.as_slice().try_into().ok()
    }

    /// The value of an option with one address.
    #[must_use]
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.array::<4>(code).map(|octets| (*octets).into())
    }

    /// The value of an option with a list of addresses. Empty when the option is absent or has a wrong length.
    #[must_use]
    pub fn addresses(&self, code: u8) -> Vec<Ipv4Addr> {
        match self.options.get(&code).map(|value| value.as_chunks::<4>()) {
            Some((addresses, [])) => addresses.iter().map(|octets| (*octets).into()).collect(),
            _ => Vec::new(),
        }
    }

    /// The value of an option with a number of seconds.
    #[must_use]
    pub fn seconds(&self, code: u8) -> Option<u32> {
        self.array(code).map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// The value of an option with text. Control characters and non-ASCII bytes become `?`; NULs at the end are removed.
    #[must_use]
    pub fn text(&self, code: u8) -> Option<String> {
        let value = self.options.get(&code)?;
        let end = value.iter().rposition(|&c| c != 0).map_or(0, |last| last + 1);
        let plain = |&c: &u8| if c.is_ascii_graphic() || c == b' ' { char::from(c) } else { '?' };
        Some(value[..end].iter().map(plain).collect())
    }
}

/// Adds the options of one field. A repeated code continues the earlier option (RFC 3396 §7).
fn collect(mut field: &[u8], options: &mut BTreeMap<u8, Vec<u8>>) -> Result<(), Malformed> {
    while let Some((&code, rest)) = field.split_first() {
        field = match (code, rest.split_first()) {
            (0, _) => rest,
            (255, _) => break,
            (_, Some((&length, rest))) => {
                let wanted = usize::from(length);
                let (value, rest) =
                    rest.split_at_checked(wanted).ok_or(Malformed::Truncated { code, wanted, found: rest.len() })?;
                options.entry(code).or_default().extend(value);
                rest
            }
            (_, None) => return Err(Malformed::Truncated { code, wanted: 1, found: 0 }),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn offer() -> Message {
        let mut message = Message::new(BOOTREPLY, MessageType::Offer, 7, MAC).with(code::DNS, [9, 9, 9, 9, 1, 1, 1, 1]);
        message.yiaddr = [10, 0, 2, 15].into();
        message
    }

    #[test]
    fn a_written_message_is_read_back_unchanged() {
        let long = offer().with(80, []).with(224, vec![5; 700]).with(code::DOMAIN_NAME, *b"example.org\0");
        let bytes = long.bytes();
        let again = Message::parse(&bytes).unwrap();
        assert_eq!(again, long);
        assert_eq!(again.kind(), Some(MessageType::Offer));
        assert_eq!(again.text(code::DOMAIN_NAME).unwrap(), "example.org");
        assert_eq!(again.addresses(code::DNS), [Ipv4Addr::new(9, 9, 9, 9), Ipv4Addr::new(1, 1, 1, 1)]);
        assert_eq!(&bytes[236..243], &[99, 130, 83, 99, 53, 1, 2]);
        assert_eq!(offer().bytes().len(), 300);
    }

    #[test]
    fn options_continue_in_file_and_sname() {
        let mut bytes = offer().with(code::OVERLOAD, [3]).bytes();
        bytes[FILE][..6].copy_from_slice(&[code::DNS, 4, 8, 8, 8, 8]);
        bytes[SNAME][..7].copy_from_slice(&[0, code::ROUTER, 4, 10, 0, 2, 2]);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.addresses(code::DNS).len(), 3);
        assert_eq!(message.address(code::ROUTER), Some([10, 0, 2, 2].into()));
    }

    #[test]
    fn options_of_a_wrong_length_are_absent_and_truncated_ones_are_errors() {
        let message = offer().with(code::DNS, [1, 2, 3]).with(code::ROUTER, []).with(code::LEASE_TIME, [0, 1]);
        let message = Message::parse(&message.bytes()).unwrap();
        assert!(message.addresses(code::DNS).is_empty() && message.addresses(code::ROUTER).is_empty());
        assert_eq!((message.seconds(code::LEASE_TIME), message.address(code::ROUTER)), (None, None));
        let mut bytes = offer().bytes();
        bytes.truncate(240);
        bytes.extend([code::DNS, 9, 1]);
        assert_eq!(Message::parse(&bytes), Err(Malformed::Truncated { code: code::DNS, wanted: 9, found: 1 }));
        bytes[2] = 200;
        assert_eq!(Message::parse(&bytes), Err(Malformed::Hardware(1, 200)));
        assert_eq!(Message::parse(&bytes[..239]), Err(Malformed::Short(239)));
    }
}
