//! Readiness by socket: a service is ready when it listens on its Unix socket.
//!
//! inotify(7) reports when the file of the socket appears. Then a non-blocking connect(2) checks whether the service listens. The check is
//! repeated only between bind(2), which makes the file, and listen(2) of the service.

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

/// First pause between two checks of a socket that does not listen yet, in microseconds. The pause is doubled each time, up to the
/// longest pause.
const FIRST_PAUSE: u64 = 2_000;
const LONGEST_PAUSE: u64 = 100_000;

/// The sockets of services that are starting.
#[derive(Debug)]
pub(super) struct SocketWatch {
    inotify: OwnedFd,
    awaited: BTreeMap<String, Awaited>,
}

#[derive(Debug)]
struct Awaited {
    socket: PathBuf,
    /// inotify watch of the socket's directory. `None` when the directory could not be watched.
    watch: Option<i32>,
    pause_us: u64,
    /// When to check next. `None`: when the file appears.
    again_us: Option<u64>,
}

impl SocketWatch {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?, awaited: BTreeMap::new() })
    }

    /// Starts to watch for the socket of a service. Call it before the service is started, so that no event is missed.
    pub(super) fn await_socket(&mut self, name: &str, socket: &Path, now_us: u64) {
        let awaited = Awaited { socket: socket.to_owned(), watch: None, pause_us: FIRST_PAUSE, again_us: Some(now_us) };
        self.awaited.insert(name.to_owned(), awaited);
    }

    /// Stops watching, because the service has ended.
    pub(super) fn forget(&mut self, name: &str) {
        let watch = self.awaited.remove(name).and_then(|awaited| awaited.watch);
        // Sockets in the same directory share one watch.
        if let Some(watch) = watch.filter(|_| !self.awaited.values().any(|other| other.watch == watch)) {
            let _ = inotify::remove_watch(&self.inotify, watch);
        }
    }

    /// When to check again, if no file appears before.
    pub(super) fn next_deadline_us(&self) -> Option<u64> {
        self.awaited.values().filter_map(|awaited| awaited.again_us).min()
    }

    /// Reads the events and checks the sockets that are due. Returns the services whose sockets listen.
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

    /// Every event in a socket's directory causes a check. Such events are rare.
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
                    // IGNORED: the directory was removed. The next check makes it again and watches it.
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
    /// Whether the socket listens. If not, sets when to check again.
    fn ask(&mut self, inotify: &OwnedFd, now_us: u64) -> bool {
        if self.watch.is_none() {
            // Watch the directory before the check. Otherwise a file that appears in between would be missed.
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
        // The mode that containerd uses: every user may pass through the directory, only the superuser may list it.
        let _ = DirBuilder::new().recursive(true).mode(0o711).create(directory);
        let events = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(inotify, directory, events).ok()
    }
}

/// Connects to the socket and closes the connection at once. Daemons tolerate that.
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
    fn a_socket_is_ready_when_it_listens_not_when_its_file_exists() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/x/x.sock");
        let mut watch = SocketWatch::new().unwrap();
        watch.await_socket("x", &path, 0);
        assert_eq!(watch.look(0), [""; 0]);
        assert!(path.parent().unwrap().is_dir());
        assert_eq!(watch.next_deadline_us(), None, "no check before the file exists");
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
    fn a_stale_socket_is_not_ready_a_new_directory_is_watched_and_a_full_queue_is_ready() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d/x.sock");
        fs::create_dir(dir.path().join("d")).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        let mut watch = SocketWatch::new().unwrap();
        watch.await_socket("x", &path, 0);
        assert_eq!(watch.look(0), [""; 0]);
        fs::remove_dir_all(dir.path().join("d")).unwrap();
        assert_eq!(watch.look(FIRST_PAUSE), [""; 0]);
        // The removal is detected. The directory is made again and watched.
        for now in 0..3 {
            watch.look(LONGEST_PAUSE * now);
        }
        let socket = unbound();
        bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        listen(&socket, 0).unwrap();
        let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert_eq!(watch.look(LONGEST_PAUSE * 3), ["x"], "a socket with a full queue listens");
    }

    #[test]
    fn forgotten_sockets_are_not_reported() {
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
