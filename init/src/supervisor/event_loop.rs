//! The loop that PID 1 spends its life in.

use super::{Handover, SupervisorPaths, running_host::RunningHost};
use crate::{
    console,
    control::Server,
    ending::Ending,
    power::{PowerButton, Watchdogs},
    shutdown,
    sys::signal::SignalFd,
    timeline::now_us,
};
use berth_contract::fault::{At, PathError};
use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
    },
};
use std::os::fd::{AsFd, OwnedFd};

/// All that wakes PID 1. What woke it does not matter: every room looks at its own descriptors in each turn.
#[derive(Debug)]
pub(super) struct EventLoop {
    epoll: OwnedFd,
    signals: SignalFd,
    buttons: Vec<PowerButton>,
    watchdogs: Watchdogs,
    feed_at_us: u64,
    host: RunningHost,
    server: Server,
}

impl EventLoop {
    pub(super) fn new(handover: Handover, paths: SupervisorPaths) -> Result<Self, PathError> {
        let host = RunningHost::new(&handover, &paths)?;
        let server = Server::open(&paths.control)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC).at("open", "epoll")?;
        let Handover { signals, buttons, watchdogs, .. } = handover;
        let rooms = [signals.as_fd(), host.fleet.as_fd(), server.as_fd()];
        for fd in rooms.into_iter().chain(buttons.iter().map(AsFd::as_fd)) {
            epoll::add(&epoll, fd, EventData::new_u64(0), EventFlags::IN).at("watch", "event source")?;
        }
        Ok(Self { epoll, signals, buttons, watchdogs, feed_at_us: 0, host, server })
    }

    /// Turns until all services have been stopped.
    pub(super) fn run(mut self) -> Ending {
        self.host.begin_to_judge();
        loop {
            self.take_signals();
            self.take_buttons();
            self.feed_watchdogs();
            self.host.fleet.work();
            self.host.notice_readiness();
            self.host.judge();
            self.server.work(&mut self.host, now_us());
            if let Some(ending) = self.host.ended() {
                match ending {
                    // What comes now has a time limit of its own, so they need not be fed; a reboot that hangs ends by them.
                    Ending::Reboot => self.watchdogs.leave_running(shutdown::LAST_RESORT),
                    Ending::Poweroff => self.watchdogs.disarm(),
                }
                return ending;
            }
            self.wait();
        }
    }

    /// Sleeps until something happens or is due.
    fn wait(&self) {
        let now = now_us();
        let deadlines = [self.host.next_deadline_us(), self.server.next_deadline_us(now)];
        let feed = self.watchdogs.period().map(|_| self.feed_at_us);
        let timeout = deadlines.into_iter().flatten().chain(feed).min().map(|deadline| {
            let left = deadline.saturating_sub(now);
            let part = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            Timespec { tv_sec: part(left / 1_000_000), tv_nsec: part(left % 1_000_000 * 1000) }
        });
        let mut events: Vec<epoll::Event> = Vec::with_capacity(8);
        // An interruption is a turn like any other.
        let _ = epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref());
    }

    fn take_signals(&mut self) {
        loop {
            let signal = match self.signals.read() {
                Ok(Some(received)) => received.signal,
                Ok(None) => return,
                Err(error) => return console::error(format_args!("signals: {error}")),
            };
            match signal {
                libc::SIGINT => self.host.begin_to_end(Ending::Reboot, "Ctrl-Alt-Del (SIGINT)"),
                libc::SIGTERM => self.host.begin_to_end(Ending::Poweroff, "SIGTERM"),
                libc::SIGPWR => self.host.begin_to_end(Ending::Poweroff, "power failure (SIGPWR)"),
                // SIGCHLD: the fleet waits for its children in each turn.
                _ => {}
            }
        }
    }

    fn take_buttons(&mut self) {
        let mut pressed = false;
        self.buttons.retain(|button| match button.pressed() {
            Ok(down) => {
                pressed |= down;
                true
            }
            // Gone.
            Err(_) => false,
        });
        if pressed {
            self.host.begin_to_end(Ending::Poweroff, "power button");
        }
    }

    fn feed_watchdogs(&mut self) {
        let now = now_us();
        if let Some(period) = self.watchdogs.period().filter(|_| now >= self.feed_at_us) {
            self.feed_at_us = now + u64::try_from(period.as_micros()).unwrap_or(u64::MAX / 2);
            self.watchdogs.feed();
        }
    }
}
