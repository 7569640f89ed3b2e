//! A client of the control protocol ([`berth_contract::control`]), over a Unix socket, or over another connection ([`Link`]).
//!
//! The socket is the host's own (`/run/berth/control.sock`), or QEMU's socket for the virtio-serial port `berth.control`. A serial port
//! has no connections: frames for an earlier client may still arrive. So two clients must not use the same call ids.

use berth_contract::control::{
    Body, BootReport, Call, ConfigChange, ControlError, Frame, LogLine, MAX_LINE, Reply, Request, ServiceStatus,
    StatusReport,
};
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::{
    fmt::Debug,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

/// A connection that carries the control protocol.
pub trait Link: Read + Write + Debug {
    /// Sets the time limit for a read; `None` means no limit.
    ///
    /// # Errors
    /// When the system refuses the time limit.
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

impl Link for UnixStream {
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(timeout)
    }
}

/// A connection to a host.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    reader: BufReader<Box<dyn Link>>,
    next_id: u64,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No program listens on the socket, or the connection is not allowed.
    #[error("cannot connect to {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The host cannot be reached over the network, or it refuses this client.
    #[error("{place}: {message}")]
    Remote {
        /// The address.
        place: String,
        /// What happened.
        message: String,
        /// The next step for the user.
        hint: Option<String>,
        /// Whether nobody answers at the address. The host may be starting.
        is_gone: bool,
    },
    /// The connection broke, or the time limit passed.
    #[error("{}: no answer, or the connection broke", path.display())]
    Lost {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The host refused the call, or the call failed there.
    #[error("the host says: {}", .0.message)]
    Refused(ControlError),
    /// The host sent another kind of answer.
    #[error("{}: expected {wanted}, found another answer: client and host may be different versions", path.display())]
    Unexpected {
        /// The socket.
        path: PathBuf,
        /// The expected answer.
        wanted: &'static str,
    },
}

impl ClientError {
    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Connect { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    Some("the control socket is for root only: run the command as root".into())
                }
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    Some("is this a Berth host? From outside a virtual machine: --connect unix:PATH".into())
                }
                io::ErrorKind::WouldBlock => {
                    Some("another client is connected: a virtual machine's port serves one client at a time".into())
                }
                _ => None,
            },
            Self::Refused(error) => error.hint.clone(),
            Self::Remote { hint, .. } => hint.clone(),
            Self::Lost { .. } | Self::Unexpected { .. } => None,
        }
    }
}

impl Client {
    /// Connects. Call ids start at a number made from `seed`, so that they differ from the ids of other clients: use a random number.
    ///
    /// # Errors
    /// When no program listens at `path`.
    pub fn connect(path: &Path, seed: u64) -> Result<Self, ClientError> {
        let stream = connect(path).map_err(|source| ClientError::Connect { path: path.to_owned(), source })?;
        Ok(Self::over(Box::new(stream), path, seed))
    }

    /// A client over a connection that is open already. `place` is its name in messages.
    #[must_use]
    pub fn over(link: Box<dyn Link>, place: &Path, seed: u64) -> Self {
        Self { path: place.to_owned(), reader: BufReader::new(link), next_id: seed & 0xffff_ffff_0000 }
    }

    /// Sets the time limit for an answer; `None` means no limit.
    ///
    /// # Errors
    /// When the system refuses the time limit.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> Result<(), ClientError> {
        self.reader.get_ref().set_timeout(timeout).map_err(|source| self.lost(source))
    }

    /// The state of the host.
    ///
    /// # Errors
    /// When the host refuses, the connection breaks, or the time limit passes. The same holds for all calls.
    pub fn status(&mut self) -> Result<StatusReport, ClientError> {
        match self.reply(Request::Status)? {
            Reply::Status(status) => Ok(*status),
            _ => Err(self.unexpected("the status")),
        }
    }

    /// The boot's timeline.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub fn boot(&mut self) -> Result<BootReport, ClientError> {
        match self.reply(Request::Boot)? {
            Reply::Boot(boot) => Ok(boot),
            _ => Err(self.unexpected("the boot's timeline")),
        }
    }

    /// All services.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub fn services(&mut self) -> Result<Vec<ServiceStatus>, ClientError> {
        match self.reply(Request::Services)? {
            Reply::Services(services) => Ok(services),
            _ => Err(self.unexpected("the services")),
        }
    }

    /// Passes each line of a log to `line`, until the log ends or `line` fails.
    ///
    /// # Errors
    /// See [`Self::status`]; and the error of `line`.
    pub fn logs<E: From<ClientError>>(
        &mut self,
        service: &str,
        follow: bool,
        mut line: impl FnMut(LogLine) -> Result<(), E>,
    ) -> Result<(), E> {
        self.lines(Request::Logs { service: service.to_owned(), follow }, &mut line)
    }

    /// Runs the host's own hostctl, and passes each line of its output to `line`, until the program exits or `line` fails. If the
    /// connection is closed first, the host ends the program.
    ///
    /// # Errors
    /// The program's message on stderr, if its status is not 0; see [`Self::status`]; and the error of `line`.
    pub fn run<E: From<ClientError>>(
        &mut self,
        arguments: &[String],
        line: impl FnMut(LogLine) -> Result<(), E>,
    ) -> Result<(), E> {
        self.run_with(arguments, None, line)
    }

    /// Like [`Self::run`], with a text on the program's standard input.
    ///
    /// # Errors
    /// See [`Self::run`]. A text that does not fit into one line of the protocol.
    pub fn run_with<E: From<ClientError>>(
        &mut self,
        arguments: &[String],
        input: Option<String>,
        mut line: impl FnMut(LogLine) -> Result<(), E>,
    ) -> Result<(), E> {
        self.lines(Request::Run { arguments: arguments.to_vec(), input }, &mut line)
    }

    /// Tells init to take the configuration that hostctl has written.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub fn configure(&mut self, place: &str, watch: bool) -> Result<ConfigChange, ClientError> {
        match self.reply(Request::Configure { place: place.to_owned(), watch })? {
            Reply::Configured(change) => Ok(change),
            _ => Err(self.unexpected("the effect of the configuration")),
        }
    }

    fn lines<E: From<ClientError>>(
        &mut self,
        request: Request,
        line: &mut dyn FnMut(LogLine) -> Result<(), E>,
    ) -> Result<(), E> {
        let id = self.send(request)?;
        loop {
            match self.receive(id)? {
                Body::Line(text) => line(text)?,
                Body::End => return Ok(()),
                Body::Error(error) => return Err(ClientError::Refused(error).into()),
                Body::Reply(_) | Body::Record(_) => return Err(self.unexpected("lines").into()),
            }
        }
    }

    /// Waits until the host is running.
    ///
    /// # Errors
    /// When the host is degraded; and see [`Self::status`].
    pub fn wait_ready(&mut self) -> Result<(), ClientError> {
        self.done(Request::WaitReady)
    }

    /// Restarts a service.
    ///
    /// # Errors
    /// When there is no such service; and see [`Self::status`].
    pub fn restart(&mut self, service: &str) -> Result<(), ClientError> {
        self.done(Request::Restart { service: service.to_owned() })
    }

    /// Asks for an ordered restart.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub fn reboot(&mut self) -> Result<(), ClientError> {
        self.done(Request::Reboot)
    }

    /// Asks for an ordered shutdown.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub fn poweroff(&mut self) -> Result<(), ClientError> {
        self.done(Request::Poweroff)
    }

    /// Like [`Self::reboot`], but all services together have at most so many seconds to end.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub fn reboot_within(&mut self, seconds: u32) -> Result<(), ClientError> {
        self.done(Request::RebootWithin { seconds })
    }

    /// Like [`Self::poweroff`], but all services together have at most so many seconds to end.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub fn poweroff_within(&mut self, seconds: u32) -> Result<(), ClientError> {
        self.done(Request::PoweroffWithin { seconds })
    }

    fn done(&mut self, request: Request) -> Result<(), ClientError> {
        let id = self.send(request)?;
        match self.receive(id)? {
            Body::End => Ok(()),
            Body::Error(error) => Err(ClientError::Refused(error)),
            Body::Reply(_) | Body::Line(_) | Body::Record(_) => Err(self.unexpected("an end")),
        }
    }

    fn reply(&mut self, request: Request) -> Result<Reply, ClientError> {
        let id = self.send(request)?;
        match self.receive(id)? {
            Body::Reply(reply) => Ok(*reply),
            Body::Error(error) => Err(ClientError::Refused(error)),
            Body::Line(_) | Body::Record(_) | Body::End => Err(self.unexpected("a reply")),
        }
    }

    fn send(&mut self, request: Request) -> Result<u64, ClientError> {
        self.next_id += 1;
        let id = self.next_id;
        let call = serde_json::to_string(&Call { id, request }).map_err(|error| self.lost(error.into()))?;
        if call.len() > MAX_LINE {
            let message = format!("expected a call of {MAX_LINE} bytes at most, found {}", call.len());
            return Err(self.lost(io::Error::new(io::ErrorKind::FileTooLarge, message)));
        }
        // On a serial port, an earlier client may have left an unfinished line. The line break in front ends that line.
        let message = format!("\n{call}\n");
        let link = self.reader.get_mut();
        link.write_all(message.as_bytes()).and_then(|()| link.flush()).map_err(|source| self.lost(source))?;
        Ok(id)
    }

    fn receive(&mut self, id: u64) -> Result<Body, ClientError> {
        loop {
            let mut line = Vec::new();
            let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
            self.reader.by_ref().take(limit).read_until(b'\n', &mut line).map_err(|source| self.lost(source))?;
            if line.is_empty() {
                return Err(self.lost(io::ErrorKind::UnexpectedEof.into()));
            }
            // Ignore frames for other clients, and lines that are not frames: on a serial port both may be left from an earlier client.
            match serde_json::from_slice::<Frame>(&line) {
                Ok(frame) if frame.id == id => return Ok(frame.body),
                _ => {}
            }
        }
    }

    fn lost(&self, source: io::Error) -> ClientError {
        ClientError::Lost { path: self.path.clone(), source }
    }

    fn unexpected(&self, wanted: &'static str) -> ClientError {
        ClientError::Unexpected { path: self.path.clone(), wanted }
    }
}

/// Connects without waiting. QEMU serves one client at a time: a blocking connect would wait until the first client disconnects.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket =
        net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::net::UnixListener, thread};

    /// A host that sends `answers` after the first call, with `ID` replaced by the call's id.
    fn host(answers: &'static str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while !line.contains('{') {
                line.clear();
                reader.read_line(&mut line).unwrap();
            }
            let call: Call = serde_json::from_str(&line).unwrap();
            (&stream).write_all(answers.replace("ID", &call.id.to_string()).as_bytes()).unwrap();
        });
        (dir, path)
    }

    #[test]
    fn frames_for_other_clients_and_garbage_are_ignored() {
        let (_dir, path) = host("half a line}\n\0\n{\"id\":1,\"body\":\"end\"}\n{\"id\":ID,\"body\":\"end\"}\n");
        Client::connect(&path, 1 << 20).unwrap().wait_ready().unwrap();
    }

    #[test]
    fn each_failure_has_its_own_error() {
        let (_dir, path) = host("{\"id\":ID,\"body\":{\"error\":{\"message\":\"no\",\"hint\":\"try\"}}}\n");
        let error = Client::connect(&path, 7).unwrap().status().unwrap_err();
        assert_eq!((error.to_string().as_str(), error.hint().as_deref()), ("the host says: no", Some("try")));
        let (_dir, path) = host("{\"id\":ID,\"body\":\"end\"}\n");
        assert!(matches!(Client::connect(&path, 7).unwrap().status(), Err(ClientError::Unexpected { .. })));
        let (_dir, path) = host("{\"id\":ID,\"bo");
        assert!(matches!(Client::connect(&path, 7).unwrap().status(), Err(ClientError::Lost { .. })));
        assert!(Client::connect(Path::new("/nonexistent"), 7).unwrap_err().hint().is_some());
    }

    #[test]
    fn logs_end_when_the_host_says_so() {
        let (_dir, path) = host(
            "{\"id\":ID,\"body\":{\"line\":{\"at_us\":1,\"text\":\"a\"}}}\n{\"id\":ID,\"body\":{\"line\":{\"at_us\":2,\"text\":\"b\"}}}\n{\"id\":ID,\"body\":\"end\"}\n",
        );
        let mut lines = Vec::new();
        let push = |line: LogLine| {
            lines.push(line.text);
            Ok::<_, ClientError>(())
        };
        Client::connect(&path, 7).unwrap().logs("x", false, push).unwrap();
        assert_eq!(lines, ["a", "b"]);
    }
}
