//! Watchdogs, Documentation/watchdog/watchdog-api.rst: once open, each resets the machine unless it is fed.
//!
//! The initrd stage opens those it has drivers for, so that the machine is watched from its first second on; they stay open across
//! the switch to the host stage. A thread feeds them beside the phases of both, for as long as a boot may take
//! ([`Watchdogs::feed_beside`]). After that only the supervisor's loop does.

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

/// Drivers that are wanted before devices are asked for theirs: QEMU's, ACPI's, Xen's, and the kernel's own timer for machines that
/// have no other. Those that a kernel does not have are passed over.
const DRIVERS: [&str; 4] = ["i6300esb", "wdat_wdt", "xen_wdt", SOFTDOG];
const SOFTDOG: &str = "softdog";
/// The kernel's timer panics instead of a plain reset, so that the kernel's last words are kept.
const SOFTDOG_OPTIONS: &str = "soft_panic=1";
/// What the kernel calls its timer.
const SOFTDOG_IDENTITY: &str = "Software Watchdog";
/// How long a machine may stand still.
const TIMEOUT: u32 = 60;
/// Until the others strike. They reset at once, so the kernel's timer comes first and has time to keep its last words.
const RESET_TIMEOUT: u32 = 75;
/// Where a driver does not take that, nor says what it takes.
const USUAL_TIMEOUT: u32 = 30;
/// How their nodes in /dev begin. `watchdog` itself is the first once more.
const PREFIX: &str = "/dev/watchdog";

/// Running watchdogs. Dropping them without [`Watchdogs::disarm`] leaves them running: the machine will be reset.
#[derive(Debug, Default)]
pub struct Watchdogs(Vec<Watchdog>);

#[derive(Debug)]
struct Watchdog {
    node: PathBuf,
    device: OwnedFd,
    timeout: Duration,
    /// The kernel's timer.
    soft: bool,
}

/// A thread that feeds. It ends when this is dropped.
#[derive(Debug)]
#[must_use = "dropped, it feeds no more"]
pub struct Feeder(#[expect(dead_code, reason = "its end is what the thread sees")] Sender<Infallible>);

/// Whether a program that replaces this one gets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Across {
    /// The host stage does ([`Watchdogs::inherited`]).
    Exec,
    /// Nobody does.
    Nothing,
}

/// Loads the drivers.
pub fn load_drivers(loader: &Loader) {
    for name in DRIVERS.into_iter().filter(|name| loader.known(name)) {
        let loaded = loader.plan(name).and_then(|steps| {
            steps.into_iter().try_for_each(|mut step| {
                if step.name == SOFTDOG {
                    // The command line's come last, and win.
                    step.options = format!("{SOFTDOG_OPTIONS} {}", step.options);
                }
                loader.insert(&step)
            })
        });
        // Without the device a driver may refuse, or stay and do nothing.
        if let Err(error) = loaded {
            console::debug(format_args!("{error}"));
        }
    }
}

impl Watchdogs {
    /// Those that the initrd stage has left open.
    #[must_use]
    pub fn inherited() -> Self {
        let mut watchdogs = Self::default();
        match sys::watchdog::inherited(Path::new(PREFIX)) {
            Ok(found) => found.into_iter().for_each(|(node, device)| watchdogs.add(node, device)),
            Err(error) => console::warning(format_args!("watchdogs of the initrd: {error}")),
        }
        watchdogs.stagger();
        watchdogs
    }

    /// Opens, and so starts, all that there are and are not among these.
    ///
    /// # Errors
    /// One that is there and cannot be opened (somebody else has it); the others are open.
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

    /// The kernel's timer strikes before the others do.
    fn stagger(&mut self) {
        let others = self.0.iter().filter(|watchdog| !watchdog.soft).map(|watchdog| watchdog.timeout).min();
        for watchdog in self.0.iter_mut().filter(|watchdog| watchdog.soft) {
            if let Ok(taken) = sys::watchdog::set_timeout(watchdog.device.as_fd(), soft_timeout(others)) {
                watchdog.timeout = Duration::from_secs(taken.max(1).into());
            }
        }
    }

    /// How often to feed: twice in the shortest time, so that one late feeding does no harm. None when there is none.
    #[must_use]
    pub fn period(&self) -> Option<Duration> {
        self.0.iter().map(|watchdog| watchdog.timeout / 2).min()
    }

    /// Starts the time of all of them anew.
    pub fn feed(&self) {
        for watchdog in &self.0 {
            watchdog.write(b"\0");
        }
    }

    /// Feeds them in a thread of its own: a phase of the boot may rightly take longer than they wait, such as a disk that is slow to
    /// appear or a file system with a long journal. At most until `limit` seconds after the kernel's start, so that a boot that
    /// hangs is reset all the same.
    ///
    /// # Errors
    /// When there is no thread or no descriptor for it.
    pub fn feed_beside(&self, limit: u32) -> io::Result<Feeder> {
        // Descriptors of its own, which go with it; the watchdogs stay open by these here.
        let twins = Self(self.0.iter().map(Watchdog::twin).collect::<io::Result<_>>()?);
        let (feeder, dropped) = mpsc::channel();
        let feed = move || {
            let Some(period) = twins.period() else { return };
            while now_us() < u64::from(limit) * 1_000_000 {
                twins.feed();
                if dropped.recv_timeout(period) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        thread::Builder::new().name("watchdogs".to_owned()).spawn(feed)?;
        Ok(Feeder(feeder))
    }

    /// Stops them, where the drivers allow that.
    pub fn disarm(self) {
        for watchdog in &self.0 {
            watchdog.write(b"V");
        }
    }

    /// For the way to a reboot, which takes `at_most`: they go on without being fed. Those that would strike earlier are stopped.
    pub fn leave_running(mut self, at_most: Duration) {
        self.feed();
        let short = self.0.extract_if(.., |watchdog| watchdog.timeout <= at_most).collect();
        Self(short).disarm();
        // Closed, they would go on as well, but each with a complaint of the kernel on the console.
        std::mem::forget(self);
    }

    /// What they are, for a line in the log.
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

/// What the kernel says about a watchdog.
fn attribute(node: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new("/sys/class/watchdog").join(node.file_name()?).join(name)).ok()?;
    Some(text.trim_end().to_owned())
}

/// Seconds until the kernel's timer strikes, beside others of which the first strikes after `others`: a panic, its way to pstore
/// and the reboot after it take a while.
fn soft_timeout(others: Option<Duration>) -> u32 {
    let before = others.and_then(|others| u32::try_from(others.as_secs() * 3 / 4).ok());
    before.map_or(TIMEOUT, |before| before.clamp(1, TIMEOUT))
}

impl Watchdog {
    fn twin(&self) -> io::Result<Self> {
        let Self { node, timeout, soft, .. } = self;
        Ok(Self { node: node.clone(), device: self.device.try_clone()?, timeout: *timeout, soft: *soft })
    }

    fn write(&self, byte: &[u8]) {
        if let Err(error) = rustix::io::write(&self.device, byte) {
            console::warning(format_args!("{}: {error}", self.node.display()));
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
    fn all_are_fed_within_the_shortest_time() {
        let ((mut one, first), (mut two, second)) = (watchdog(60), watchdog(20));
        let watchdogs = Watchdogs(vec![first, second]);
        assert_eq!(watchdogs.period(), Some(Duration::from_secs(10)));
        watchdogs.feed();
        assert_eq!((got(&mut one), got(&mut two)), (b"\0".to_vec(), b"\0".to_vec()));
        watchdogs.disarm();
        assert_eq!((got(&mut one), got(&mut two)), (b"V".to_vec(), b"V".to_vec()));
        assert_eq!(Watchdogs::default().period(), None);
    }

    /// What has been fed until nobody can feed any more.
    fn fed_until_the_end(mut reader: File) -> usize {
        let (mut fed, begin) = (0, Instant::now());
        while begin.elapsed() < Duration::from_secs(30) {
            match reader.read(&mut [0; 16]) {
                Ok(0) => return fed,
                Ok(count) => fed += count,
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
        panic!("it is fed for ever")
    }

    #[test]
    fn a_boot_is_fed_until_it_is_up_or_has_taken_too_long() {
        let ((mut reader, mut dog), (late_reader, late)) = (watchdog(1), watchdog(1));
        dog.timeout = Duration::from_millis(10);
        let dogs = Watchdogs(vec![dog]);
        let feeder = dogs.feed_beside(u32::MAX).unwrap();
        let begin = Instant::now();
        let mut fed = 0;
        while fed < 3 {
            fed += got(&mut reader).len();
            assert!(begin.elapsed() < Duration::from_secs(30));
        }
        drop((feeder, dogs));
        fed_until_the_end(reader);

        let late = Watchdogs(vec![late]);
        let feeder = late.feed_beside(0).unwrap();
        drop(late);
        assert_eq!(fed_until_the_end(late_reader), 0);
        drop(feeder);
    }

    #[test]
    fn on_the_way_to_a_reboot_they_stay_armed_unless_that_is_too_long_for_them() {
        let ((mut long, first), (mut short, second)) = (watchdog(60), watchdog(20));
        Watchdogs(vec![first, second]).leave_running(Duration::from_secs(45));
        assert_eq!((got(&mut long), got(&mut short)), (b"\0".to_vec(), b"\0V".to_vec()));
        // Still open: nobody has closed the writing end.
        let mut byte = [0];
        assert_eq!(long.read(&mut byte).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn the_kernels_timer_strikes_first() {
        let seconds = |others| soft_timeout(Some(Duration::from_secs(others)));
        assert_eq!(soft_timeout(None), TIMEOUT);
        assert_eq!(seconds(RESET_TIMEOUT.into()), 56);
        assert_eq!((seconds(30), seconds(1), seconds(600)), (22, 1, 60));
    }

    #[test]
    fn what_the_initrd_has_opened_is_not_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let fd = File::create(dir.path().join("watchdog0")).unwrap().into_raw_fd();
        let found = sys::watchdog::inherited(&dir.path().join("watchdog")).unwrap();
        let mut watchdogs = Watchdogs::default();
        found.into_iter().for_each(|(node, device)| watchdogs.add(node, device));
        assert_eq!(watchdogs.0.len(), 1);
        assert_eq!(watchdogs.0[0].timeout, Duration::from_secs(30), "no driver has said anything");
        drop(watchdogs);
        assert!(!Path::new(&format!("/proc/self/fd/{fd}")).exists(), "it was taken over");
    }
}
