//! The socket of sd_notify(3), where services report that they are ready.

use berth_contract::fault::{At, PathError};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix, SocketFlags, SocketType,
        bind, recvmsg, socket_with, sockopt::set_socket_passcred,
    },
};
use std::{
    fs,
    io::IoSliceMut,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::Path,
};

/// Maximum length of a message, as in systemd.
const LONGEST: usize = 4096;

/// The bound socket. Non-blocking.
#[derive(Debug)]
pub(super) struct NotifySocket(OwnedFd);

impl NotifySocket {
    pub(super) fn bind(path: &Path) -> Result<Self, PathError> {
        let _ = fs::remove_file(path);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).at("open", path)?;
        set_socket_passcred(&socket, true).at("open", path)?;
        bind(&socket, &SocketAddrUnix::new(path).at("bind", path)?).at("bind", path)?;
        // Services of all users send to it. A message counts by the process that the kernel names, so anyone may send.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).at("set mode of", path)?;
        Ok(Self(socket))
    }

    /// The id of the next process that reports `READY=1`, or `None` when no message is waiting. The kernel supplies the id, so it cannot be
    /// forged. `left` is the number of messages that may still be read in this turn: services can send faster than PID 1 reads.
    pub(super) fn next_ready(&self, left: &mut u32) -> Result<Option<u32>, Errno> {
        while let Some(rest) = left.checked_sub(1) {
            *left = rest;
            let mut text = [0; LONGEST];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1), ScmRights(16))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
            let received = match recvmsg(&self.0, &mut [IoSliceMut::new(&mut text)], &mut ancillary, flags) {
                Ok(received) => received.bytes,
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            };
            let mut sender = None;
            for message in ancillary.drain() {
                // File descriptors that the client has sent are closed by the drain.
                if let RecvAncillaryMessage::ScmCredentials(credentials) = message {
                    sender = u32::try_from(credentials.pid.as_raw_nonzero().get()).ok();
                }
            }
            if let (Some(sender), true) = (sender, says_ready(&text[..received])) {
                return Ok(Some(sender));
            }
        }
        Ok(None)
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether a message says that the service is ready.
#[must_use]
pub fn says_ready(message: &[u8]) -> bool {
    message.split(|&byte| byte == b'\n').any(|line| line == b"READY=1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn only_ready_messages_count_and_the_sender_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = NotifySocket::bind(&path).unwrap();
        let next = || socket.next_ready(&mut 64);
        assert_eq!(next(), Ok(None));
        let client = UnixDatagram::unbound().unwrap();
        for message in [&b"STATUS=READY=1"[..], b"", &[0xff; LONGEST + 1], b"STATUS=up\nREADY=1"] {
            client.send_to(message, &path).unwrap();
        }
        assert_eq!(next(), Ok(Some(std::process::id())));
        assert_eq!(next(), Ok(None));
        // A flood ends a turn. The next turn goes on.
        for message in [&b"x"[..], b"x", b"READY=1"] {
            client.send_to(message, &path).unwrap();
        }
        assert_eq!(socket.next_ready(&mut 2), Ok(None));
        assert_eq!(next(), Ok(Some(std::process::id())));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        NotifySocket::bind(&path).unwrap();
    }
}
