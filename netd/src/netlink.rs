//! Requests to the kernel over netlink(7), of any family.

use netlink_packet_core::{
    NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind,
    netlink::SocketAddrNetlink,
    recv, sendto, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};
use std::{fmt::Debug, io, os::fd::OwnedFd, time::Duration};

/// Time limit for an answer. The kernel answers at once; a lost answer must not block the program.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The kernel's messages of a dump are at most 32 KiB.
const BUFFER: usize = 1 << 16;

/// A request that failed.
#[derive(Debug, thiserror::Error)]
#[error("netlink: cannot {doing}: {source}")]
pub struct Refused {
    /// The request.
    pub doing: String,
    /// The kernel's error.
    pub source: io::Error,
}

/// A socket for requests.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// Opens a socket. (`NETLINK_ROUTE` is 0, which is `None`.)
    ///
    /// # Errors
    /// When socket(2) or bind(2) fails.
    pub fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_WITHIN))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends a request, and calls `each` with every message of the answer.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn ask<T>(&mut self, what: T, flags: u16, mut each: impl FnMut(T)) -> io::Result<()>
    where
        T: NetlinkSerializable + NetlinkDeserializable + Debug,
        NetlinkPayload<T>: From<T>,
    {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        (header.flags, header.sequence_number) = (NLM_F_REQUEST | flags, self.sequence);
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(what));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        sendto(&self.socket, &bytes, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;

        let mut buffer = vec![0; BUFFER];
        loop {
            let (length, _) = rustix::io::retry_on_intr(|| recv(&self.socket, &mut buffer[..], RecvFlags::empty()))?;
            for answer in messages::<T>(&buffer[..length]) {
                match answer.payload {
                    _ if answer.header.sequence_number != self.sequence => {}
                    NetlinkPayload::InnerMessage(message) => each(message),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(()),
                    _ => {}
                }
            }
        }
    }
}

/// The messages of one read. A message that the library cannot parse is left out: it is not an answer to a request of netd.
pub fn messages<T: NetlinkDeserializable>(bytes: &[u8]) -> impl Iterator<Item = NetlinkMessage<T>> {
    split(bytes).filter_map(|part| NetlinkMessage::deserialize(part).ok())
}

/// The messages of one read, each with its header. The first word of nlmsghdr is the length; messages are aligned to 4 bytes.
pub fn split(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
        let message = bytes.get(..length).filter(|message| message.len() >= 16)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(message)
    })
}
