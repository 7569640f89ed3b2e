//! A web server for a release repository, on 127.0.0.1. A test can switch on faults. A guest reaches the server at [`GUEST_SIDE`].

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

/// In QEMU's user network, this address leads to 127.0.0.1 of the computer that runs QEMU.
const GUEST_SIDE: &str = "10.0.2.2";

/// Faults of the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// After this number of bytes the server breaks every connection and answers no more requests.
    pub(crate) dies_after: Option<u64>,
}

/// A running server. It runs until the test's process ends.
#[derive(Clone)]
pub(crate) struct Server {
    port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    folder: PathBuf,
    faults: Faults,
    sent: u64,
    refused: u32,
}

impl Server {
    pub(crate) fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State { folder: folder.to_owned(), faults: Faults::default(), sent: 0, refused: 0 };
        let server = Self { port, state: Arc::new(Mutex::new(state)) };
        let own = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                // The guest may break a connection at any time, so an error is ignored.
                thread::spawn(move || drop(own.serve(&stream)));
            }
        });
        server
    }

    /// The repository's URL as a guest sees it.
    pub(crate) fn url(&self) -> String {
        format!("http://{GUEST_SIDE}:{}", self.port)
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        let mut state = self.state();
        (state.faults, state.sent, state.refused) = (faults, 0, 0);
    }

    /// Number of file bytes sent since the last [`Self::set_faults`].
    pub(crate) fn sent(&self) -> u64 {
        self.state().sent
    }

    /// Number of requests that got no answer because the server was dead ([`Faults::dies_after`]).
    pub(crate) fn refused(&self) -> u32 {
        self.state().refused
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_dead(&self) -> bool {
        let state = self.state();
        state.faults.dies_after.is_some_and(|limit| state.sent >= limit)
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let (mut path, mut range) = (None, None);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                let line = line.trim_end();
                if line.is_empty() {
                    break;
                }
                if let Some(rest) = line.strip_prefix("GET ") {
                    path = rest.split(' ').next().map(|path| path.trim_start_matches('/').replace("%7E", "~"));
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                    let (first, last) = value.split_once('-').unwrap_or_default();
                    range = first.parse::<u64>().ok().map(|first| (first, last.parse::<u64>().ok()));
                }
            }
            if self.is_dead() {
                self.state().refused += 1;
                return Ok(());
            }
            self.answer(stream, &path.unwrap_or_default(), range)?;
        }
    }

    fn answer(&self, mut stream: &TcpStream, path: &str, range: Option<(u64, Option<u64>)>) -> io::Result<()> {
        let folder = self.state().folder.clone();
        let Ok(mut file) = File::open(folder.join(path)) else {
            return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        };
        let size = file.metadata()?.len();
        let (first, last, status) = match range {
            Some((first, _)) if first >= size => {
                let head = format!("HTTP/1.1 416 No\r\nContent-Range: bytes */{size}\r\nContent-Length: 0\r\n\r\n");
                return stream.write_all(head.as_bytes());
            }
            Some((first, last)) => (first, last.unwrap_or(size - 1).min(size - 1), "206 Partial Content"),
            None => (0, size.saturating_sub(1), "200 OK"),
        };
        let mut left = if size == 0 { 0 } else { last + 1 - first };
        let of = if status.starts_with("206") {
            format!("Content-Range: bytes {first}-{last}/{size}\r\n")
        } else {
            String::new()
        };
        stream.write_all(format!("HTTP/1.1 {status}\r\n{of}Content-Length: {left}\r\n\r\n").as_bytes())?;
        file.seek(SeekFrom::Start(first))?;
        let mut buffer = vec![0; 1 << 14];
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = file.read(&mut buffer[..room])?;
            self.state().sent += read as u64;
            if self.is_dead() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            stream.write_all(&buffer[..read])?;
            left -= read as u64;
        }
        Ok(())
    }
}
