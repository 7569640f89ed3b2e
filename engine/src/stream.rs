//! The body of an answer that is read piece by piece, as long as the server sends it.

use super::http::{Framing, HttpError, chunk_size};
use std::{
    io::{self, BufRead, BufReader, Read},
    os::unix::net::UnixStream,
};

/// Longest line that begins or ends a chunk, in bytes.
const LONGEST_LINE: usize = 1024;

/// A body.
#[derive(Debug)]
pub(crate) struct BodyStream<R = UnixStream> {
    reader: BufReader<R>,
    framing: Framing,
    /// Bytes that are left of the present chunk, or of the body.
    left: u64,
    /// Whether a line break follows the present chunk.
    in_chunk: bool,
    /// The beginning of a line, if the server was silent in its middle.
    partial: Vec<u8>,
}

/// What [`BodyStream::next`] has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// This number of bytes.
    Bytes(usize),
    /// Nothing, for as long as the time limit of the connection.
    Silence,
    /// The end of the body.
    End,
}

impl<R: Read> BodyStream<R> {
    /// A body after its head, which `reader` has read.
    pub(crate) fn new(reader: BufReader<R>, framing: Framing) -> Self {
        let left = if let Framing::Length(length) = framing { length } else { 0 };
        Self { reader, framing, left, in_chunk: false, partial: Vec::new() }
    }

    /// Reads the next bytes.
    ///
    /// # Errors
    /// The connection has broken, or the body is not HTTP.
    pub(crate) fn next(&mut self, buffer: &mut [u8]) -> Result<Piece, HttpError> {
        let size = match self.framing {
            Framing::None => return Ok(Piece::End),
            Framing::ToTheEnd => buffer.len(),
            Framing::Length(_) if self.left == 0 => return Ok(Piece::End),
            Framing::Length(_) => self.room(buffer),
            Framing::Chunks => {
                if self.left == 0 {
                    match self.next_chunk()? {
                        Some(0) => {
                            self.framing = Framing::None;
                            return Ok(Piece::End);
                        }
                        Some(size) => self.left = size,
                        None => return Ok(Piece::Silence),
                    }
                }
                self.room(buffer)
            }
        };
        match self.reader.read(&mut buffer[..size]) {
            Ok(0) if self.framing == Framing::ToTheEnd => Ok(Piece::End),
            Ok(0) => Err(HttpError::Broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                self.left = self.left.saturating_sub(count as u64);
                Ok(Piece::Bytes(count))
            }
            Err(error) if is_silence(&error) => Ok(Piece::Silence),
            Err(error) => Err(HttpError::Broken(error)),
        }
    }

    fn room(&self, buffer: &[u8]) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len())
    }

    /// The size of the next chunk. `None` if the server is silent.
    fn next_chunk(&mut self) -> Result<Option<u64>, HttpError> {
        if self.in_chunk {
            let Some(end) = self.line()? else { return Ok(None) };
            if !matches!(&*end, b"\r\n" | b"\n") {
                return Err(HttpError::protocol("the end of a chunk", &end));
            }
            self.in_chunk = false;
        }
        let Some(line) = self.line()? else { return Ok(None) };
        let size = chunk_size(&line)?;
        self.in_chunk = true;
        Ok(Some(size))
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        let room = (LONGEST_LINE - self.partial.len()) as u64;
        match (&mut self.reader).take(room).read_until(b'\n', &mut self.partial) {
            Err(error) if is_silence(&error) => Ok(None),
            Err(error) => Err(HttpError::Broken(error)),
            Ok(_) if self.partial.ends_with(b"\n") => Ok(Some(std::mem::take(&mut self.partial))),
            Ok(_) => Err(HttpError::protocol("a line", &self.partial)),
        }
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A server that is silent between two of these pieces.
    struct Slow(VecDeque<&'static [u8]>, bool);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 && !self.0.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let Some(piece) = self.0.pop_front() else { return Ok(0) };
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    fn read(pieces: &[&'static [u8]], framing: Framing) -> Result<(String, usize), HttpError> {
        let slow = Slow(pieces.iter().copied().collect(), false);
        let mut body = BodyStream::new(BufReader::new(slow), framing);
        let (mut text, mut silent, mut buffer) = (Vec::new(), 0, [0; 4]);
        loop {
            match body.next(&mut buffer)? {
                Piece::Bytes(count) => text.extend(&buffer[..count]),
                Piece::Silence => silent += 1,
                Piece::End => return Ok((String::from_utf8(text).unwrap(), silent)),
            }
        }
    }

    #[test]
    fn a_body_is_read_to_its_end_also_when_the_server_is_silent_in_the_middle_of_a_line() {
        let chunks: &[&[u8]] = &[b"3\r\nab", b"c", b"\r", b"\nA\r", b"\n0123456789\r\n0\r\n", b"\r\n"];
        assert_eq!(read(chunks, Framing::Chunks).unwrap().0, "abc0123456789");
        assert!(read(chunks, Framing::Chunks).unwrap().1 > 3);
        assert_eq!(read(&[b"abc", b"defg"], Framing::Length(5)).unwrap().0, "abcde");
        assert_eq!(read(&[b"abc", b"de"], Framing::ToTheEnd).unwrap().0, "abcde");
        assert_eq!(read(&[], Framing::None).unwrap().0, "");
        for (pieces, framing) in [
            (&[b"abc" as &[u8]] as &[&[u8]], Framing::Length(5)),
            (&[b"x\r\n"], Framing::Chunks),
            (&[b"1\r\nab\r\n"], Framing::Chunks),
            (&[b"5\r\nab"], Framing::Chunks),
        ] {
            read(pieces, framing).unwrap_err();
        }
    }
}
