//! A connection to hostd that carries another protocol: TLS, one HTTP request with `Upgrade` (RFC 9110, 7.8), and then the protocol.

use super::{Address, DeskError, KnownHost, fault::TlsFault, tls};
use berth_contract::{
    control::ControlError,
    remote_api::{CONTROL_PATH, CONTROL_PROTOCOL},
};
use berth_control::{Client, ClientError, Link};
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    path::Path,
    sync::{Arc, PoisonError},
    time::Duration,
};

/// Time limit for each step until the protocol begins.
const PATIENCE: Duration = Duration::from_secs(20);
/// Size limit of an answer, in bytes.
const LONGEST: usize = 64 << 10;

/// A host with everything that is needed to reach it.
#[derive(Clone, Debug)]
pub struct Desk {
    pub(super) address: Address,
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl Desk {
    /// Reads the certificates for a host.
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub fn new(host: &KnownHost) -> Result<Self, DeskError> {
        let address = host.address.clone();
        Ok(Self { name: server_name(&address)?, config: tls::config(host)?, address })
    }

    /// Connects, and makes a client of the control protocol. For `seed` see [`Client::connect`].
    ///
    /// # Errors
    /// The host cannot be reached, or one side refuses the other.
    pub fn client(&self, seed: u64) -> Result<Client, ClientError> {
        let stream = self.open()?;
        Ok(Client::over(Box::new(TlsLink(stream)), Path::new(&self.address.to_string()), seed))
    }

    fn open(&self) -> Result<StreamOwned<ClientConnection, TcpStream>, DeskError> {
        let mut stream = handshake(&self.address, Arc::clone(&self.config), self.name.clone())?;
        let request = request(&self.address, CONTROL_PATH, CONTROL_PROTOCOL);
        let mut answer = Vec::new();
        let said = stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).and_then(|()| {
            let mut byte = [0];
            // One byte at a time: what follows the head belongs to the protocol.
            while !is_whole(&answer) && stream.read(&mut byte)? > 0 {
                answer.push(byte[0]);
            }
            Ok(())
        });
        said.map_err(|source| failed(&self.address, source))?;
        verdict(&self.address, &answer)?;
        Ok(stream)
    }
}

/// The fingerprint of the certificate of the host at this address. The host is not trusted by this.
///
/// # Errors
/// The host cannot be reached.
pub fn fingerprint(address: &Address) -> Result<String, DeskError> {
    let (config, found) = tls::probe();
    let failure = handshake(address, config, server_name(address)?).err();
    let found = found.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (found, failure) {
        (Some(found), _) => Ok(found),
        (None, Some(error)) => Err(error),
        (None, None) => Err(DeskError::Answer { address: address.clone(), found: String::new() }),
    }
}

fn server_name(address: &Address) -> Result<ServerName<'static>, DeskError> {
    let bad = |_| DeskError::Answer { address: address.clone(), found: address.host.clone() };
    ServerName::try_from(address.host.clone()).map_err(bad)
}

fn handshake(
    address: &Address,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<StreamOwned<ClientConnection, TcpStream>, DeskError> {
    let tls = ClientConnection::new(config, name)
        .map_err(|error| DeskError::Tls { address: address.clone(), fault: TlsFault::from(&error) })?;
    let mut stream = StreamOwned::new(tls, connect(address)?);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).map_err(|source| failed(address, source))?;
    }
    Ok(stream)
}

fn connect(address: &Address) -> Result<TcpStream, DeskError> {
    let failed = |source| DeskError::Connect { address: address.clone(), source };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for one in address.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&one, PATIENCE) {
            Ok(stream) => {
                let set =
                    stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
                set.and_then(|()| stream.set_nodelay(true)).map_err(failed)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// The error of a connection: a fault of TLS, or one of the network.
pub(super) fn failed(address: &Address, source: io::Error) -> DeskError {
    let address = address.clone();
    match TlsFault::of(&source) {
        Some(fault) => DeskError::Tls { address, fault },
        None => DeskError::Connect { address, source },
    }
}

/// The request that turns the connection into another protocol.
pub(super) fn request(address: &Address, path: &str, protocol: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n")
}

/// Whether an answer has been read to its end: to the empty line for `101 Switching Protocols`, and else also its body.
pub(super) fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return answer.len() >= LONGEST };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    answer.len() >= (end + 4 + length.unwrap_or(0)).min(LONGEST)
}

/// Checks the answer to [`request`].
pub(super) fn verdict(address: &Address, answer: &[u8]) -> Result<(), DeskError> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).filter(|_| head.starts_with("HTTP/1.1 "));
    match (status, serde_json::from_str::<ControlError>(body)) {
        (Some("101"), _) => Ok(()),
        (Some(_), Ok(error)) => Err(DeskError::Refused { address: address.clone(), error }),
        _ => Err(DeskError::Answer { address: address.clone(), found: head.chars().take(80).collect() }),
    }
}

/// The connection of the control protocol.
#[derive(Debug)]
struct TlsLink(StreamOwned<ClientConnection, TcpStream>);

impl Read for TlsLink {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for TlsLink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Link for TlsLink {
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.sock.set_read_timeout(timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_to_its_end_and_not_further() {
        for (answer, whole) in [
            ("HTTP/1.1 101 X\r\nUpgrade: x\r\n", false),
            ("HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n", true),
            ("HTTP/1.1 403 X\r\nContent-Length: 2\r\n\r\n{", false),
            ("HTTP/1.1 403 X\r\ncontent-length: 2\r\n\r\n{}", true),
        ] {
            assert_eq!(is_whole(answer.as_bytes()), whole, "{answer}");
        }
        assert!(is_whole(&[b'x'; LONGEST]));
        let address: Address = "x".parse().unwrap();
        verdict(&address, b"HTTP/1.1 101 X\r\n\r\n").unwrap();
        let refused = verdict(&address, b"HTTP/1.1 403 X\r\n\r\n{\"message\":\"no\",\"hint\":\"try\"}").unwrap_err();
        assert_eq!(
            (refused.to_string().as_str(), refused.hint().as_deref()),
            ("x:7443: the host says: no", Some("try"))
        );
        assert!(matches!(verdict(&address, b"SSH-2.0"), Err(DeskError::Answer { .. })));
        assert!(matches!(verdict(&address, b"HTTP/1.1 500 X\r\n\r\n<html>"), Err(DeskError::Answer { .. })));
    }
}
