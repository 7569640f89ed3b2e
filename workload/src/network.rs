//! netd's report on the network, and the wait for its next change.

use berth_contract::{
    control::NetworkStatus,
    fault::{At, PathError},
    paths,
};
use berth_file::read_json;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify,
    io::Errno,
    time::{ClockId, clock_gettime},
};
use std::{fs, os::fd::OwnedFd, path::Path, time::Duration};

/// Time since the host's start, including time in suspend.
pub(crate) type Moment = Duration;

/// The time now.
pub(crate) fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A watch on the folder in which netd replaces its report.
#[derive(Debug)]
pub(crate) struct NetworkWatch {
    inotify: OwnedFd,
}

impl NetworkWatch {
    /// Starts to watch. netd may start later.
    pub(crate) fn open() -> Result<Self, PathError> {
        let folder = Path::new(paths::NETWORK_STATUS).parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder).at("create", folder)?;
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let inotify = inotify::init(flags).at("watch", folder)?;
        inotify::add_watch(&inotify, folder, inotify::WatchFlags::MOVED_TO).at("watch", folder)?;
        Ok(Self { inotify })
    }

    /// netd's report. An absent or damaged report is an empty one: the next will come.
    pub(crate) fn status(&self) -> NetworkStatus {
        // Take the events first, so that a report which comes now is an event again.
        let mut buffer = [0; 4096];
        while rustix::io::read(&self.inotify, &mut buffer).is_ok_and(|length| length > 0) {}
        read_json(Path::new(paths::NETWORK_STATUS), paths::MAX_JSON).unwrap_or_default()
    }

    /// Waits for a change, at most until `limit`.
    pub(crate) fn wait(&self, limit: Option<Moment>) -> Result<(), PathError> {
        let limit = limit.map(|limit| limit.saturating_sub(now()));
        let limit = limit.map(Timespec::try_from).transpose().map_err(std::io::Error::other);
        let limit = limit.at("watch", paths::NETWORK_STATUS)?;
        match poll(&mut [PollFd::new(&self.inotify, PollFlags::IN)], limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error).at("watch", paths::NETWORK_STATUS),
        }
    }
}

/// The smallest MTU of the links that lead out: those with a gateway, or all links if none has one.
pub(crate) fn mtu(status: &NetworkStatus) -> Option<u32> {
    let known = || status.interfaces.iter().filter(|one| one.carrier && one.mtu > 0);
    let outward = known().filter(|one| one.gateway.is_some()).map(|one| one.mtu).min();
    outward.or_else(|| known().map(|one| one.mtu).min())
}
