//! DHCPv6 messages, RFC 8415 §8 and §21.
//!
//! The bytes come from the network and may be hostile. Nothing here panics. An option of a wrong length is treated as absent.

/// The server's UDP port.
pub const SERVER_PORT: u16 = 547;
/// The client's UDP port.
pub const CLIENT_PORT: u16 = 546;

/// Option codes.
pub mod code {
    /// Identifier of the client.
    pub const CLIENT_ID: u16 = 1;
    /// Identifier of the server.
    pub const SERVER_ID: u16 = 2;
    /// A group of addresses.
    pub const IA_NA: u16 = 3;
    /// An address in a group.
    pub const IA_ADDRESS: u16 = 5;
    /// Options that the client asks for.
    pub const OPTION_REQUEST: u16 = 6;
    /// Preference of a server.
    pub const PREFERENCE: u16 = 7;
    /// Hundredths of a second since the first message of an exchange.
    pub const ELAPSED_TIME: u16 = 8;
    /// Success, or why not.
    pub const STATUS: u16 = 13;
    /// An answer to SOLICIT may be a REPLY.
    pub const RAPID_COMMIT: u16 = 14;
    /// Name servers, RFC 3646.
    pub const DNS: u16 = 23;
    /// Search domains, RFC 3646.
    pub const DOMAINS: u16 = 24;
    /// When to ask again for settings, in seconds.
    pub const REFRESH_TIME: u16 = 32;
    /// Longest wait between two SOLICITs.
    pub const SOL_MAX_RT: u16 = 82;
    /// Longest wait between two INFORMATION-REQUESTs.
    pub const INF_MAX_RT: u16 = 83;
}

/// Kind of a message, RFC 8415 §7.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub enum Kind {
    Solicit = 1,
    Advertise = 2,
    Request = 3,
    Confirm = 4,
    Renew = 5,
    Rebind = 6,
    Reply = 7,
    InformationRequest = 11,
}

const KINDS: [Kind; 8] = [
    Kind::Solicit,
    Kind::Advertise,
    Kind::Request,
    Kind::Confirm,
    Kind::Renew,
    Kind::Rebind,
    Kind::Reply,
    Kind::InformationRequest,
];

/// A message between a client and a server on one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message6 {
    /// Its kind.
    pub kind: Kind,
    /// Transaction id, 24 bits.
    pub xid: u32,
    /// The options.
    pub options: Options,
}

/// Options in their order. Some occur several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(pub Vec<(u16, Vec<u8>)>);

impl Options {
    /// Reads options until the end of the bytes. `None` when one is cut off.
    #[must_use]
    pub fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut options = Vec::new();
        while let Some((head, rest)) = bytes.split_first_chunk::<4>() {
            let [c0, c1, l0, l1] = *head;
            let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
            options.push((u16::from_be_bytes([c0, c1]), value.to_vec()));
            bytes = rest;
        }
        bytes.is_empty().then_some(Self(options))
    }

    /// The bytes. A value longer than 65535 bytes is left out.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (code, value) in &self.0 {
            let Ok(length) = u16::try_from(value.len()) else { continue };
            bytes.extend(code.to_be_bytes());
            bytes.extend(length.to_be_bytes());
            bytes.extend(value);
        }
        bytes
    }

    /// The values of an option.
    pub fn all(&self, code: u16) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |(found, _)| *found == code).map(|(_, value)| value.as_slice())
    }

    /// The first value of an option.
    #[must_use]
    pub fn get(&self, code: u16) -> Option<&[u8]> {
        self.all(code).next()
    }

    /// The value of an option with a number of four bytes.
    #[must_use]
    pub fn number(&self, code: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(code)?.try_into().ok()?))
    }

    /// The status code; 0 (success) if there is none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.get(code::STATUS).and_then(|value| value.first_chunk()).map_or(0, |status| u16::from_be_bytes(*status))
    }
}

impl Message6 {
    /// A message without options.
    #[must_use]
    pub fn new(kind: Kind, xid: u32) -> Self {
        Self { kind, xid: xid & 0xff_ffff, options: Options::default() }
    }

    /// Adds an option.
    #[must_use]
    pub fn with(mut self, code: u16, value: impl Into<Vec<u8>>) -> Self {
        self.options.0.push((code, value.into()));
        self
    }

    /// Reads a message. `None` if the bytes are no message of a kind that is known here.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (&[number, a, b, c], rest) = bytes.split_first_chunk::<4>()?;
        let kind = KINDS.into_iter().find(|kind| *kind as u8 == number)?;
        Some(Self { kind, xid: u32::from_be_bytes([0, a, b, c]), options: Options::parse(rest)? })
    }

    /// The bytes of the message.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let [_, a, b, c] = self.xid.to_be_bytes();
        let mut bytes = vec![self.kind as u8, a, b, c];
        bytes.extend(self.options.bytes());
        bytes
    }
}
