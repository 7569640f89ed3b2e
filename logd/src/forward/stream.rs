//! Syslog over TCP (RFC 6587, octet counting) and TLS (RFC 5425).
//!
//! These protocols have no acknowledgements. A batch counts as delivered when the receiver's kernel has acknowledged every byte.

use super::{BATCH, CONNECT, Item, SendError, Sender, syslog};
use crate::sys::unacknowledged;
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Time limit of one read or write.
const SILENCE: Duration = Duration::from_secs(10);
/// Bytes that are written at once: between them, the time limit of the batch is checked.
const PIECE: usize = 16 << 10;
/// Bytes that a receiver may send, which nobody reads, before the connection is closed.
const MOST_ANSWERS: usize = 64 << 10;
/// Pauses between two looks at the acknowledgements: doubled each time.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_LOOK: Duration = Duration::from_millis(100);

pub(super) struct StreamSender {
    target: String,
    tls: Option<Arc<ClientConfig>>,
    connection: Option<Connection>,
}

enum Connection {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl StreamSender {
    /// `target` is host and port.
    pub(super) fn new(target: String, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { target, tls, connection: None }
    }

    fn connect(&self) -> Result<Connection, SendError> {
        let failed = |error: io::Error| SendError::later("cannot connect", &error);
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in self.target.to_socket_addrs().map_err(failed)? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(stream) => return self.secure(stream),
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    fn secure(&self, stream: TcpStream) -> Result<Connection, SendError> {
        let failed = |error: io::Error| SendError::later("cannot connect", &error);
        stream.set_read_timeout(Some(SILENCE)).map_err(failed)?;
        stream.set_write_timeout(Some(SILENCE)).map_err(failed)?;
        let Some(config) = &self.tls else { return Ok(Connection::Plain(stream)) };
        let host = self.target.rsplit_once(':').map_or(&*self.target, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|error| SendError::later("TLS", &error))?;
        let tls = |error: rustls::Error| SendError::later("TLS", &error);
        let mut client = ClientConnection::new(config.clone(), name).map_err(tls)?;
        let mut stream = stream;
        let deadline = Instant::now() + CONNECT;
        while client.is_handshaking() {
            client.complete_io(&mut stream).map_err(|error| SendError::later("TLS", &error))?;
            if Instant::now() > deadline {
                return Err(SendError::Later("TLS: the handshake takes too long".into()));
            }
        }
        Ok(Connection::Tls(Box::new(StreamOwned::new(client, stream))))
    }
}

impl Sender for StreamSender {
    fn send(&mut self, items: &[Item], host: &str) -> Result<(), SendError> {
        let mut bytes = Vec::new();
        items.iter().for_each(|item| syslog::frame(item, host, &mut bytes));
        // A receiver that was started again has closed the old connection.
        let old = self.connection.take().and_then(|mut old| old.discard_answers().is_ok().then_some(old));
        let mut connection = match old {
            Some(old) => old,
            None => self.connect()?,
        };
        connection.deliver(&bytes).map_err(|error| SendError::later("connection broken", &error))?;
        self.connection = Some(connection);
        Ok(())
    }
}

impl Connection {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }

    fn deliver(&mut self, bytes: &[u8]) -> io::Result<()> {
        let deadline = Instant::now() + BATCH;
        let in_time = || if Instant::now() < deadline { Ok(()) } else { Err(io::Error::from(io::ErrorKind::TimedOut)) };
        for mut piece in bytes.chunks(PIECE) {
            while !piece.is_empty() {
                in_time()?;
                let count = match self {
                    Self::Plain(stream) => stream.write(piece),
                    Self::Tls(stream) => stream.write(piece),
                };
                match count {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => piece = &piece[count..],
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if let Self::Tls(stream) = self {
            stream.flush()?;
        }
        let mut pause = FIRST_LOOK;
        while unacknowledged(self.socket())? > 0 {
            in_time()?;
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_LOOK);
        }
        self.discard_answers()
    }

    /// Reads and drops what the receiver has sent. An error if it has closed the connection.
    fn discard_answers(&mut self) -> io::Result<()> {
        self.socket().set_nonblocking(true)?;
        let mut answers = [0; 4096];
        let mut total = 0;
        let result = loop {
            let count = match self {
                Self::Plain(stream) => stream.read(&mut answers),
                Self::Tls(stream) => stream.read(&mut answers),
            };
            match count {
                Ok(0) => break Err(io::ErrorKind::ConnectionAborted.into()),
                Ok(count) => total += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
            if total > MOST_ANSWERS {
                break Err(io::Error::other("the receiver sends too much"));
            }
        };
        self.socket().set_nonblocking(false)?;
        result
    }
}
