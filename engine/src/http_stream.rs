//! Answers that are read while they arrive, such as a log that is followed.

use super::http::{
    Body, Framing, Head, HttpError, Limits, Response, chunk_size, connect, end_of_chunk, head, read_body, read_head,
    send,
};
use std::{
    io::{self, BufRead, BufReader, Read},
    os::unix::net::UnixStream,
    path::Path,
};

/// The answer to a request.
pub(crate) enum Stream {
    /// Status 200.
    Open {
        /// The body.
        reader: Box<dyn BufRead>,
        /// Content-Type.
        kind: Option<String>,
    },
    /// Another status.
    Refused(Response),
}

/// Sends a GET request and reads the head of the answer.
///
/// # Errors
/// See [`super::http::request`].
pub(crate) fn open(socket: &Path, limits: Limits, target: &str) -> Result<Stream, HttpError> {
    let stream = connect(socket, limits)?;
    send(&stream, "GET", target, Body::Empty).map_err(HttpError::Broken)?;
    let mut reader = BufReader::new(stream);
    let Head { status, framing, kind } = head(&read_head(&mut reader)?)?;
    if status != 200 {
        let body = read_body(&mut reader, framing, limits.body)?;
        return Ok(Stream::Refused(Response { status, body }));
    }
    let reader: Box<dyn BufRead> = match framing {
        Framing::None => Box::new(io::empty()),
        Framing::Chunks => Box::new(BufReader::new(Chunks { stream: reader, left: 0, is_over: false })),
        Framing::Length(length) => Box::new(reader.take(length)),
        Framing::ToTheEnd => Box::new(reader),
    };
    Ok(Stream::Open { reader, kind })
}

/// The content of the chunks.
struct Chunks {
    stream: BufReader<UnixStream>,
    /// Bytes of the chunk that are not read yet.
    left: u64,
    is_over: bool,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.is_over {
            self.left = chunk_size(&mut self.stream).map_err(io_error)?;
            self.is_over = self.left == 0;
        }
        if self.is_over || buffer.is_empty() {
            return Ok(0);
        }
        let count = self.stream.by_ref().take(self.left).read(buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        if self.left == 0 {
            end_of_chunk(&mut self.stream).map_err(io_error)?;
        }
        Ok(count)
    }
}

fn io_error(error: HttpError) -> io::Error {
    match error {
        HttpError::Broken(error) => error,
        other => io::Error::other(other.to_string()),
    }
}
