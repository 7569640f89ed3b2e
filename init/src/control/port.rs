//! The virtio-serial port of the control protocol. It may appear late, because its driver is a module, and it may be removed and
//! come back.

use super::channel::Channel;
use berth_contract::{
    fault::{At, PathError},
    paths::CONTROL_PORT,
};
use rustix::{
    fs::{
        Mode, OFlags,
        inotify::{self, CreateFlags, WatchFlags},
        open,
    },
    io::{Errno, read},
};
use std::{
    fs,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// The kernel makes the device node before it knows the name of the port, and inotify does not report when the name is known. So the search
/// is repeated. The pause, in microseconds, is doubled each time.
const FIRST_PAUSE: u64 = 20_000;
const LONGEST_PAUSE: u64 = 5_000_000;

/// Searches the port and holds its session.
#[derive(Debug)]
pub(super) struct Port {
    sys: PathBuf,
    dev: PathBuf,
    inotify: Option<OwnedFd>,
    /// The session of the port, while the port exists.
    pub(super) channel: Option<Channel>,
    pause_us: u64,
    again_us: Option<u64>,
}

impl Port {
    /// `sys` is `/sys/class/virtio-ports`, `dev` is `/dev`.
    pub(super) fn new(sys: &Path, dev: &Path) -> Self {
        let watch = || -> Result<OwnedFd, Errno> {
            let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            inotify::add_watch(&fd, dev, WatchFlags::CREATE)?;
            Ok(fd)
        };
        Self {
            sys: sys.to_owned(),
            dev: dev.to_owned(),
            inotify: watch().ok(),
            channel: None,
            pause_us: FIRST_PAUSE,
            again_us: Some(0),
        }
    }

    /// The inotify descriptor: readable when a device has appeared.
    pub(super) fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Restarts the search, after a device has appeared or the port was removed.
    pub(super) fn search(&mut self, now_us: u64) {
        let mut events = [0; 4096];
        while self.inotify.as_ref().is_some_and(|fd| read(fd, &mut events).is_ok_and(|count| count > 0)) {}
        if self.channel.is_none() {
            (self.pause_us, self.again_us) = (FIRST_PAUSE, Some(now_us));
        }
    }

    /// When to search again, if no event comes before.
    pub(super) fn deadline_us(&self) -> Option<u64> {
        self.again_us
    }

    /// Searches the port if the pause has passed, and opens it.
    ///
    /// # Errors
    /// When the port exists and cannot be opened.
    pub(super) fn find(&mut self, now_us: u64) -> Result<Option<OwnedFd>, PathError> {
        if self.channel.is_some() || self.again_us.is_none_or(|again| again > now_us) {
            return Ok(None);
        }
        self.again_us = (self.pause_us <= LONGEST_PAUSE).then_some(now_us + self.pause_us);
        self.pause_us *= 2;
        let Some(device) = find(&self.sys) else { return Ok(None) };
        self.again_us = None;
        let path = self.dev.join(device);
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        open(&path, flags, Mode::empty()).at("open", &path).map(Some)
    }
}

/// Finds the name of the device, e.g. `vport1p1`.
fn find(sys: &Path) -> Option<String> {
    let devices = fs::read_dir(sys).ok()?.flatten();
    let is_ours =
        |path: PathBuf| fs::read_to_string(path.join("name")).is_ok_and(|name| name.trim_end() == CONTROL_PORT);
    devices.filter(|device| is_ours(device.path())).find_map(|device| device.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_appears_late_is_found_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let (sys, dev) = (dir.path().join("sys"), dir.path().join("dev"));
        fs::create_dir_all(sys.join("vport0p1")).unwrap();
        fs::create_dir(&dev).unwrap();
        fs::write(sys.join("vport0p1/name"), "org.qemu.guest_agent.0\n").unwrap();
        let mut port = Port::new(&sys, &dev);
        let mut now = 0;
        while let Some(again) = port.deadline_us() {
            assert!(port.find(again).unwrap().is_none());
            now = again;
        }
        assert!((5_000_000..20_000_000).contains(&now), "{now}: the search ends until a device appears");
        fs::create_dir(sys.join("vport0p2")).unwrap();
        fs::write(dev.join("vport0p2"), "").unwrap();
        port.search(now);
        assert!(port.find(now).unwrap().is_none(), "the port has no name yet");
        fs::write(sys.join("vport0p2/name"), "berth.control\n").unwrap();
        assert!(port.find(now + FIRST_PAUSE).unwrap().is_some());
        assert_eq!(port.deadline_us(), None);
        fs::remove_file(dev.join("vport0p2")).unwrap();
        port.search(now);
        assert!(port.find(now).unwrap_err().to_string().contains("vport0p2"));
    }
}
