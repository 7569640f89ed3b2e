//! Watchdogs, Documentation/watchdog/watchdog-api.rst. An open watchdog resets the machine unless it is fed in time.
//!
//! The initrd stage opens the watchdogs that it has drivers for, so that the machine is protected early. They stay open across the
//! switch to the host stage. During the phases of both stages a thread feeds them, for at most the time that a boot may take
//! ([`Watchdogs::feed_beside`]). After that only the supervisor's event loop feeds them.
//!
//! The kernel's own software watchdog, softdog, gets a shorter timeout than the other watchdogs. It fires first and panics, so that
//! the crash record is stored. The other watchdogs reset the machine at once, which loses the last kernel messages.

use crate::{console, modules::Loader, sys, timeline::now_us};
use rustix::fs::{Mode, OFlags, open};
use std::{
    convert::Infallible,
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

/// Drivers that are loaded before the drivers of all devices: those of QEMU, ACPI and Xen, and softdog for machines without a hardware
/// watchdog. Drivers that the kernel does not have are skipped.
const DRIVERS: [&str; 4] = ["i6300esb", "wdat_wdt", "xen_wdt", SOFTDOG];
const SOFTDOG: &str = "softdog";
/// softdog panics instead of a plain reset, so that a crash record is stored.
const SOFTDOG_OPTIONS: &str = "soft_panic=1";
/// Name of softdog in sysfs.
const SOFTDOG_IDENTITY: &str = "Software Watchdog";
/// Timeout of softdog when it is the only watchdog, in seconds.
const TIMEOUT: u32 = 60;
/// Timeout of the other watchdogs, in seconds. It is longer, so that softdog fires first.
const RESET_TIMEOUT: u32 = 75;
/// Assumed timeout in seconds, if a driver neither accepts [`RESET_TIMEOUT`] nor reports its own timeout.
const USUAL_TIMEOUT: u32 = 30;
/// Start of the paths of all watchdog nodes. `/dev/watchdog` itself is the same device as `/dev/watchdog0`.
const PREFIX: &str = "/dev/watchdog";

/// Running watchdogs. Dropping them without [`Watchdogs::disarm`] leaves them running: the machine will be reset.
#[derive(Debug, Default)]
pub struct Watchdogs(Vec<Watchdog>);

#[derive(Debug)]
struct Watchdog {
    node: PathBuf,
    device: OwnedFd,
    timeout: Duration,
    /// Whether this is softdog.
    soft: bool,
}

/// A thread that feeds watchdogs. It ends when this value is dropped.
#[derive(Debug)]
#[must_use = "the thread stops feeding when this value is dropped"]
pub struct Feeder(#[expect(dead_code, reason = "its drop ends the thread")] Sender<Infallible>);

/// Whether an opened watchdog stays open across exec(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Across {
    /// It stays open: the host stage takes it over ([`Watchdogs::inherited`]).
    Exec,
    /// It is closed.
    Nothing,
}

/// Loads the drivers of [`DRIVERS`].
pub fn load_drivers(loader: &Loader) {
    for name in DRIVERS.into_iter().filter(|name| loader.known(name)) {
        let loaded = loader.plan(name).and_then(|steps| {
            steps.into_iter().try_for_each(|mut step| {
                if step.name == SOFTDOG {
                    // Options of the kernel command line come last and take precedence.
                    step.options = format!("{SOFTDOG_OPTIONS} {}", step.options);
                }
                loader.insert(&step)
            })
        });
        // Without its device, a driver may refuse to load.
        if let Err(error) = loaded {
            console::debug(format_args!("{error}"));
        }
    }
}

impl Watchdogs {
    /// The watchdogs that the initrd stage has left open.
    #[must_use]
    pub fn inherited() -> Self {
        let mut watchdogs = Self::default();
        match sys::watchdog::inherited(Path::new(PREFIX)) {
            Ok(found) => found.into_iter().for_each(|(node, device)| watchdogs.add(node, device)),
            Err(error) => console::warning(format_args!("cannot take over the watchdogs of the initrd: {error}")),
        }
        watchdogs.stagger();
        watchdogs
    }

    /// Opens, and so starts, all watchdogs that are not open yet.
    ///
    /// # Errors
    /// When a watchdog cannot be opened, for example because another process has opened it. The others are open then.
    pub fn open_all(&mut self, across: Across) -> io::Result<()> {
        let Ok(devices) = fs::read_dir("/sys/class/watchdog") else { return Ok(()) };
        let mut result = Ok(());
        for device in devices.flatten() {
            let node = Path::new("/dev").join(device.file_name());
            if self.0.iter().any(|known| known.node == node) {
                continue;
            }
            let flags = match across {
                Across::Exec => OFlags::WRONLY,
                Across::Nothing => OFlags::WRONLY | OFlags::CLOEXEC,
            };
            match open(&node, flags, Mode::empty()) {
                Ok(device) => self.add(node, device),
                Err(error) => {
                    result = Err(io::Error::new(io::Error::from(error).kind(), format!("{}: {error}", node.display())))
                }
            }
        }
        self.stagger();
        result
    }

    fn add(&mut self, node: PathBuf, device: OwnedFd) {
        let soft = attribute(&node, "identity").as_deref() == Some(SOFTDOG_IDENTITY);
        let taken = sys::watchdog::set_timeout(device.as_fd(), RESET_TIMEOUT).ok();
        let said = || attribute(&node, "timeout")?.parse().ok();
        let timeout = Duration::from_secs(taken.or_else(said).unwrap_or(USUAL_TIMEOUT).max(1).into());
        self.0.push(Watchdog { node, device, timeout, soft });
    }

    /// Sets the timeout of softdog, so that it fires before the others.
    fn stagger(&mut self) {
        let others = self.0.iter().filter(|watchdog| !watchdog.soft).map(|watchdog| watchdog.timeout).min();
        for watchdog in self.0.iter_mut().filter(|watchdog| watchdog.soft) {
            if let Ok(taken) = sys::watchdog::set_timeout(watchdog.device.as_fd(), soft_timeout(others)) {
                watchdog.timeout = Duration::from_secs(taken.max(1).into());
            }
        }
    }

    /// How often to feed: twice in the shortest timeout, so that one late feeding does no harm. `None` when there are no watchdogs.
    #[must_use]
    pub fn period(&self) -> Option<Duration> {
        self.0.iter().map(|watchdog| watchdog.timeout / 2).min()
    }

    /// Feeds all watchdogs: restarts their timeouts.
    pub fn feed(&self) {
        for watchdog in &self.0 {
            watchdog.write(b"\0");
        }
    }

    /// Feeds the watchdogs in a thread. A phase of the boot may take longer than the timeouts, for example when a disk is slow to appear
    /// or a file system has a long journal. The thread stops `limit` seconds after the kernel's start, so that a boot that hangs is
    /// still reset.
    ///
    /// # Errors
    /// When a thread cannot be started, or a descriptor cannot be duplicated.
    pub fn feed_beside(&self, limit: u32) -> io::Result<Feeder> {
        // The thread has its own descriptors and closes them at its end. The descriptors of `self` keep the watchdogs open.
        let duplicates = Self(self.0.iter().map(Watchdog::duplicate).collect::<io::Result<_>>()?);
        let (feeder, dropped) = mpsc::channel();
        let feed = move || {
            let Some(period) = duplicates.period() else { return };
            while now_us() < u64::from(limit) * 1_000_000 {
                duplicates.feed();
                if dropped.recv_timeout(period) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        thread::Builder::new().name("watchdogs".to_owned()).spawn(feed)?;
        Ok(Feeder(feeder))
    }

    /// Stops the watchdogs whose drivers allow it.
    pub fn disarm(self) {
        for watchdog in &self.0 {
            watchdog.write(b"V");
        }
    }

    /// Leaves the watchdogs running, without feeding them, for a reboot that takes `at_most`. Watchdogs with a shorter timeout are stopped.
    pub fn leave_running(mut self, at_most: Duration) {
        self.feed();
        let short = self.0.extract_if(.., |watchdog| watchdog.timeout <= at_most).collect();
        Self(short).disarm();
        // Not closed: a closed watchdog would run on as well, but the kernel would print a warning for each on the console.
        std::mem::forget(self);
    }

    /// All watchdogs, for a line in the log: name, identity, timeout.
    #[must_use]
    pub fn describe(&self) -> String {
        let one = |watchdog: &Watchdog| {
            let name = watchdog.node.file_name().unwrap_or_default().to_string_lossy();
            let identity = attribute(&watchdog.node, "identity").unwrap_or_default();
            format!("{name} ({identity}, {} s)", watchdog.timeout.as_secs())
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// Reads an attribute of a watchdog from sysfs.
fn attribute(node: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new("/sys/class/watchdog").join(node.file_name()?).join(name)).ok()?;
    Some(text.trim_end().to_owned())
}

/// Timeout of softdog in seconds. `others` is the shortest timeout of the other watchdogs. The difference is time for the panic, for
/// the crash record in pstore, and for the reboot.
fn soft_timeout(others: Option<Duration>) -> u32 {
    let before = others.and_then(|others| u32::try_from(others.as_secs() * 3 / 4).ok());
    before.map_or(TIMEOUT, |before| before.clamp(1, TIMEOUT))
}

impl Watchdog {
    fn duplicate(&self) -> io::Result<Self> {
        let Self { node, timeout, soft, .. } = self;
        Ok(Self { node: node.clone(), device: self.device.try_clone()?, timeout: *timeout, soft: *soft })
    }

    fn write(&self, byte: &[u8]) {
        if let Err(error) = rustix::io::write(&self.device, byte) {
            console::warning(format_args!("cannot write to {}: {error}", self.node.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};
    use std::{fs::File, io::Read, os::fd::IntoRawFd, time::Instant};

    fn watchdog(seconds: u64) -> (File, Watchdog) {
        let (reader, device) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
        let (node, timeout) = ("/dev/watchdog7".into(), Duration::from_secs(seconds));
        (reader.into(), Watchdog { node, device, timeout, soft: false })
    }

    fn got(reader: &mut File) -> Vec<u8> {
        let mut bytes = [0; 16];
        let count = reader.read(&mut bytes).unwrap_or(0);
        bytes[..count].to_vec()
    }

    #[test]
    fn all_watchdogs_are_fed_within_the_shortest_timeout() {
        let ((mut one, first), (mut two, second)) = (watchdog(60), watchdog(20));
        let watchdogs = Watchdogs(vec![first, second]);
        assert_eq!(watchdogs.period(), Some(Duration::from_secs(10)));
        watchdogs.feed();
        assert_eq!((got(&mut one), got(&mut two)), (b"\0".to_vec(), b"\0".to_vec()));
        watchdogs.disarm();
        assert_eq!((got(&mut one), got(&mut two)), (b"V".to_vec(), b"V".to_vec()));
        assert_eq!(Watchdogs::default().period(), None);
    }

    /// Bytes that were fed until the last writer has closed the watchdog.
    fn fed_until_the_end(mut reader: File) -> usize {
        let (mut fed, begin) = (0, Instant::now());
        while begin.elapsed() < Duration::from_secs(30) {
            match reader.read(&mut [0; 16]) {
                Ok(0) => return fed,
                Ok(count) => fed += count,
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
        panic!("the watchdog is still fed")
    }

    #[test]
    fn the_thread_feeds_until_it_is_dropped_or_the_limit_has_passed() {
        let ((mut reader, mut watchdog), (late_reader, late)) = (watchdog(1), watchdog(1));
        watchdog.timeout = Duration::from_millis(10);
        let watchdogs = Watchdogs(vec![watchdog]);
        let feeder = watchdogs.feed_beside(u32::MAX).unwrap();
        let begin = Instant::now();
        let mut fed = 0;
        while fed < 3 {
            fed += got(&mut reader).len();
            assert!(begin.elapsed() < Duration::from_secs(30));
        }
        drop((feeder, watchdogs));
        fed_until_the_end(reader);

        let late = Watchdogs(vec![late]);
        let feeder = late.feed_beside(0).unwrap();
        drop(late);
        assert_eq!(fed_until_the_end(late_reader), 0);
        drop(feeder);
    }

    #[test]
    fn watchdogs_keep_running_during_a_reboot_unless_their_timeout_is_too_short() {
        let ((mut long, first), (mut short, second)) = (watchdog(60), watchdog(20));
        Watchdogs(vec![first, second]).leave_running(Duration::from_secs(45));
        assert_eq!((got(&mut long), got(&mut short)), (b"\0".to_vec(), b"\0V".to_vec()));
        // The watchdog is still open: the writing end is not closed.
        let mut byte = [0];
        assert_eq!(long.read(&mut byte).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn softdog_fires_before_the_other_watchdogs() {
        let seconds = |others| soft_timeout(Some(Duration::from_secs(others)));
        assert_eq!(soft_timeout(None), TIMEOUT);
        assert_eq!(seconds(RESET_TIMEOUT.into()), 56);
        assert_eq!((seconds(30), seconds(1), seconds(600)), (22, 1, 60));
    }

    #[test]
    fn watchdogs_that_the_initrd_has_opened_are_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let fd = File::create(dir.path().join("watchdog0")).unwrap().into_raw_fd();
        let found = sys::watchdog::inherited(&dir.path().join("watchdog")).unwrap();
        let mut watchdogs = Watchdogs::default();
        found.into_iter().for_each(|(node, device)| watchdogs.add(node, device));
        assert_eq!(watchdogs.0.len(), 1);
        assert_eq!(watchdogs.0[0].timeout, Duration::from_secs(30), "no driver has reported a timeout");
        drop(watchdogs);
        assert!(!Path::new(&format!("/proc/self/fd/{fd}")).exists(), "it was taken over");
    }
}
