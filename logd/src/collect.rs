//! Takes the lines of kernel, init and services from init ([`Request::AllLogs`]).

use berth_contract::control::{Body, Call, Frame, LogRecord, MAX_LINE, Request};
use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    path::Path,
};

/// The only call of a connection.
const CALL: u64 = 1;
/// The kernel's log, whose numbers have gaps where init's own lines are.
const KERNEL: &str = "kernel";

/// A connection to init on which records arrive.
#[derive(Debug)]
pub struct Source {
    reader: BufReader<UnixStream>,
    /// The start of a frame whose end was not received yet.
    begun: Vec<u8>,
}

impl Source {
    /// Connects, and asks for the lines after those with `numbers`.
    ///
    /// # Errors
    /// When init does not listen at `path`.
    pub fn connect(path: &Path, numbers: &BTreeMap<String, u64>) -> io::Result<Self> {
        let mut stream = UnixStream::connect(path)?;
        let from = numbers.iter().map(|(log, number)| (log.clone(), number + 1)).collect();
        let call = Call { id: CALL, request: Request::AllLogs { from, follow: true } };
        stream.write_all(format!("{}\n", serde_json::to_string(&call)?).as_bytes())?;
        stream.set_nonblocking(true)?;
        Ok(Self { reader: BufReader::with_capacity(64 << 10, stream), begun: Vec::new() })
    }

    /// The next record that was received, or `None` if there is none yet.
    ///
    /// # Errors
    /// The connection has ended, or init refuses.
    pub fn next_record(&mut self) -> io::Result<Option<LogRecord>> {
        loop {
            let limit = (MAX_LINE - self.begun.len()) as u64;
            match self.reader.by_ref().take(limit).read_until(b'\n', &mut self.begun) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
                Ok(_) if !self.begun.ends_with(b"\n") => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
            }
            let frame = serde_json::from_slice::<Frame>(&self.begun);
            self.begun.clear();
            match frame.map_err(io::Error::from)?.body {
                Body::Record(record) => return Ok(Some(record)),
                Body::Error(error) => return Err(io::Error::other(error.message)),
                Body::End | Body::Line(_) | Body::Reply(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.get_ref().as_fd()
    }
}

/// Number of lines that init has dropped before `record`, because it was faster than this process.
#[must_use]
pub fn missing_before(record: &LogRecord, numbers: &BTreeMap<String, u64>) -> u64 {
    let expected = numbers.get(&record.log).filter(|_| record.log != KERNEL).map_or(record.number, |last| last + 1);
    record.number.saturating_sub(expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::net::UnixListener, thread};

    fn record(number: u64) -> LogRecord {
        LogRecord { log: "x".into(), number, level: 6, at_us: 1, text: format!("line {number}") }
    }

    #[test]
    fn records_are_read_in_pieces_and_the_next_connection_continues() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let numbers = BTreeMap::from([("x".to_owned(), 4)]);
        let mut source = Source::connect(&path, &numbers).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let mut call = [0; 200];
        let length = peer.read(&mut call).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&call[..length]),
            "{\"id\":1,\"request\":{\"all-logs\":{\"from\":{\"x\":5},\"follow\":true}}}\n"
        );
        assert!(source.next_record().unwrap().is_none());
        let frame = serde_json::to_string(&Frame { id: 1, body: Body::Record(record(5)) }).unwrap() + "\n";
        let (start, end) = frame.split_at(20);
        peer.write_all(start.as_bytes()).unwrap();
        assert!(source.next_record().unwrap().is_none());
        peer.write_all(end.as_bytes()).unwrap();
        assert_eq!(source.next_record().unwrap(), Some(record(5)));
        thread::spawn(move || drop(peer)).join().unwrap();
        assert!(source.next_record().is_err());
        assert_eq!(missing_before(&record(5), &numbers), 0);
        assert_eq!(missing_before(&record(9), &numbers), 4);
        assert_eq!(missing_before(&record(9), &BTreeMap::new()), 0);
    }
}
