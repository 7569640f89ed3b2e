//! sd_notify(3): tells the supervisor that the service is ready, and its status.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    path::Path,
};

/// The supervisor's socket. `None` when the process was not started by a supervisor: then all messages are dropped.
#[derive(Debug)]
pub struct Notify(Option<(UnixDatagram, SocketAddr)>);

impl Notify {
    /// Opens the socket that `$NOTIFY_SOCKET` names.
    ///
    /// # Errors
    /// When the name is invalid, or a socket cannot be opened.
    pub fn from_environment() -> io::Result<Self> {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return Ok(Self(None)) };
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(Path::new(&name))?,
        };
        Ok(Self(Some((UnixDatagram::unbound()?, address))))
    }

    /// Reports that the service is ready.
    ///
    /// # Errors
    /// When sendto(2) fails.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        self.send(&format!("READY=1\nSTATUS={status}"))
    }

    /// Reports a status line.
    ///
    /// # Errors
    /// When sendto(2) fails.
    pub fn status(&self, status: &str) -> io::Result<()> {
        self.send(&format!("STATUS={status}"))
    }

    fn send(&self, text: &str) -> io::Result<()> {
        match &self.0 {
            Some((socket, address)) => socket.send_to_addr(text.as_bytes(), address).map(drop),
            None => Ok(()),
        }
    }
}
