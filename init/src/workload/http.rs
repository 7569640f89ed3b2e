//! A small HTTP/1.1 client (RFC 9112) over a Unix socket: one request a connection, answers of a bounded size.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

/// Longest head of an answer, in bytes.
const MAX_HEAD: u64 = 64 * 1024;
/// Longest body of an answer, in bytes.
const MAX_BODY: u64 = 16 << 20;
/// How long an engine may be silent: it is when it unpacks a large image.
const SILENCE: Duration = Duration::from_secs(300);

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// 200, ...
    pub status: u16,
    /// Decoded.
    pub body: Vec<u8>,
}

/// What is sent along.
#[derive(Debug)]
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// JSON.
    Json(&'a [u8]),
    /// A tar archive of so many bytes.
    Tar(&'a mut File, u64),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nobody listens.
    #[error("cannot connect to {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke, or was silent for too long.
    #[error("connection broken: {0}")]
    Broken(#[source] io::Error),
    /// It is not HTTP.
    #[error("expected {wanted}, found {found:?}")]
    Protocol {
        /// What should have come.
        wanted: &'static str,
        /// What came.
        found: String,
    },
    /// It is longer than anything that is asked for.
    #[error("expected an answer of {MAX_BODY} bytes at most, found more")]
    TooLong,
}

/// Asks, and reads the answer to its end. `target` is path and query, encoded already.
///
/// # Errors
/// No connection, no HTTP, too much of it. A status of failure is no error here.
pub fn request(socket: &Path, method: &str, target: &str, body: Body<'_>) -> Result<Response, HttpError> {
    let connect = |source| HttpError::Connect { path: socket.to_owned(), source };
    let stream = UnixStream::connect(socket).map_err(connect)?;
    stream.set_read_timeout(Some(SILENCE)).map_err(connect)?;
    stream.set_write_timeout(Some(SILENCE)).map_err(connect)?;
    let sent = send(&stream, method, target, body);
    // A server that refuses a large body answers and closes before it has read all of it.
    match (receive(&mut BufReader::new(&stream)), sent) {
        (Ok(response), _) => Ok(response),
        (Err(_), Err(error)) => Err(HttpError::Broken(error)),
        (Err(error), Ok(())) => Err(error),
    }
}

fn send(mut stream: &UnixStream, method: &str, target: &str, body: Body<'_>) -> io::Result<()> {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n");
    match body {
        Body::Empty => stream.write_all(format!("{head}Content-Length: 0\r\n\r\n").as_bytes()),
        Body::Json(json) => {
            let kind = "Content-Type: application/json";
            stream.write_all(format!("{head}{kind}\r\nContent-Length: {}\r\n\r\n", json.len()).as_bytes())?;
            stream.write_all(json)
        }
        Body::Tar(tar, size) => {
            let kind = "Content-Type: application/x-tar";
            stream.write_all(format!("{head}{kind}\r\nContent-Length: {size}\r\n\r\n").as_bytes())?;
            let copied = io::copy(&mut tar.take(size), &mut stream)?;
            if copied == size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        }
    }
}

/// Reads one answer.
fn receive(stream: &mut impl BufRead) -> Result<Response, HttpError> {
    let mut head = stream.take(MAX_HEAD);
    let status_line = line(&mut head)?;
    let status = match status_line.split(' ').collect::<Vec<_>>()[..] {
        ["HTTP/1.1" | "HTTP/1.0", status, ..] if status.len() == 3 => status.parse().ok(),
        _ => None,
    };
    let Some(status) = status else {
        return Err(HttpError::Protocol { wanted: "a status line of HTTP/1.1", found: status_line });
    };
    let (mut length, mut chunked) = (None, false);
    loop {
        let field = line(&mut head)?;
        if field.is_empty() {
            break;
        }
        let Some((name, value)) = field.split_once(':') else {
            return Err(HttpError::Protocol { wanted: "a header field", found: field });
        };
        if name.eq_ignore_ascii_case("content-length") {
            let parsed = value.trim().parse::<u64>().ok();
            length = Some(parsed.ok_or(HttpError::Protocol { wanted: "a length", found: field })?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.trim().eq_ignore_ascii_case("chunked");
        }
    }
    let mut body = Vec::new();
    match (status, length) {
        (204 | 304, _) => {}
        _ if chunked => read_chunks(stream, &mut body)?,
        (_, Some(length)) => read_exactly(stream, length, &mut body)?,
        (_, None) => {
            stream.take(MAX_BODY + 1).read_to_end(&mut body).map_err(HttpError::Broken)?;
            if body.len() as u64 > MAX_BODY {
                return Err(HttpError::TooLong);
            }
        }
    }
    Ok(Response { status, body })
}

/// A line without its end.
fn line(stream: &mut impl BufRead) -> Result<String, HttpError> {
    let mut bytes = Vec::new();
    stream.take(MAX_HEAD).read_until(b'\n', &mut bytes).map_err(HttpError::Broken)?;
    match bytes.strip_suffix(b"\n").map(|text| text.strip_suffix(b"\r").unwrap_or(text)) {
        Some(text) => Ok(String::from_utf8_lossy(text).into_owned()),
        None => Err(HttpError::Protocol {
            wanted: "a line",
            found: String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned(),
        }),
    }
}

fn read_exactly(stream: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> Result<(), HttpError> {
    if length > MAX_BODY - body.len() as u64 {
        return Err(HttpError::TooLong);
    }
    let got = stream.take(length).read_to_end(body).map_err(HttpError::Broken)?;
    if got as u64 == length { Ok(()) } else { Err(HttpError::Broken(io::ErrorKind::UnexpectedEof.into())) }
}

/// RFC 9112, 7.1: size in hexadecimal, bytes, and so on, ended by a chunk of size 0 and a trailer.
fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> Result<(), HttpError> {
    loop {
        let size_line = line(stream)?;
        let digits = size_line.split(';').next().unwrap_or_default().trim();
        let Ok(size) = u64::from_str_radix(digits, 16) else {
            return Err(HttpError::Protocol { wanted: "the size of a chunk", found: size_line });
        };
        if size == 0 {
            while !line(stream)?.is_empty() {}
            return Ok(());
        }
        read_exactly(stream, size, body)?;
        let end = line(stream)?;
        if !end.is_empty() {
            return Err(HttpError::Protocol { wanted: "the end of a chunk", found: end });
        }
    }
}

/// Percent-encodes what is no part of a path's segment; `/` and `:` stay, as image names have them.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Response, HttpError> {
        receive(&mut text.as_bytes())
    }

    #[test]
    fn answers_of_every_framing() {
        for (text, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}tail", 200, "{}"),
            ("HTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n", 404, ""),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
            ("HTTP/1.1 304 \r\nContent-Length: 10\r\n\r\n", 304, ""),
            ("HTTP/1.0 500\r\n\r\nto the end", 500, "to the end"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
                200,
                "abc0123456789",
            ),
        ] {
            assert_eq!(parse(text).unwrap(), Response { status, body: body.into() }, "{text}");
        }
    }

    #[test]
    fn what_is_not_http_or_endless_is_an_error() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(70_000));
        for (text, words) in [
            ("", "expected a line"),
            ("SSH-2.0-x\r\n", "expected a status line"),
            ("HTTP/1.1 99999 x\r\n\r\n", "expected a status line"),
            ("HTTP/1.1 200 OK\r\nbroken\r\n\r\n", "expected a header field"),
            (&long, "expected a line"),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "expected a length"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "at most"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "connection broken"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "expected the size of a chunk"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", "at most"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "expected the end of a chunk"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text:.60}: {error}");
        }
        assert_eq!(encoded("registry.example.org:5000/a b:1?x"), "registry.example.org:5000/a%20b:1%3Fx");
    }
}
