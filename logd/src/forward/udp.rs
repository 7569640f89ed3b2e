//! Syslog over UDP: RFC 5426. There are no acknowledgements: what the network loses is lost.

use super::{Item, SendError, Sender, syslog};
use std::{
    net::{ToSocketAddrs, UdpSocket},
    thread,
    time::Duration,
};

/// Longest datagram in bytes. RFC 5426, 3.2: every receiver should take 2048 bytes; rsyslog and syslog-ng take 8192.
const LONGEST: usize = 8192;
/// Pause after this number of datagrams, so that the backlog of an hour does not overflow the receiver's socket.
const BURST: usize = 50;
const PAUSE: Duration = Duration::from_millis(10);

pub(super) struct UdpSender {
    target: String,
    socket: Option<UdpSocket>,
}

impl UdpSender {
    pub(super) fn new(target: String) -> Self {
        Self { target, socket: None }
    }

    fn socket(&mut self) -> Result<&UdpSocket, SendError> {
        if self.socket.is_none() {
            let failed = |error: std::io::Error| SendError::later("cannot reach it", &error);
            let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
            for address in self.target.to_socket_addrs().map_err(failed)? {
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                match UdpSocket::bind(any).and_then(|socket| socket.connect(address).map(|()| socket)) {
                    Ok(socket) => {
                        self.socket = Some(socket);
                        break;
                    }
                    Err(error) => last = error,
                }
            }
            if self.socket.is_none() {
                return Err(failed(last));
            }
        }
        self.socket.as_ref().ok_or_else(|| SendError::Later("no socket".into()))
    }
}

impl Sender for UdpSender {
    fn send(&mut self, items: &[Item], host: &str) -> Result<(), SendError> {
        let socket = self.socket()?;
        let mut result = Ok(());
        for (index, item) in items.iter().enumerate() {
            let message = syslog::message(item, host);
            let cut = message.floor_char_boundary(LONGEST);
            if let Err(error) = socket.send(&message.as_bytes()[..cut]) {
                result = Err(SendError::later("cannot send", &error));
                break;
            }
            if index % BURST == BURST - 1 {
                thread::sleep(PAUSE);
            }
        }
        if result.is_err() {
            self.socket = None;
        }
        result
    }
}
