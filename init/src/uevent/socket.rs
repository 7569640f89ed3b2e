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

/// Group 1 is the kernel's own messages; udevd uses 2.
const KERNEL_GROUP: u32 = 1;
/// As udevd asks for: a machine's whole coldplug fits.
const RECEIVE_BUFFER: usize = 16 << 20;
/// The kernel's limit of one message is 2 KiB of variables and a path.
const MESSAGE: usize = 8192;

/// Listens from its opening on.
#[derive(Debug)]
pub struct UeventSocket(OwnedFd);

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Event(Uevent),
    /// Messages were lost: look at all devices again.
    Overrun,
    /// Nothing in time.
    Timeout,
}

impl UeventSocket {
    /// Opens the socket.
    ///
    /// # Errors
    /// What socket(2) and bind(2) say.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
        // A smaller buffer is no harm: a loss is noticed.
        let _ = set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER);
        bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
        Ok(Self(socket))
    }

    /// Waits for the next message; for ever without a time limit.
    ///
    /// # Errors
    /// What poll(2) and recvfrom(2) say.
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
