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

/// What a client's descriptor and its session are up to.
#[derive(Debug)]
pub(super) struct Channel {
    fd: OwnedFd,
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
    pub(super) fn new(fd: OwnedFd, session: Session) -> Self {
        Self {
            fd,
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
        self.gone |= flags.intersects(EventFlags::HUP | EventFlags::ERR);
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
        let over = if self.session.output().is_empty() {
            self.waiting_since_us = None;
            !self.again && (self.gone || self.ended && !self.session.is_busy())
        } else {
            let since = *self.waiting_since_us.get_or_insert(now_us);
            self.gone && !self.again || now_us.saturating_sub(since) >= PATIENCE_US
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

    /// The same descriptor for another client: nothing of the last one is left.
    pub(super) fn restarted(self, session: Session) -> Self {
        Self { readable: false, again: false, ..Self::new(self.fd, session) }
    }

    fn read(&mut self) -> Result<bool, Errno> {
        let mut got = false;
        let mut bytes = [0; 16 * 1024];
        while self.readable && self.session.wants_input() {
            match read(&self.fd, &mut bytes) {
                Ok(0) => (self.ended, self.readable) = (true, false),
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
