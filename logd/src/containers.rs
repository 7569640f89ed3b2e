//! Takes the lines of containers. A program that may use the engine's socket, but has no network, sends them over a Unix socket; this
//! process has a network, but may not use the engine's socket.
//!
//! After a connection this side sends one line: a JSON object with the number of the last stored line of each container. The other side
//! sends one [`LogRecord`] a line. The number of a container's line is its time in nanoseconds since 1970, `at_us` in microseconds.

use crate::{
    bell::Bell,
    store::{Store, StoreOptions},
};
use berth_contract::control::{LogRecord, MAX_LINE};
use berth_formats::log_segment::Line;
use rustix::net::sockopt::socket_peercred;
use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixListener, net::UnixStream},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Time between two looks at what is due.
const TICK: Duration = Duration::from_millis(500);
/// Bytes after which lines are written, although more lines wait.
const WRITE_AT: usize = 256 << 10;

/// Serves the socket at `path` with threads of its own. Clients other than root are refused.
///
/// # Errors
/// The socket cannot be made.
pub fn serve(path: &Path, options: StoreOptions, bell: &Arc<Bell>, start: Instant) -> io::Result<SharedStore> {
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    // The client is root without capabilities: for it, the permissions of others count.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    let store = Arc::new(Mutex::new(Store::open(options, start.elapsed())));
    let shared = SharedStore { store, start };
    let (mine, bell) = (shared.clone(), bell.clone());
    thread::Builder::new().name("containers".into()).stack_size(128 << 10).spawn(move || {
        // One client at a time: a second one waits until the first has gone.
        for stream in listener.incoming().flatten() {
            let is_root = socket_peercred(&stream).is_ok_and(|peer| peer.uid.is_root());
            if is_root {
                // The client has gone, or sends something else: the next one continues.
                let _ = take(&stream, &mine, &bell);
            }
        }
    })?;
    Ok(shared)
}

/// The store of the containers, with its clock.
#[derive(Clone, Debug)]
pub struct SharedStore {
    store: Arc<Mutex<Store>>,
    start: Instant,
}

impl SharedStore {
    /// Does something with the store.
    pub fn with<T>(&self, act: impl FnOnce(&mut Store, Duration) -> T) -> T {
        act(&mut self.store.lock().unwrap_or_else(PoisonError::into_inner), self.start.elapsed())
    }
}

fn take(stream: &UnixStream, store: &SharedStore, bell: &Bell) -> io::Result<()> {
    let numbers = store.with(|store, _| serde_json::to_string(store.numbers()))?;
    (&mut &*stream).write_all(format!("{numbers}\n").as_bytes())?;
    stream.set_read_timeout(Some(TICK))?;
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    let mut begun = Vec::new();
    loop {
        let limit = (MAX_LINE - begun.len()) as u64;
        match reader.by_ref().take(limit).read_until(b'\n', &mut begun) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                write(store, bell);
                continue;
            }
            Err(error) => return Err(error),
            Ok(_) if !begun.ends_with(b"\n") => {
                write(store, bell);
                return Ok(());
            }
            Ok(_) => {}
        }
        let record: LogRecord = serde_json::from_slice(&begun)?;
        begun.clear();
        let at_us = i64::try_from(record.at_us).unwrap_or(i64::MAX);
        let line = Line { log: &record.log, level: record.level, at_us, number: record.number, text: &record.text };
        let pending = store.with(|store, _| {
            store.push(&line);
            store.pending()
        });
        if pending >= WRITE_AT || reader.buffer().is_empty() {
            write(store, bell);
        }
    }
}

fn write(store: &SharedStore, bell: &Bell) {
    store.with(|store, now| {
        if store.pending() > 0 {
            store.write(now);
            bell.ring();
        }
        store.tick(now);
    });
}
