//! A small HTTP/1.1 client (RFC 9112) over a Unix socket. One request per connection; the size of an answer is limited.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

/// Size limit of an answer's head (status line and header fields), in bytes.
const MAX_HEAD: u64 = 64 * 1024;
/// Limit for the number of header fields.
const MAX_FIELDS: usize = 100;
/// Number of bytes of an answer that an error message shows.
const SHOWN: usize = 80;
/// Characters that are percent-encoded in a target: all except unreserved ones (RFC 3986, 2.3), `/` and `:`. Image names contain `/`
/// and `:`, and docker expects them as they are.
const RESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':');

/// Limits for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest body, in bytes.
    pub body: u64,
    /// Time limit for each read and write: the engine may be silent for this time.
    pub silence: Duration,
}

/// An answer of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    /// HTTP status, e.g. 200.
    pub(crate) status: u16,
    /// The body, with its transfer encoding removed.
    pub(crate) body: Vec<u8>,
}

/// The body of a request.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    /// No body.
    Empty,
    /// A JSON document.
    Json(&'a [u8]),
    /// A tar archive and its size in bytes.
    Tar(&'a mut File, u64),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No program listens on the socket.
    #[error("cannot connect to {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The connection broke, or the server was silent longer than [`Limits::silence`].
    #[error("connection broken: {0}")]
    Broken(#[source] io::Error),
    /// The answer is not HTTP.
    #[error("expected {expected}, found {found:?}")]
    Protocol {
        /// The expected part of an HTTP answer.
        expected: &'static str,
        /// The beginning of the received bytes.
        found: String,
    },
    /// The body is longer than [`Limits::body`].
    #[error("expected an answer of {limit} bytes at most, found more")]
    TooLong {
        /// The limit, in bytes.
        limit: u64,
    },
}

impl HttpError {
    pub(crate) fn protocol(expected: &'static str, found: &[u8]) -> Self {
        let found = String::from_utf8_lossy(&found[..found.len().min(SHOWN)]).into_owned();
        Self::Protocol { expected, found }
    }
}

/// Sends a request and reads the whole answer. `target` is path and query, already encoded (see [`encoded`]).
///
/// # Errors
/// When the connection fails, or the answer is not HTTP or too long. An HTTP status of 400 or more is not an error here.
pub(crate) fn request(
    socket: &Path,
    limits: Limits,
    (method, target): (&str, &str),
    body: Body<'_>,
) -> Result<Response, HttpError> {
    let stream = connect(socket, limits)?;
    let sent = send(&stream, method, target, body);
    // A server that refuses a large body answers and closes the connection before it has read the whole body. So prefer the answer to
    // the error of sending.
    match (receive(&mut BufReader::new(&stream), limits.body), sent) {
        (Ok(response), _) => Ok(response),
        (Err(_), Err(error)) => Err(HttpError::Broken(error)),
        (Err(error), Ok(())) => Err(error),
    }
}

pub(crate) fn connect(socket: &Path, limits: Limits) -> Result<UnixStream, HttpError> {
    let failed = |source| HttpError::Connect { path: socket.to_owned(), source };
    let stream = UnixStream::connect(socket).map_err(failed)?;
    stream.set_read_timeout(Some(limits.silence)).map_err(failed)?;
    stream.set_write_timeout(Some(limits.silence)).map_err(failed)?;
    Ok(stream)
}

pub(crate) fn send(mut stream: &UnixStream, method: &str, target: &str, body: Body<'_>) -> io::Result<()> {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
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

/// How the client finds the end of a body (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Chunks,
    Length(u64),
    ToTheEnd,
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    /// Content-Type.
    pub(crate) kind: Option<String>,
}

fn receive(stream: &mut impl BufRead, limit: u64) -> Result<Response, HttpError> {
    let Head { status, framing, .. } = head(&read_head(stream)?)?;
    let body = read_body(stream, framing, limit)?;
    Ok(Response { status, body })
}

pub(crate) fn read_body(stream: &mut impl BufRead, framing: Framing, limit: u64) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    match framing {
        Framing::None => {}
        Framing::Chunks => read_chunks(stream, limit, &mut body)?,
        Framing::Length(length) => read_exactly(stream, length, limit, &mut body)?,
        Framing::ToTheEnd => {
            stream.take(limit.saturating_add(1)).read_to_end(&mut body).map_err(HttpError::Broken)?;
            if body.len() as u64 > limit {
                return Err(HttpError::TooLong { limit });
            }
        }
    }
    Ok(body)
}

/// Reads the head: the bytes up to and including the empty line.
pub(crate) fn read_head(stream: &mut impl BufRead) -> Result<Vec<u8>, HttpError> {
    let (mut bytes, mut stream) = (Vec::new(), stream.take(MAX_HEAD));
    loop {
        let start = bytes.len();
        stream.read_until(b'\n', &mut bytes).map_err(HttpError::Broken)?;
        match &bytes[start..] {
            b"\r\n" | b"\n" => return Ok(bytes),
            line if line.ends_with(b"\n") => {}
            _ => return Err(HttpError::protocol("the head of an HTTP answer", &bytes)),
        }
    }
}

pub(crate) fn head(bytes: &[u8]) -> Result<Head, HttpError> {
    let bad = |expected| HttpError::protocol(expected, bytes);
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut answer = httparse::Response::new(&mut fields);
    let status = match answer.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => answer.code,
        Ok(httparse::Status::Partial) => None,
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => return Err(bad("header fields")),
        Err(httparse::Error::TooManyHeaders) => return Err(bad("at most 100 header fields")),
        Err(_) => None,
    };
    let status = status.ok_or_else(|| bad("a status line of HTTP/1.1"))?;
    let (mut length, mut chunked, mut kind) = (None, false, None);
    for field in answer.headers {
        let value = String::from_utf8_lossy(field.value);
        if field.name.eq_ignore_ascii_case("content-length") {
            let parsed: Option<u64> = value.trim().parse().ok();
            length = Some(parsed.ok_or_else(|| HttpError::protocol("a length", field.value))?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.trim().eq_ignore_ascii_case("chunked");
        } else if field.name.eq_ignore_ascii_case("content-type") {
            kind = Some(value.trim().to_owned());
        }
    }
    let framing = match (status, length) {
        (204 | 304, _) => Framing::None,
        _ if chunked => Framing::Chunks,
        (_, Some(length)) => Framing::Length(length),
        (_, None) => Framing::ToTheEnd,
    };
    Ok(Head { status, framing, kind })
}

fn read_exactly(stream: &mut impl BufRead, length: u64, limit: u64, body: &mut Vec<u8>) -> Result<(), HttpError> {
    if length > limit.saturating_sub(body.len() as u64) {
        return Err(HttpError::TooLong { limit });
    }
    let got = stream.take(length).read_to_end(body).map_err(HttpError::Broken)?;
    if got as u64 == length { Ok(()) } else { Err(HttpError::Broken(io::ErrorKind::UnexpectedEof.into())) }
}

/// RFC 9112, 7.1: each chunk is its size in hexadecimal and that number of bytes. A chunk of size 0 and a trailer end the body.
fn read_chunks(stream: &mut impl BufRead, limit: u64, body: &mut Vec<u8>) -> Result<(), HttpError> {
    loop {
        let size = chunk_size(stream)?;
        if size == 0 {
            return skip_trailer(stream);
        }
        read_exactly(stream, size, limit, body)?;
        end_of_chunk(stream)?;
    }
}

pub(crate) fn chunk_size(stream: &mut impl BufRead) -> Result<u64, HttpError> {
    let line = line(stream)?;
    match httparse::parse_chunk_size(&line) {
        Ok(httparse::Status::Complete((_, size))) => Ok(size),
        _ => Err(HttpError::protocol("the size of a chunk", &line)),
    }
}

pub(crate) fn end_of_chunk(stream: &mut impl BufRead) -> Result<(), HttpError> {
    let end = line(stream)?;
    if is_empty(&end) { Ok(()) } else { Err(HttpError::protocol("the end of a chunk", &end)) }
}

fn skip_trailer(stream: &mut impl BufRead) -> Result<(), HttpError> {
    let mut trailer = stream.take(MAX_HEAD);
    while !is_empty(&line(&mut trailer)?) {}
    Ok(())
}

/// Reads a line, including its line break.
fn line(stream: &mut impl BufRead) -> Result<Vec<u8>, HttpError> {
    let mut bytes = Vec::new();
    stream.take(MAX_HEAD).read_until(b'\n', &mut bytes).map_err(HttpError::Broken)?;
    if bytes.ends_with(b"\n") { Ok(bytes) } else { Err(HttpError::protocol("a line", &bytes)) }
}

fn is_empty(line: &[u8]) -> bool {
    matches!(line, b"\r\n" | b"\n")
}

/// Percent-encodes a part of a target. `/` and `:` are kept, because image names contain them.
#[must_use]
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1000;

    fn parse(text: &str) -> Result<Response, HttpError> {
        receive(&mut text.as_bytes(), LIMIT)
    }

    #[test]
    fn every_framing_is_read_to_its_end() {
        for (text, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}tail", 200, "{}"),
            ("HTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n", 404, ""),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
            ("HTTP/1.1 304 \r\nContent-Length: 10\r\n\r\n", 304, ""),
            ("HTTP/1.0 500\r\n\r\nto the end", 500, "to the end"),
            ("HTTP/1.1 200 OK\nContent-Length: 1\n\nx", 200, "x"),
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
    fn an_answer_that_is_not_http_or_too_long_is_an_error() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(70_000));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(MAX_FIELDS + 1));
        let chunked = |chunks: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let endless = chunked(&format!("0\r\n{}", "X: y\r\n".repeat(20_000)));
        for (text, words) in [
            ("", "expected the head of an HTTP answer"),
            ("HTTP/1.1 200 OK\r\n", "expected the head of an HTTP answer"),
            (&long, "expected the head of an HTTP answer"),
            ("SSH-2.0-x\r\n\r\n", "expected a status line"),
            ("HTTP/1.1 99999 x\r\n\r\n", "expected a status line"),
            ("HTTP/1.1 200 OK\r\nbroken\r\n\r\n", "expected header fields"),
            (&many, "expected at most 100 header fields"),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "expected a length"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", "expected an answer of 1000 bytes at most"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "at most"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "connection broken"),
            (&format!("HTTP/1.1 200 OK\r\n\r\n{}", "y".repeat(1001)), "at most"),
            (&chunked("xyz\r\n"), "expected the size of a chunk"),
            (&chunked("ffffffffffffffff\r\n"), "at most"),
            (&chunked("1\r\nab\r\n"), "expected the end of a chunk"),
            (&chunked(&format!("3e8\r\n{}\r\n1\r\nx\r\n0\r\n\r\n", "y".repeat(1000))), "at most"),
            (&endless, "expected a line"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text:.60}: {error}");
        }
        assert_eq!(encoded("registry.example.org:5000/a b:1?x"), "registry.example.org:5000/a%20b:1%3Fx");
    }
}
