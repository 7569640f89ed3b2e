//! Sends the output of all containers to logd, which forwards it. logd has a network and may not use the engine's socket; this process may,
//! and has no network.

use berth_contract::{control::LogRecord, paths};
use berth_engine::{ContainerLine, EngineClient, Limits, Listing, LogRequest};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufRead, BufReader, Read, Write},
    ops::ControlFlow,
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// Wait before logd is asked again. It listens only while logs are forwarded.
const LOGD_AGAIN: Duration = Duration::from_secs(10);
/// Time between two lists of the containers.
const LIST_AGAIN: Duration = Duration::from_secs(2);
/// A container may be silent for any time.
const LIMITS: Limits = Limits { body: 16 << 20, silence: Duration::from_secs(365 * 86_400) };
/// Size limit of logd's first line in bytes.
const LONGEST_START: u64 = 4 << 20;
/// Maximum number of containers whose output is followed at the same time.
const MOST: usize = 500;
/// Severity of a line: information.
const INFORMATION: u8 = 6;

/// Makes a client of the engine.
pub(crate) type Engine = Arc<dyn Fn(Limits) -> Box<dyn EngineClient> + Send + Sync>;

/// The connection to logd, and what it knows.
struct Session {
    stream: UnixStream,
    /// Time of the last line of each log, in nanoseconds since 1970.
    last: BTreeMap<String, u64>,
    /// Containers whose output is read now.
    open: BTreeSet<String>,
    is_broken: bool,
}

/// Connects to logd at `socket`, and sends lines until the connection ends. Waits until logd listens.
///
/// # Errors
/// The connection has ended. Threads that read the output of containers may still run.
pub(crate) fn send(engine: &Engine, socket: &Path) -> io::Result<()> {
    let stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(_) => thread::sleep(LOGD_AGAIN),
        }
    };
    let mut start = String::new();
    BufReader::new(&stream).take(LONGEST_START).read_line(&mut start)?;
    let last = serde_json::from_str(&start)?;
    let session = Session { stream, last, open: BTreeSet::new(), is_broken: false };
    let session = Arc::new(Mutex::new(session));
    let client = engine(LIMITS);
    let mut ended = BTreeSet::new();
    while !lock(&session).is_broken {
        // An engine that does not answer is asked again.
        if let (Ok(running), Ok(all)) = (client.list(Listing::Running), client.list(Listing::All)) {
            let running: BTreeSet<String> = running.into_iter().map(|one| one.name).collect();
            ended.retain(|name| !running.contains(name));
            for name in all.into_iter().map(|one| one.name) {
                // The output of a container that has ended is read once more.
                if (running.contains(&name) || ended.insert(name.clone())) && begin(&session, &name) {
                    follow(engine, &session, name);
                }
            }
        }
        thread::sleep(LIST_AGAIN);
    }
    Err(io::ErrorKind::BrokenPipe.into())
}

/// Whether a new thread must read the output of a container.
fn begin(session: &Mutex<Session>, name: &str) -> bool {
    let mut session = lock(session);
    session.open.len() < MOST && session.open.insert(name.to_owned())
}

fn follow(engine: &Engine, session: &Arc<Mutex<Session>>, name: String) {
    let (engine, mine, its) = (engine.clone(), session.clone(), name.clone());
    let read = move || {
        let log = format!("container:{its}");
        let since = since(lock(&mine).last.get(&log).copied(), boot_ns(), ns(ClockId::Realtime));
        let ask = LogRequest { follow: true, since_ns: i64::try_from(since).ok() };
        // What goes wrong here is tried again with the next list of the containers.
        let _ = engine(LIMITS).logs(&its, &ask, &mut |line| lock(&mine).send(&log, line));
        lock(&mine).open.remove(&its);
    };
    if thread::Builder::new().stack_size(128 << 10).spawn(read).is_err() {
        lock(session).open.remove(&name);
    }
}

impl Session {
    fn send(&mut self, log: &str, line: ContainerLine) -> ControlFlow<()> {
        let number = line.time_ns.and_then(|ns| u64::try_from(ns).ok()).unwrap_or_else(|| ns(ClockId::Realtime));
        let record =
            LogRecord { log: log.to_owned(), number, level: INFORMATION, at_us: number / 1000, text: line.text };
        let text = serde_json::to_string(&record).unwrap_or_default();
        if self.is_broken || self.stream.write_all(format!("{text}\n").as_bytes()).is_err() {
            self.is_broken = true;
            return ControlFlow::Break(());
        }
        self.last.insert(log.to_owned(), number);
        ControlFlow::Continue(())
    }
}

/// Where the output of a container is read from. A last line in the future is from a clock that was wrong: it would silence the container
/// until then.
fn since(last: Option<u64>, boot: u64, now: u64) -> u64 {
    last.filter(|last| *last <= now).map_or(boot, |last| last + 1)
}

fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The start of this boot in nanoseconds since 1970.
fn boot_ns() -> u64 {
    ns(ClockId::Realtime).saturating_sub(ns(ClockId::Boottime))
}

fn ns(clock: ClockId) -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(tv_sec).saturating_mul(1_000_000_000).saturating_add(part(tv_nsec))
}

/// The socket of logd.
pub(crate) fn socket() -> &'static Path {
    Path::new(paths::CONTAINER_LOG_SOCKET)
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
