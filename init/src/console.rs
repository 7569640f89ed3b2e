//! The only output of init. A line goes to the kernel's log, to every active console, and to a ring buffer in memory, which
//! `hostctl logs init` reads.
//!
//! The console is a global variable, because the panic hook and every thread must be able to print. It can be used before /dev is
//! mounted: lines then go to the ring buffer only. A serial line that nobody reads delays init only for a short time.

use crate::timeline::now_us;
use berth_contract::{boot_report::LOG_TAG, control::LogLine};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    fs::{Mode, OFlags, open},
    io::{Errno, write},
};
use std::{
    collections::VecDeque,
    fmt, fs, io,
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Size limit of the ring buffer, in bytes of text.
const RING: usize = 256 * 1024;
/// How long a line may wait for a console, in milliseconds. After that, lines do not wait for this console until it accepts bytes again.
const WRITE_LIMIT_MS: i64 = 200;
/// The kernel cuts a record of its log at about 1 KiB.
const KMSG_MAX: usize = 900;

/// The level of a line. The numbers are those of syslog(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work.
    Error = 3,
    /// Something works only partly.
    Warning = 4,
    /// An event.
    Info = 6,
    /// Details for debugging (`berth.debug=1`).
    Debug = 7,
}

struct Terminal {
    fd: OwnedFd,
    /// The console accepted no bytes in time: do not wait for it again.
    stuck: bool,
}

struct Console {
    kmsg: Option<OwnedFd>,
    terminals: Vec<Terminal>,
    /// The kernel itself prints records with a level number lower than this on the consoles.
    kernel_prints_below: u8,
    debug: bool,
    ring: VecDeque<(Level, LogLine)>,
    ring_bytes: usize,
    /// Number of the first line in the ring buffer. The first line of the boot has number 0.
    first: u64,
    watcher: Option<OwnedFd>,
}

static CONSOLE: Mutex<Console> = Mutex::new(Console {
    kmsg: None,
    terminals: Vec::new(),
    kernel_prints_below: 7,
    debug: false,
    ring: VecDeque::new(),
    ring_bytes: 0,
    first: 0,
    watcher: None,
});

fn console() -> MutexGuard<'static, Console> {
    CONSOLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens /dev/kmsg and the consoles, as far as they exist. Call it again once /dev and /sys are mounted.
pub fn open_outputs() {
    let kmsg = open("/dev/kmsg", OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty()).ok();
    let names = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let mut terminals: Vec<Terminal> =
        names.split_ascii_whitespace().filter_map(|name| terminal(&format!("/dev/{name}"))).collect();
    if terminals.is_empty() {
        terminals.extend(terminal("/dev/console"));
    }
    let printk = fs::read_to_string("/proc/sys/kernel/printk").unwrap_or_default();
    let mut console = console();
    console.kernel_prints_below =
        printk.split_ascii_whitespace().next().and_then(|level| level.parse().ok()).unwrap_or(7);
    console.kmsg = kmsg;
    console.terminals = terminals;
}

fn terminal(path: &str) -> Option<Terminal> {
    // O_NONBLOCK: open(2) must not wait for the carrier of a modem line, and write(2) must not wait for a reader.
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    open(path, flags, Mode::empty()).ok().map(|fd| Terminal { fd, stuck: false })
}

/// Sets whether lines of level debug go to the ring buffer, and all lines to the consoles.
pub fn set_debug(on: bool) {
    console().debug = on;
}

/// Writes a line to the logs. Errors and warnings go to the consoles as well.
pub fn log(level: Level, text: &str) {
    let mut console = console();
    let everywhere = level <= Level::Warning || console.debug;
    console.say(level, text, everywhere);
}

/// Writes a line to the logs and to every console: `[   1.234] text`.
pub fn announce(text: &str) {
    console().say(Level::Info, text, true);
}

/// Writes a line from the panic hook. If the panicking thread holds the lock of the console, writes to /dev/console only.
pub fn last_words(text: &str) {
    match CONSOLE.try_lock() {
        Ok(mut console) => console.say(Level::Error, text, true),
        Err(_) => {
            if let Some(mut terminal) = terminal("/dev/console") {
                terminal.write(format!("{text}\n").as_bytes());
            }
        }
    }
}

/// [`log`] at level error.
pub fn error(text: fmt::Arguments<'_>) {
    log(Level::Error, &text.to_string());
}

/// [`log`] at level warning.
pub fn warning(text: fmt::Arguments<'_>) {
    log(Level::Warning, &text.to_string());
}

/// [`log`] at level info.
pub fn info(text: fmt::Arguments<'_>) {
    log(Level::Info, &text.to_string());
}

/// [`log`] at level debug.
pub fn debug(text: fmt::Arguments<'_>) {
    log(Level::Debug, &text.to_string());
}

/// The lines of init from number `from` on, as far as the ring buffer still has them, and the number to continue with. The first line
/// of the boot has number 0.
#[must_use]
pub fn history(from: u64) -> (Vec<LogLine>, u64) {
    let console = console();
    let skip = usize::try_from(from.saturating_sub(console.first)).unwrap_or(usize::MAX);
    (console.ring.iter().skip(skip).map(|(_, line)| line.clone()).collect(), console.first + console.ring.len() as u64)
}

/// The level of the line with this number. Lines of the earlier stage, and lines that are not kept any more, count as information.
#[must_use]
pub fn level_of(number: u64) -> Level {
    let console = console();
    let index = number.checked_sub(console.first).and_then(|index| usize::try_from(index).ok());
    index.and_then(|index| console.ring.get(index)).map_or(Level::Info, |(level, _)| *level)
}

/// Adds the lines of the earlier stage. Call it before this stage prints its first line.
pub fn continue_from(lines: Vec<LogLine>) {
    let mut console = console();
    for line in lines {
        console.keep(Level::Info, line);
    }
}

/// An eventfd(2) that becomes readable when a line is added. Every call returns a duplicate of the same descriptor.
///
/// # Errors
/// The error of eventfd(2) or dup(2).
pub fn watch() -> io::Result<OwnedFd> {
    let mut console = console();
    if let Some(watcher) = &console.watcher {
        return watcher.try_clone();
    }
    let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    console.watcher = Some(fd.try_clone()?);
    Ok(fd)
}

impl Console {
    fn say(&mut self, level: Level, text: &str, everywhere: bool) {
        let at_us = now_us();
        for line in text.lines() {
            if level != Level::Debug || self.debug {
                self.keep(level, LogLine { at_us, text: line.to_owned() });
            }
            self.write_kmsg(level, line);
            if everywhere {
                let stamped = format!("[{:4}.{:03}] {line}\n", at_us / 1_000_000, at_us / 1000 % 1000);
                self.terminals.iter_mut().for_each(|terminal| terminal.write(stamped.as_bytes()));
            }
        }
    }

    /// Writes to the kernel's log with a level number that the kernel does not print on the consoles. Otherwise the line would appear
    /// twice.
    fn write_kmsg(&mut self, level: Level, line: &str) {
        let Some(kmsg) = &self.kmsg else { return };
        let level = (level as u8).max(self.kernel_prints_below.min(7));
        let cut = line.floor_char_boundary(KMSG_MAX);
        // An error is ignored: the ring buffer has the line.
        let _ = write(kmsg, format!("<{level}>{LOG_TAG}{}\n", &line[..cut]).as_bytes());
    }

    fn keep(&mut self, level: Level, line: LogLine) {
        self.ring_bytes += line.text.len();
        self.ring.push_back((level, line));
        while self.ring_bytes > RING {
            let Some((_, oldest)) = self.ring.pop_front() else { break };
            self.ring_bytes -= oldest.text.len();
            self.first += 1;
        }
        if let Some(watcher) = &self.watcher {
            // A write to a full counter fails, but a full counter is readable already.
            let _ = write(watcher, &1_u64.to_ne_bytes());
        }
    }
}

impl Terminal {
    fn write(&mut self, mut bytes: &[u8]) {
        let deadline = now_us() / 1000 + WRITE_LIMIT_MS.unsigned_abs();
        while !bytes.is_empty() {
            match write(&self.fd, bytes) {
                Ok(0) => return,
                Ok(count) => {
                    self.stuck = false;
                    bytes = &bytes[count..];
                }
                Err(Errno::AGAIN) => {
                    let left = deadline.saturating_sub(now_us() / 1000);
                    if self.stuck || left == 0 || !self.wait(left) {
                        self.stuck = true;
                        return;
                    }
                }
                Err(Errno::INTR) => {}
                // The console has hung up. The other outputs have the line.
                Err(_) => return,
            }
        }
    }

    fn wait(&self, milliseconds: u64) -> bool {
        let nanoseconds = i64::try_from(milliseconds).unwrap_or(WRITE_LIMIT_MS) * 1_000_000;
        let timeout = Timespec { tv_sec: 0, tv_nsec: nanoseconds.min(999_999_999) };
        poll(&mut [PollFd::new(&self.fd, PollFlags::OUT)], Some(&timeout)).is_ok_and(|ready| ready > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};
    use std::{io::Read, time::Instant};

    fn silent() -> Console {
        Console {
            kmsg: None,
            terminals: Vec::new(),
            kernel_prints_below: 4,
            debug: false,
            ring: VecDeque::new(),
            ring_bytes: 0,
            first: 0,
            watcher: None,
        }
    }

    #[test]
    fn a_console_that_nobody_reads_delays_only_one_line() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        let mut console = silent();
        console.terminals.push(Terminal { fd: writer, stuck: false });
        let begin = Instant::now();
        for _ in 0..200 {
            console.say(Level::Info, &"x".repeat(1000), true);
        }
        assert!(console.terminals[0].stuck);
        assert!(begin.elapsed().as_millis() < 5 * u128::from(WRITE_LIMIT_MS.unsigned_abs()), "{:?}", begin.elapsed());
        // When the console is read, lines are written again.
        let mut text = vec![0; 1 << 20];
        let mut reader = fs::File::from(reader);
        assert!(reader.read(&mut text).unwrap() > 1000);
        console.say(Level::Info, "again", true);
        assert!(!console.terminals[0].stuck);
        let count = reader.read(&mut text).unwrap();
        assert!(String::from_utf8_lossy(&text[..count]).ends_with("] again\n"));
    }

    #[test]
    fn the_ring_buffer_drops_the_oldest_lines_first() {
        let mut console = silent();
        for number in 0..400 {
            console.say(Level::Info, &format!("{number} {}", "y".repeat(1000)), false);
        }
        console.say(Level::Debug, "not kept", false);
        assert!(console.ring_bytes <= RING);
        assert!(console.ring[0].1.text.starts_with(&format!("{} ", console.first)));
        assert!(console.ring.back().unwrap().1.text.starts_with("399 "));
    }
}
