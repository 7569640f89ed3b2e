//! A packet socket, packet(7), that receives the IPv4 datagrams for one UDP port of one interface, even without an IP address.

use rustix::net::{RecvFlags, recv};
use std::{
    io,
    mem::size_of,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

/// The socket. It is independent of the interface's addresses and of the host's packet filter.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
    index: libc::c_int,
}

impl PacketSocket {
    /// Opens a socket on the interface with this index, for UDP datagrams to this port.
    ///
    /// # Errors
    /// When socket(2), setsockopt(2) or bind(2) fails.
    pub fn open(index: u32, port: u16) -> io::Result<Self> {
        let index = libc::c_int::try_from(index).map_err(io::Error::other)?;
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // Protocol 0: no packet is received before the filter is attached.
        // SAFETY: no pointers.
        let raw = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and has no other owner.
        let socket = Self { fd: unsafe { OwnedFd::from_raw_fd(raw) }, index };
        socket.attach(&mut filter(port))?;
        let address = socket.address()?;
        // SAFETY: the pointer is to a whole sockaddr_ll, whose length is given.
        let bound = unsafe { libc::bind(raw, (&raw const address).cast(), length_of(&address)?) };
        if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
    }

    /// Broadcasts an IPv4 packet on the link.
    ///
    /// # Errors
    /// When sendto(2) fails.
    pub fn broadcast(&self, packet: &[u8]) -> io::Result<()> {
        let mut address = self.address()?;
        (address.sll_halen, address.sll_addr) = (6, [255, 255, 255, 255, 255, 255, 0, 0]);
        // SAFETY: both pointers are to live values whose lengths are given.
        let sent = unsafe {
            let to = (&raw const address).cast();
            libc::sendto(self.fd.as_raw_fd(), packet.as_ptr().cast(), packet.len(), 0, to, length_of(&address)?)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Receives an IPv4 packet into `buffer` and returns its length. A longer packet is cut. Does not block.
    ///
    /// # Errors
    /// When recv(2) fails; the kind is `WouldBlock` when there is no packet.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.fd, buffer, RecvFlags::empty())?.0)
    }

    fn attach(&self, program: &mut [libc::sock_filter]) -> io::Result<()> {
        let length = libc::c_ushort::try_from(program.len()).map_err(io::Error::other)?;
        let program = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
        // SAFETY: the pointer is to a sock_fprog, whose instructions live until the end of this function; the kernel copies them.
        let set = unsafe {
            let value = (&raw const program).cast();
            libc::setsockopt(self.fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, value, length_of(&program)?)
        };
        if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn address(&self) -> io::Result<libc::sockaddr_ll> {
        // SAFETY: all-zero is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::c_ushort::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
        address.sll_protocol = u16::try_from(libc::ETH_P_IP).map_err(io::Error::other)?.to_be();
        address.sll_ifindex = self.index;
        Ok(address)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn length_of<T>(_: &T) -> io::Result<libc::socklen_t> {
    libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)
}

/// Classic BPF for a packet that starts with its IPv4 header. Accepts UDP to this port, except fragments after the first.
fn filter(port: u16) -> [libc::sock_filter; 9] {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_HALF_INDEXED: u16 = 0x48;
    const LOAD_HEADER_LENGTH: u16 = 0xb1;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    let line = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    [
        line(LOAD_BYTE, 0, 0, 9),
        line(JUMP_IF_EQUAL, 0, 6, 17),
        line(LOAD_HALF, 0, 0, 6),
        line(JUMP_IF_SET, 4, 0, 0x1fff),
        line(LOAD_HEADER_LENGTH, 0, 0, 0),
        line(LOAD_HALF_INDEXED, 0, 0, 2),
        line(JUMP_IF_EQUAL, 0, 1, u32::from(port)),
        line(RETURN, 0, 0, 0xffff),
        line(RETURN, 0, 0, 0),
    ]
}
