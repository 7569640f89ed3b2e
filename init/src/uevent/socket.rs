//! The kernel's uevent socket, netlink(7) `NETLINK_KOBJECT_UEVENT`.

use super::{Uevent, parse};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, bind,
        netlink::{KOBJECT_UEVENT, SocketAddrNetlink},
        recvfrom, socket_with,
        sockopt::set_socket_recv_buffer_size_force,
    },
};
use std::{
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// Multicast group of the kernel's messages. udevd uses group 2.
const KERNEL_GROUP: u32 = 1;
/// Size of the receive buffer, as in udevd: the events of all devices of a machine fit.
const RECEIVE_BUFFER: usize = 16 << 20;
/// Buffer size for one message. The kernel's limit is 2 KiB of variables, and a path.
const MESSAGE: usize = 8192;

/// The socket. It receives all events from its opening on.
#[derive(Debug)]
pub struct UeventSocket(OwnedFd);

/// The result of waiting for an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A device event.
    Event(Uevent),
    /// Events were lost: check all devices again.
    Overrun,
    /// No event within the time limit.
    Timeout,
}

impl UeventSocket {
    /// Opens the socket.
    ///
    /// # Errors
    /// The error of socket(2) or bind(2).
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
        // An error is ignored: if a smaller buffer overflows, the kernel reports it.
        let _ = set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER);
        bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
        Ok(Self(socket))
    }

    /// Waits for the next event. Without `limit` it waits for ever.
    ///
    /// # Errors
    /// The error of poll(2) or recvfrom(2).
    pub fn receive(&self, limit: Option<Duration>) -> io::Result<Received> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut buffer = [0; MESSAGE];
        loop {
            match recvfrom(&self.0, &mut buffer, RecvFlags::empty()) {
                Ok((length, _, sender)) => {
                    let from_kernel = sender
                        .and_then(|sender| SocketAddrNetlink::try_from(sender).ok())
                        .is_some_and(|sender| sender.pid() == 0);
                    if let Some(event) = parse(&buffer[..length]).filter(|_| from_kernel) {
                        return Ok(Received::Event(event));
                    }
                }
                Err(Errno::NOBUFS) => return Ok(Received::Overrun),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                    if left == Some(Duration::ZERO) {
                        return Ok(Received::Timeout);
                    }
                    let timeout = left.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
                    match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], timeout.as_ref()) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
