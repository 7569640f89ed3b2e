//! The main loop: lines from init go to the store.

use crate::{
    bell::Bell,
    collect::{Source, missing_before},
    config,
    containers::{self, SharedStore},
    forward::{self, Feed},
    store::{Store, StoreOptions, default_size},
};
use berth_contract::{log_config::LogConfig, paths};
use berth_formats::log_segment::Line;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{
    fs, io,
    os::{fd::AsFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Wait before init is asked again.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);
/// After a signal, the last lines are taken until none has come for this time.
const LAST_LINES: Duration = Duration::from_millis(200);
/// Longest time for the last lines and for the receivers.
const LONGEST_END: Duration = Duration::from_secs(3);
/// Bytes after which lines are written, although more lines wait.
const WRITE_AT: usize = 256 << 10;

/// Paths of the process. Tests put them into a separate folder.
#[derive(Clone, Debug)]
pub struct Places {
    /// The socket of init.
    pub source: PathBuf,
    /// The settings.
    pub config: PathBuf,
    /// Folders of the store of kernel, init and services: on /var and in memory.
    pub system: [PathBuf; 2],
    /// Folders of the store of containers.
    pub containers: [PathBuf; 2],
    /// Folder of the cursors.
    pub cursors: PathBuf,
    /// The socket for the lines of containers.
    pub container_socket: PathBuf,
    /// The kernel's id of this boot.
    pub boot_id: PathBuf,
    /// The report about the clock.
    pub time_status: PathBuf,
}

impl Places {
    /// The places on a host, below `root`: `/`, or a folder in tests.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        let at = |path: &str| root.join(path.trim_start_matches('/'));
        Self {
            source: at(paths::LOG_SOCKET),
            config: at(paths::LOGD_CONFIG),
            system: [at(paths::LOG_STORE), at(paths::LOG_STORE_IN_MEMORY)],
            containers: [at(paths::CONTAINER_LOG_STORE), at(paths::CONTAINER_LOG_STORE_IN_MEMORY)],
            cursors: at(paths::LOG_CURSORS),
            container_socket: at(paths::CONTAINER_LOG_SOCKET),
            boot_id: at("/proc/sys/kernel/random/boot_id"),
            time_status: at(paths::TIME_STATUS),
        }
    }
}

/// The running process.
struct Daemon<'a> {
    places: &'a Places,
    stop: UnixStream,
    start: Instant,
    store: Store,
    bell: Arc<Bell>,
    containers: Option<SharedStore>,
    senders: Vec<JoinHandle<()>>,
    say: &'a mut dyn FnMut(&str),
    /// The last error of init's socket that was said.
    said: String,
}

/// Stores and forwards until `stop` is readable. Calls `say` with messages for the log.
///
/// # Errors
/// The id of the boot cannot be read.
pub fn run(places: &Places, stop: UnixStream, say: &mut dyn FnMut(&str)) -> io::Result<()> {
    let start = Instant::now();
    let config = config::read(&places.config).unwrap_or_else(|error| {
        say(&format!("{}: {error}: the defaults are in force", places.config.display()));
        LogConfig::default()
    });
    let boot_id = boot_id(&fs::read_to_string(&places.boot_id)?);
    let parent = places.system[0].parent().unwrap_or(Path::new(paths::VAR));
    let max_size = config.max_size().unwrap_or_else(|| default_size(parent));
    let cursors = forward::cursors(&places.cursors, &config.forward);
    let options = |[disk, memory]: &[PathBuf; 2], feed: Feed| StoreOptions {
        disk: disk.clone(),
        memory: memory.clone(),
        max_size,
        max_age: config.max_age(),
        time_status: places.time_status.clone(),
        boot_id,
        since_boot: feed == Feed::System,
        at_least: cursors.iter().map(|cursor| cursor.acknowledged(feed)).max().unwrap_or_default(),
    };
    let store = Store::open(options(&places.system, Feed::System), start.elapsed());
    let bell = Arc::new(Bell::default());
    let mut containers = None;
    if !config.forward.is_empty() {
        let options = options(&places.containers, Feed::Containers);
        match containers::serve(&places.container_socket, options, &bell, start) {
            Ok(shared) => containers = Some(shared),
            Err(error) => say(&format!("{}: {error}", places.container_socket.display())),
        }
    }
    let folders = [places.system.to_vec(), places.containers.to_vec()];
    let senders = forward::start(&config.forward, cursors, &folders, &bell);
    let mut daemon = Daemon { places, stop, start, store, bell, containers, senders, say, said: String::new() };
    daemon.follow();
    daemon.end();
    Ok(())
}

impl Daemon<'_> {
    /// Takes lines until the process must end.
    fn follow(&mut self) {
        loop {
            match Source::connect(&self.places.source, self.store.numbers()) {
                Ok(mut source) => match self.take(&mut source) {
                    Ok(()) => return self.take_last(&mut source),
                    Err(error) => self.complain(&error),
                },
                Err(error) => self.complain(&error),
            }
            if self.wait(None, Some(CONNECT_AGAIN)) {
                return;
            }
        }
    }

    fn complain(&mut self, error: &io::Error) {
        let text = format!("{}: {error}: trying again", self.places.source.display());
        if self.said != text {
            (self.say)(&text);
            self.said = text;
        }
    }

    /// Takes lines from init until the process must end.
    fn take(&mut self, source: &mut Source) -> io::Result<()> {
        loop {
            self.take_received(source)?;
            let now = self.start.elapsed();
            self.store.tick(now);
            self.store.take_messages().iter().for_each(|text| (self.say)(text));
            if let Some(containers) = &self.containers {
                containers.with(Store::tick);
                containers.with(|store, _| store.take_messages()).iter().for_each(|text| (self.say)(text));
            }
            let limit = self.store.next_tick().saturating_sub(now);
            if self.wait(Some(source), Some(limit)) {
                return Ok(());
            }
        }
    }

    /// Stores everything that was received. Returns the number of lines.
    fn take_received(&mut self, source: &mut Source) -> io::Result<usize> {
        let mut count = 0;
        let result = loop {
            let record = match source.next_record() {
                Ok(Some(record)) => record,
                Ok(None) => break Ok(count),
                Err(error) => break Err(error),
            };
            count += 1;
            let missing = missing_before(&record, self.store.numbers());
            let at_us = i64::try_from(record.at_us).unwrap_or(i64::MAX);
            let mut line =
                Line { log: &record.log, level: record.level, at_us, number: record.number, text: &record.text };
            if missing > 0 {
                let text = format!("[{missing} lines are missing here: the log was faster than logd]");
                self.store.push(&Line { level: 4, number: record.number - 1, text: &text, ..line });
            }
            line.number = record.number;
            self.store.push(&line);
            if self.store.pending() >= WRITE_AT {
                self.store.write(self.start.elapsed());
            }
        };
        self.store.write(self.start.elapsed());
        if count > 0 {
            self.bell.ring();
        }
        result
    }

    /// Takes what the other services say at their end.
    fn take_last(&mut self, source: &mut Source) {
        let deadline = Instant::now() + LONGEST_END;
        while Instant::now() < deadline {
            let ready = poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&timespec(LAST_LINES)));
            if ready == Ok(0) || self.take_received(source).is_err() {
                return;
            }
        }
    }

    /// Waits for lines, at most for `limit`. True when the process must end.
    fn wait(&self, source: Option<&Source>, limit: Option<Duration>) -> bool {
        let mut fds = vec![PollFd::new(&self.stop, PollFlags::IN)];
        fds.extend(source.map(|source| PollFd::from_borrowed_fd(source.as_fd(), PollFlags::IN)));
        match poll(&mut fds, limit.map(timespec).as_ref()) {
            Ok(_) => !fds[0].revents().is_empty(),
            Err(Errno::INTR) => false,
            Err(_) => true,
        }
    }

    fn end(mut self) {
        let now = self.start.elapsed();
        self.store.write(now);
        self.store.flush(now);
        if let Some(containers) = &self.containers {
            containers.with(Store::flush);
        }
        self.bell.ring();
        self.bell.stop();
        let deadline = Instant::now() + LONGEST_END;
        // A receiver that does not answer gets the rest after the next start.
        while Instant::now() < deadline && self.senders.iter().any(|sender| !sender.is_finished()) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: time.subsec_nanos().into() }
}

/// The kernel's id of a boot: a UUID as text.
fn boot_id(text: &str) -> [u8; 16] {
    let digits: Vec<u8> =
        text.bytes().filter_map(|c| char::from(c).to_digit(16)).filter_map(|d| u8::try_from(d).ok()).collect();
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    id
}
