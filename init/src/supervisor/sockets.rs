//! Readiness by socket: a service is ready when somebody listens on its Unix socket.
//!
//! inotify(7) tells when the socket's file appears; then a connect(2) that never waits asks whether somebody listens yet. Only
//! between these two moments, bind(2) and listen(2) of the service, is there anything to repeat.

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
};
use std::{
    collections::BTreeMap,
    fs::DirBuilder,
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::DirBuilderExt,
    },
    path::{Path, PathBuf},
};

/// First pause between two questions to a socket that nobody listens on yet, in microseconds; doubled up to the longest.
const FIRST_PAUSE: u64 = 2_000;
const LONGEST_PAUSE: u64 = 100_000;

/// Sockets that are waited for.
#[derive(Debug)]
pub(super) struct SocketWatch {
    inotify: OwnedFd,
    awaited: BTreeMap<String, Awaited>,
}

#[derive(Debug)]
struct Awaited {
    socket: PathBuf,
    /// In the socket's directory; none when it could not be watched.
    watch: Option<i32>,
    pause_us: u64,
    /// When to ask next; none: when the file appears.
    again_us: Option<u64>,
}

impl SocketWatch {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?, awaited: BTreeMap::new() })
    }

    /// Waits for a service's socket. Call it before the service is started, so that nothing is missed.
    pub(super) fn await_socket(&mut self, name: &str, socket: &Path, now_us: u64) {
        let awaited = Awaited { socket: socket.to_owned(), watch: None, pause_us: FIRST_PAUSE, again_us: Some(now_us) };
        self.awaited.insert(name.to_owned(), awaited);
    }

    /// Waits no more: the service has ended.
    pub(super) fn forget(&mut self, name: &str) {
        let watch = self.awaited.remove(name).and_then(|awaited| awaited.watch);
        // Services in one directory share its watch.
        if let Some(watch) = watch.filter(|_| !self.awaited.values().any(|other| other.watch == watch)) {
            let _ = inotify::remove_watch(&self.inotify, watch);
        }
    }

    /// When to ask again, if no file appears before.
    pub(super) fn next_deadline_us(&self) -> Option<u64> {
        self.awaited.values().filter_map(|awaited| awaited.again_us).min()
    }

    /// Reads what has happened, asks the sockets that may have come up, and returns the services whose do.
    pub(super) fn look(&mut self, now_us: u64) -> Vec<String> {
        self.read_events(now_us);
        let mut ready = Vec::new();
        for (name, awaited) in &mut self.awaited {
            if awaited.again_us.is_some_and(|again| again <= now_us) && awaited.ask(&self.inotify, now_us) {
                ready.push(name.clone());
            }
        }
        ready.iter().for_each(|name| self.forget(name));
        ready
    }

    /// Any event in a socket's directory is a reason to ask; there are few.
    fn read_events(&mut self, now_us: u64) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        while let Ok(event) = reader.next() {
            let (watch, events) = (event.wd(), event.events());
            for awaited in self.awaited.values_mut() {
                let all = events.contains(ReadFlags::QUEUE_OVERFLOW);
                if all || awaited.watch == Some(watch) {
                    awaited.again_us = Some(now_us);
                    awaited.pause_us = FIRST_PAUSE;
                    // Its directory has been removed, perhaps to be made anew.
                    awaited.watch = awaited.watch.filter(|_| !events.contains(ReadFlags::IGNORED));
                }
            }
        }
    }
}

impl AsFd for SocketWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl Awaited {
    /// Whether somebody listens. If not, sets when to ask again.
    fn ask(&mut self, inotify: &OwnedFd, now_us: u64) -> bool {
        if self.watch.is_none() {
            // First the watch, then the question, so that a file that comes in between is seen.
            self.watch = self.watch_directory(inotify);
        }
        match try_connect(&self.socket) {
            Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => true,
            Err(Errno::NOENT | Errno::NOTDIR) if self.watch.is_some() => {
                self.again_us = None;
                false
            }
            Err(_) => {
                self.again_us = Some(now_us + self.pause_us);
                self.pause_us = (self.pause_us * 2).min(LONGEST_PAUSE);
                false
            }
        }
    }

    fn watch_directory(&self, inotify: &OwnedFd) -> Option<i32> {
        let directory = self.socket.parent()?;
        // As containerd makes its own: to be passed through by all, to be listed by root.
        let _ = DirBuilder::new().recursive(true).mode(0o711).create(directory);
        let events = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(inotify, directory, events).ok()
    }
}

/// A connection is closed at once: daemons are used to that.
fn try_connect(path: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{bind, listen};
    use std::{fs, os::unix::net::UnixListener};

    fn unbound() -> OwnedFd {
        socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn a_socket_counts_when_somebody_listens_not_when_its_file_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/x/x.sock");
        let mut watch = SocketWatch::new().unwrap();
        watch.await_socket("x", &path, 0);
        assert_eq!(watch.look(0), [""; 0]);
        assert!(path.parent().unwrap().is_dir());
        assert_eq!(watch.next_deadline_us(), None, "nothing to ask before the file is there");
        let socket = unbound();
        bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        assert_eq!(watch.look(10), [""; 0]);
        let mut now = watch.next_deadline_us().unwrap();
        for _ in 0..20 {
            assert_eq!(watch.look(now), [""; 0]);
            let next = watch.next_deadline_us().unwrap();
            assert!((FIRST_PAUSE..=LONGEST_PAUSE).contains(&(next - now)));
            now = next;
        }
        listen(&socket, 1).unwrap();
        assert_eq!(watch.look(now), ["x"]);
        assert_eq!(watch.next_deadline_us(), None);
        assert_eq!(watch.look(now + 1), [""; 0]);
    }

    #[test]
    fn a_stale_socket_a_new_directory_and_a_full_queue() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d/x.sock");
        fs::create_dir(dir.path().join("d")).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        let mut watch = SocketWatch::new().unwrap();
        watch.await_socket("x", &path, 0);
        assert_eq!(watch.look(0), [""; 0]);
        fs::remove_dir_all(dir.path().join("d")).unwrap();
        assert_eq!(watch.look(FIRST_PAUSE), [""; 0]);
        // The removal is seen, the directory is made again and watched.
        for now in 0..3 {
            watch.look(LONGEST_PAUSE * now);
        }
        let socket = unbound();
        bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        listen(&socket, 0).unwrap();
        let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert_eq!(watch.look(LONGEST_PAUSE * 3), ["x"], "a full queue is a queue");
    }

    #[test]
    fn what_is_forgotten_is_not_reported() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = SocketWatch::new().unwrap();
        for name in ["x", "y"] {
            watch.await_socket(name, &dir.path().join(name), 0);
        }
        watch.look(0);
        watch.forget("x");
        let _both = ["x", "y"].map(|name| UnixListener::bind(dir.path().join(name)).unwrap());
        assert_eq!(watch.look(1), ["y"]);
    }
}
