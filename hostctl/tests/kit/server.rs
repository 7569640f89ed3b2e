//! A web server on the loopback interface that serves a folder, with faults on request.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
}

/// The fault with which a request is answered.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The connection is closed without an answer.
    Hangup,
    /// The connection is closed after this many bytes of the body.
    Cut(usize),
    /// The range is ignored.
    NoRanges,
    /// Another status, with a short body.
    Status(u16),
    /// One byte at a time, with this pause.
    Drip(Duration),
    /// This `Content-Range` instead of the right one.
    ContentRange(&'static str),
    /// Endless bytes without `Content-Length`.
    Endless,
    /// Zeros instead of the right bytes.
    Lie,
}

type Faults = dyn Fn(&Request, usize) -> Fault + Send + Sync;

/// The server. Its threads end with the test process.
pub(crate) struct Server {
    pub(crate) base: String,
    log: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn good(folder: PathBuf) -> Self {
        Self::start(folder, |_, _| Fault::None)
    }

    /// `faults` receives each request and the number of requests before it.
    pub(crate) fn start(folder: PathBuf, faults: impl Fn(&Request, usize) -> Fault + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), folder, faults)
    }

    pub(crate) fn on(
        listener: TcpListener,
        folder: PathBuf,
        faults: impl Fn(&Request, usize) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let base = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (faults, seen, count): (Arc<Faults>, _, _) = (Arc::new(faults), Arc::clone(&log), Arc::clone(&connections));
        thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                let (faults, seen, folder) = (Arc::clone(&faults), Arc::clone(&seen), folder.clone());
                // A client may close the connection at any time.
                thread::spawn(move || serve(&stream.unwrap(), &folder, &*faults, &seen));
            }
        });
        Self { base, log, connections }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Serves one connection until its end, in this thread.
pub(crate) fn serve_once(stream: &TcpStream, folder: &std::path::Path, faults: &Faults) {
    serve(stream, folder, faults, &Mutex::default());
}

fn serve(stream: &TcpStream, folder: &std::path::Path, faults: &Faults, log: &Mutex<Vec<Request>>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    loop {
        let first = lines.next()?;
        let mut range = None;
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            if let Some((key, value)) = line.split_once(": ")
                && key.eq_ignore_ascii_case("range")
            {
                range = Some(value.to_owned());
            }
        }
        let request = Request { path: first.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned(), range };
        let before = {
            let mut log = log.lock().unwrap();
            log.push(request.clone());
            log.len() - 1
        };
        let fault = faults(&request, before);
        if !answer(stream, folder, &request, &fault).ok()? {
            return None;
        }
    }
}

/// Answers a request. Returns whether the connection stays open.
fn answer(mut out: &TcpStream, folder: &std::path::Path, request: &Request, fault: &Fault) -> std::io::Result<bool> {
    if let Fault::Hangup = fault {
        return Ok(false);
    }
    let status = if let Fault::Status(status) = fault { Some(*status) } else { None };
    let (Some(mut body), None) = (fs::read(folder.join(&request.path)).ok(), status) else {
        let status = status.unwrap_or(404);
        out.write_all(format!("HTTP/1.1 {status} No\r\nContent-Length: 3\r\n\r\nno\n").as_bytes())?;
        return Ok(true);
    };
    if let Fault::Lie = fault {
        body.fill(0);
    }
    let whole = body.len();
    let part = match (&request.range, fault) {
        (Some(range), fault) if !matches!(fault, Fault::NoRanges) => {
            let (from, to) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let from: usize = from.parse().unwrap();
            let to = to.parse().unwrap_or(whole - 1).min(whole - 1);
            Some((from, to))
        }
        _ => None,
    };
    let (from, to) = part.unwrap_or((0, whole.saturating_sub(1)));
    let body = if whole == 0 { &body[..] } else { &body[from..=to] };
    let mut head = match part {
        Some(_) => "HTTP/1.1 206 Partial Content\r\n".to_owned(),
        None => "HTTP/1.1 200 OK\r\n".to_owned(),
    };
    if part.is_some() {
        let true_range = format!("bytes {from}-{to}/{whole}");
        let named = if let Fault::ContentRange(wrong) = fault { wrong } else { true_range.as_str() };
        head += &format!("Content-Range: {named}\r\n");
    }
    if let Fault::Endless = fault {
        out.write_all((head + "Connection: close\r\n\r\n").as_bytes())?;
        loop {
            out.write_all(&[b' '; 1 << 16])?;
        }
    }
    out.write_all(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes())?;
    match fault {
        Fault::Cut(sent) => {
            out.write_all(&body[..body.len().min(*sent)])?;
            return Ok(false);
        }
        Fault::Drip(pause) => {
            for byte in body {
                thread::sleep(*pause);
                out.write_all(&[*byte])?;
            }
        }
        _ => out.write_all(body)?,
    }
    Ok(true)
}
