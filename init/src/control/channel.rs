//! A channel: one session on a non-blocking descriptor.

use super::{answers::Answers, session::Session};
use rustix::{
    event::epoll::EventFlags,
    io::{Errno, read, write},
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A client that has read no bytes for this time, in microseconds, is disconnected.
const CLIENT_TIMEOUT_US: u64 = 30_000_000;
/// Maximum number of rounds of reading, answering and writing in one turn.
const ROUNDS: usize = 16;

/// Epoll flags for a channel's descriptor. Edge-triggered: otherwise a serial port whose other end is closed would be ready all
/// the time.
pub(super) const WATCHED: EventFlags =
    EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP).union(EventFlags::ET);

/// State of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The session continues.
    Open,
    /// The client has disconnected, or does not read its answers.
    Over,
    /// The descriptor has failed.
    Broken,
}

/// The other end of the descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// One client, from connect to close.
    Client,
    /// A serial line: one client after another opens the other end. The first bytes of the next client may arrive before the kernel
    /// reports the hang-up, or the end of the hang-up.
    SerialLine,
}

/// A descriptor and its session.
#[derive(Debug)]
pub(super) struct Channel {
    fd: OwnedFd,
    end: End,
    session: Session,
    readable: bool,
    writable: bool,
    /// The client has closed its sending side.
    ended: bool,
    /// The client has disconnected.
    gone: bool,
    /// Time since which bytes wait to be written.
    waiting_since_us: Option<u64>,
    /// Whether work is left for the next turn.
    again: bool,
}

impl Channel {
    pub(super) fn new(fd: OwnedFd, end: End, session: Session) -> Self {
        Self {
            fd,
            end,
            session,
            readable: true,
            writable: true,
            ended: false,
            gone: false,
            waiting_since_us: None,
            again: true,
        }
    }

    /// Takes the flags of an epoll event.
    pub(super) fn notice(&mut self, flags: EventFlags) {
        self.readable = true;
        self.writable = true;
        let hung_up = flags.intersects(EventFlags::HUP | EventFlags::ERR);
        if self.end == End::SerialLine && hung_up && !self.gone {
            self.restart();
        }
        self.gone = hung_up || self.gone && self.end == End::Client;
    }

    /// Does everything that can be done without blocking.
    pub(super) fn work(&mut self, host: &mut dyn Answers, now_us: u64) -> Standing {
        self.again = true;
        for _ in 0..ROUNDS {
            let worked = self.session.work(host);
            let (Ok(wrote), Ok(got)) = (self.write(), self.read()) else { return Standing::Broken };
            if wrote {
                self.waiting_since_us = None;
            }
            if !(worked || wrote || got) {
                self.again = false;
                break;
            }
        }
        let left = self.end == End::Client && !self.again;
        let over = if self.session.output().is_empty() {
            self.waiting_since_us = None;
            left && (self.gone || self.ended && !self.session.is_busy())
        } else {
            let since = *self.waiting_since_us.get_or_insert(now_us);
            left && self.gone || now_us.saturating_sub(since) >= CLIENT_TIMEOUT_US
        };
        if over { Standing::Over } else { Standing::Open }
    }

    /// When to call [`Channel::work`] again, if no event comes before.
    pub(super) fn deadline_us(&self, now_us: u64) -> Option<u64> {
        let timeout = self.waiting_since_us.map(|since| since + CLIENT_TIMEOUT_US);
        if self.again { Some(now_us) } else { timeout }
    }

    /// Kernel logs that are followed.
    pub(super) fn followed(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.session.followed()
    }

    /// Prepares for another client: drops the requests and calls of the earlier client.
    pub(super) fn restart(&mut self) {
        self.session.restart();
        self.waiting_since_us = None;
    }

    fn read(&mut self) -> Result<bool, Errno> {
        let mut got = false;
        let mut bytes = [0; 16 * 1024];
        while self.readable && self.session.wants_input() {
            match read(&self.fd, &mut bytes) {
                Ok(0) => (self.ended, self.readable) = (self.end == End::Client, false),
                Ok(count) => {
                    self.session.receive(&bytes[..count]);
                    return Ok(true);
                }
                Err(Errno::AGAIN) => self.readable = false,
                Err(Errno::INTR) => got = true,
                Err(error) => return Err(error),
            }
        }
        Ok(got)
    }

    fn write(&mut self) -> Result<bool, Errno> {
        let mut wrote = false;
        while self.writable && !self.session.output().is_empty() {
            match write(&self.fd, self.session.output()) {
                Ok(0) | Err(Errno::AGAIN) => self.writable = false,
                Ok(count) => {
                    self.session.sent(count);
                    wrote = true;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(wrote)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::session::{Access, tests::host},
        *,
    };
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
        path::PathBuf,
    };

    /// A new client's request may arrive while the kernel still reports a hang-up.
    #[test]
    fn a_serial_line_serves_one_client_after_the_other() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut channel = Channel::new(ours.into(), End::SerialLine, Session::new(PathBuf::new(), Access::All));
        let (mut host, mut text) = (host(), [0; 4096]);
        let (there, absent) = (EventFlags::OUT | EventFlags::IN, EventFlags::OUT | EventFlags::IN | EventFlags::HUP);
        let mut talk = |flags: EventFlags, request: &str| {
            theirs.write_all(request.as_bytes()).unwrap();
            channel.notice(flags);
            assert_eq!(channel.work(&mut host, 0), Standing::Open);
            let count = theirs.read(&mut text).unwrap_or(0);
            String::from_utf8(text[..count].to_vec()).unwrap()
        };
        assert_eq!(talk(absent, ""), "");
        assert!(talk(there, "{\"id\":1,\"request\":\"services\"}\n").starts_with("{\"id\":1,"));
        assert_eq!(talk(there, "{\"id\":2,\"request\":\"wait-ready\"}\n{\"id\":3,\"req"), "");
        // The incomplete request and the running call of the earlier client are dropped.
        assert!(talk(absent, "{\"id\":4,\"request\":\"services\"}\n").starts_with("{\"id\":4,"));
        assert_eq!(talk(absent, "{\"id\":5,\"request\":"), "");
        assert!(talk(absent, "\"services\"}\n").starts_with("{\"id\":5,"));
        assert!(talk(there, "{\"id\":6,\"request\":\"services\"}\n").starts_with("{\"id\":6,"));
    }
}
