//! A loopback HTTP server that misbehaves on demand.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// One request: its path, and the first byte that it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) start: Option<u64>,
}

/// What the server does with a request.
pub(crate) enum Reply {
    /// Sends the body correctly, with ranges.
    Good(Vec<u8>),
    /// Sends the whole body and ignores a range.
    IgnoringRange(Vec<u8>),
    /// Sends these bytes as the complete answer, then closes the connection.
    Raw(Vec<u8>),
    /// Announces this length, but closes the connection after fewer bytes.
    Cut(Vec<u8>, usize),
    /// Sends the body slowly, byte by byte.
    Drip(Vec<u8>, Duration),
    /// Sends these bytes as the complete answer, slowly, byte by byte.
    DripAll(Vec<u8>, Duration),
}

/// The server; its threads end with the test process.
pub(crate) struct Server {
    pub(crate) base: String,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (reply, seen) = (Arc::new(reply), Arc::clone(&log));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (reply, seen) = (Arc::clone(&reply), Arc::clone(&seen));
                thread::spawn(move || serve(stream.unwrap(), &*reply, &seen));
            }
        });
        Self { base, log }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, reply: &dyn Fn(&Request) -> Reply, log: &Mutex<Vec<Request>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let mut start = None;
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some((key, value)) = line.split_once(": bytes=")
            && key.eq_ignore_ascii_case("range")
        {
            start = Some(value.trim_end_matches('-').parse().unwrap());
        }
    }
    let request = Request { path: first.split(' ').nth(1).unwrap().to_owned(), start };
    log.lock().unwrap().push(request.clone());
    // Writing fails when the client closes the connection. That is no error here.
    let _ = answer(stream, &request, reply(&request));
}

fn head(status: &str, len: usize, extra: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {len}\r\nConnection: close\r\n{extra}\r\n"
    )
}

fn answer(mut out: TcpStream, request: &Request, reply: Reply) -> std::io::Result<()> {
    let from = |body: &[u8]| usize::try_from(request.start.unwrap_or(0)).unwrap().min(body.len());
    match reply {
        Reply::Good(body) => {
            let start = from(&body);
            let (status, range) = match request.start {
                Some(_) => (
                    "206 Partial Content",
                    format!("Content-Range: bytes {start}-{}/{}\r\n", body.len() - 1, body.len()),
                ),
                None => ("200 OK", String::new()),
            };
            out.write_all(head(status, body.len() - start, &range).as_bytes())?;
            out.write_all(&body[start..])
        }
        Reply::IgnoringRange(body) => {
            out.write_all(head("200 OK", body.len(), "").as_bytes())?;
            out.write_all(&body)
        }
        Reply::Raw(bytes) => out.write_all(&bytes),
        Reply::Cut(body, sent) => {
            let start = from(&body);
            let (status, range) = match request.start {
                Some(_) => (
                    "206 Partial Content",
                    format!("Content-Range: bytes {start}-{}/{}\r\n", body.len() - 1, body.len()),
                ),
                None => ("200 OK", String::new()),
            };
            out.write_all(head(status, body.len() - start, &range).as_bytes())?;
            out.write_all(&body[start..body.len().min(start + sent)])
        }
        Reply::Drip(body, pause) => {
            out.write_all(head("200 OK", body.len(), "").as_bytes())?;
            drip(&mut out, &body, pause)
        }
        Reply::DripAll(bytes, pause) => drip(&mut out, &bytes, pause),
    }
}

fn drip(out: &mut TcpStream, bytes: &[u8], pause: Duration) -> std::io::Result<()> {
    bytes.iter().try_for_each(|byte| {
        thread::sleep(pause);
        out.write_all(&[*byte])
    })
}

/// An answer with this status and a body of this content type.
pub(crate) fn page(status: &str, kind: &str, body: &str) -> Reply {
    Reply::Raw(
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes(),
    )
}
