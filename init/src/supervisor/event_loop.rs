//! The main loop of PID 1.

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

/// All event sources of PID 1. The loop does not look at which source is ready: in each turn, every part checks its own descriptors.
#[derive(Debug)]
pub(super) struct EventLoop {
    epoll: OwnedFd,
    signals: SignalFd,
    buttons: Vec<PowerButton>,
    watchdogs: Watchdogs,
    feed_at_us: u64,
    host: RunningHost,
    server: Server,
    /// Whether host.toml is to be fetched.
    fetches: bool,
}

impl EventLoop {
    pub(super) fn new(handover: Handover, paths: SupervisorPaths) -> Result<Self, PathError> {
        let host = RunningHost::new(&handover, &paths)?;
        let server = Server::open(&paths.control)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC).at("open", "epoll")?;
        let fetches = handover.is_config_fetched;
        let Handover { signals, buttons, watchdogs, .. } = handover;
        let sources = [signals.as_fd(), host.fleet.as_fd(), server.as_fd()];
        for fd in sources.into_iter().chain(buttons.iter().map(AsFd::as_fd)) {
            epoll::add(&epoll, fd, EventData::new_u64(0), EventFlags::IN).at("watch", "event source")?;
        }
        Ok(Self { epoll, signals, buttons, watchdogs, feed_at_us: 0, host, server, fetches })
    }

    /// Runs until all services have been stopped.
    pub(super) fn run(mut self) -> Ending {
        self.host.begin_to_judge();
        if self.fetches {
            self.host.fetch_config();
        }
        loop {
            self.take_signals();
            self.take_buttons();
            self.feed_watchdogs();
            self.host.fleet.work();
            self.host.tend_helpers();
            self.host.notice_readiness();
            self.host.judge();
            self.host.notice_slow_end();
            self.server.work(&mut self.host, now_us());
            if let Some(ending) = self.host.ended() {
                match ending {
                    // The shutdown has its own time limit, so the watchdogs need not be fed. If the reboot hangs, they reset the host.
                    Ending::Reboot => self.watchdogs.leave_running(shutdown::LAST_RESORT),
                    Ending::Poweroff => self.watchdogs.disarm(),
                }
                return ending;
            }
            self.wait();
        }
    }

    /// Waits for the next event or deadline.
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
        // An error is ignored: after an interrupted wait, the next turn checks everything.
        let _ = epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref());
    }

    fn take_signals(&mut self) {
        loop {
            let signal = match self.signals.read() {
                Ok(Some(received)) => received.signal,
                Ok(None) => return,
                Err(error) => return console::error(format_args!("cannot read signals: {error}")),
            };
            match signal {
                libc::SIGINT => self.host.begin_to_end(Ending::Reboot, "Ctrl-Alt-Del (SIGINT)"),
                libc::SIGTERM => self.host.begin_to_end(Ending::Poweroff, "SIGTERM"),
                libc::SIGPWR => self.host.begin_to_end(Ending::Poweroff, "power failure (SIGPWR)"),
                // SIGCHLD: the fleet reaps its children in each turn.
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
            // The device has been removed.
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
