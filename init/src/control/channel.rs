//! A session on a descriptor that never waits.

use super::{answers::Answers, session::Session};
use rustix::{
    event::epoll::EventFlags,
    io::{Errno, read, write},
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A client that has taken no bytes for so long, in microseconds, is not there any more.
const PATIENCE_US: u64 = 30_000_000;
/// Rounds of reading, answering and writing before others get their turn.
const ROUNDS: usize = 16;

/// Flags to watch a channel's descriptor with. Edge-triggered: a serial port whose other end is closed reports that for ever
/// otherwise.
pub(super) const WATCHED: EventFlags =
    EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP).union(EventFlags::ET);

/// How a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It goes on.
    Open,
    /// The client has left, or takes no answers.
    Over,
    /// The descriptor is of no use any more.
    Broken,
}

/// What is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// One client, from connect to close.
    Client,
    /// A serial line: whoever has opened its other end, one after the other. The kernel tells that nobody has (a hang-up) or
    /// that somebody has (no hang-up any more) later than the bytes of the new one may come.
    SerialLine,
}

/// What a client's descriptor and its session are up to.
#[derive(Debug)]
pub(super) struct Channel {
    fd: OwnedFd,
    end: End,
    session: Session,
    readable: bool,
    writable: bool,
    /// The client sends no more.
    ended: bool,
    /// The client is gone.
    gone: bool,
    /// Since when bytes have been waiting for the client.
    waiting_since_us: Option<u64>,
    /// Work is left for the next turn.
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

    /// Takes what epoll said.
    pub(super) fn notice(&mut self, flags: EventFlags) {
        self.readable = true;
        self.writable = true;
        let hung_up = flags.intersects(EventFlags::HUP | EventFlags::ERR);
        if self.end == End::SerialLine && hung_up && !self.gone {
            self.restart();
        }
        self.gone = hung_up || self.gone && self.end == End::Client;
    }

    /// Does what can be done without waiting.
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
            left && self.gone || now_us.saturating_sub(since) >= PATIENCE_US
        };
        if over { Standing::Over } else { Standing::Open }
    }

    /// When to work again, if nothing happens before.
    pub(super) fn deadline_us(&self, now_us: u64) -> Option<u64> {
        let patience = self.waiting_since_us.map(|since| since + PATIENCE_US);
        if self.again { Some(now_us) } else { patience }
    }

    /// Kernel logs that are followed.
    pub(super) fn followed(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.session.followed()
    }

    /// For another client: what the last one left undone is forgotten.
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
    use super::{super::session::tests::host, *};
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
        path::PathBuf,
    };

    /// A new client's request may come while the kernel still says that nobody is there.
    #[test]
    fn a_serial_line_serves_one_client_after_the_other() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut channel = Channel::new(ours.into(), End::SerialLine, Session::new(PathBuf::new()));
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
        // Half a request and a running call of the one that has gone are forgotten, once.
        assert!(talk(absent, "{\"id\":4,\"request\":\"services\"}\n").starts_with("{\"id\":4,"));
        assert_eq!(talk(absent, "{\"id\":5,\"request\":"), "");
        assert!(talk(absent, "\"services\"}\n").starts_with("{\"id\":5,"));
        assert!(talk(there, "{\"id\":6,\"request\":\"services\"}\n").starts_with("{\"id\":6,"));
    }
}
