//! The client of the control protocol. Each call has a connection of its own; their number is limited, because init serves only a few
//! clients.

use crate::failure::Failure;
use berth_contract::control::{Body, Call, Frame, MAX_LINE, Reply, Request};
use std::{io, mem, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Calls that are answered at once. Further ones wait for one of these.
const SHORT: usize = 6;
/// Calls that last: followed logs, commands, tunnels. Further ones are refused.
const LONG: usize = 16;
/// Time limit for an answer of init, waiting for a place included.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longest output of a command whose output is the answer, in bytes.
const LONGEST_OUTPUT: usize = 4 << 20;

/// Makes calls to init.
#[derive(Debug)]
pub(crate) struct Control {
    socket: PathBuf,
    short: Arc<Semaphore>,
    long: Arc<Semaphore>,
}

/// A call that lasts. When it is dropped, init ends it.
#[derive(Debug)]
pub(crate) struct Running {
    lines: Lines<UnixStream>,
    _place: OwnedSemaphorePermit,
}

/// A connection for a tunnel.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: UnixStream,
    /// The place among the calls that last.
    pub(crate) place: OwnedSemaphorePermit,
}

/// The id of each call: a connection has only one.
const ID: u64 = 1;

impl Control {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket, short: Arc::new(Semaphore::new(SHORT)), long: Arc::new(Semaphore::new(LONG)) }
    }

    /// Makes a call that is answered with data.
    pub(crate) async fn reply(&self, request: Request) -> Result<Reply, Failure> {
        match self.short(request).await? {
            Body::Reply(reply) => Ok(*reply),
            Body::Error(error) => Err(Failure::Refused(error)),
            Body::Line(_) | Body::Record(_) | Body::End => Err(Failure::Answer("a reply")),
        }
    }

    /// Makes a call that is answered with its end.
    pub(crate) async fn done(&self, request: Request) -> Result<(), Failure> {
        match self.short(request).await? {
            Body::End => Ok(()),
            Body::Error(error) => Err(Failure::Refused(error)),
            Body::Line(_) | Body::Record(_) | Body::Reply(_) => Err(Failure::Answer("an end")),
        }
    }

    async fn short(&self, request: Request) -> Result<Body, Failure> {
        let call = async {
            let _place = self.short.acquire().await.map_err(|_| Failure::Busy(SHORT))?;
            next(&mut Lines::new(self.start(request).await?)).await
        };
        timeout(PATIENCE, call).await.unwrap_or_else(|_| Err(Failure::Init(io::ErrorKind::TimedOut.into())))
    }

    /// Starts a call that has many answers.
    pub(crate) async fn run(&self, request: Request) -> Result<Running, Failure> {
        let place = self.long_place()?;
        Ok(Running { lines: Lines::new(self.start(request).await?), _place: place })
    }

    /// Runs the host's hostctl. Returns the lines of its output.
    pub(crate) async fn lines(&self, arguments: Vec<String>) -> Result<Vec<String>, Failure> {
        let mut call = self.run(Request::Run { arguments, input: None }).await?;
        let (mut lines, mut bytes) = (Vec::new(), 0);
        loop {
            match call.next().await? {
                Body::Line(line) => {
                    bytes += line.text.len();
                    lines.push(line.text);
                }
                Body::End => return Ok(lines),
                Body::Error(error) => return Err(Failure::Refused(error)),
                Body::Reply(_) | Body::Record(_) => return Err(Failure::Answer("lines")),
            }
            if bytes > LONGEST_OUTPUT {
                return Err(Failure::Answer("an output of at most 4 MiB"));
            }
        }
    }

    /// Opens a connection for the calls of a tunnel.
    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        let place = self.long_place()?;
        Ok(Connection { stream: UnixStream::connect(&self.socket).await.map_err(Failure::Init)?, place })
    }

    fn long_place(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.long.clone().try_acquire_owned().map_err(|_| Failure::Busy(LONG))
    }

    async fn start(&self, request: Request) -> Result<UnixStream, Failure> {
        let mut stream = UnixStream::connect(&self.socket).await.map_err(Failure::Init)?;
        let mut line = serde_json::to_vec(&Call { id: ID, request }).map_err(|error| Failure::Init(error.into()))?;
        line.push(b'\n');
        stream.write_all(&line).await.map_err(Failure::Init)?;
        Ok(stream)
    }
}

impl Running {
    /// The next part of the answer. The returned future can be dropped: no byte is lost.
    pub(crate) async fn next(&mut self) -> Result<Body, Failure> {
        next(&mut self.lines).await
    }
}

async fn next(lines: &mut Lines<UnixStream>) -> Result<Body, Failure> {
    loop {
        let line = lines.next().await.map_err(Failure::Init)?;
        match serde_json::from_slice::<Frame>(&line) {
            Ok(frame) if frame.id == ID => return Ok(frame.body),
            Ok(_) => {}
            Err(_) => return Err(Failure::Answer("a frame of the control protocol")),
        }
    }
}

/// Reads lines of at most [`MAX_LINE`] bytes.
#[derive(Debug)]
pub(crate) struct Lines<T> {
    reader: BufReader<T>,
    partial: Vec<u8>,
}

impl<T: AsyncRead + Unpin> Lines<T> {
    pub(crate) fn new(stream: T) -> Self {
        Self { reader: BufReader::new(stream), partial: Vec::new() }
    }

    /// The next line with its line break. An error at the end of the stream, and for a line that is too long. The returned future can be
    /// dropped: the next call continues with the line.
    pub(crate) async fn next(&mut self) -> io::Result<Vec<u8>> {
        let room = (MAX_LINE + 1).saturating_sub(self.partial.len());
        (&mut self.reader).take(room as u64).read_until(b'\n', &mut self.partial).await?;
        match self.partial.last() {
            Some(b'\n') => Ok(mem::take(&mut self.partial)),
            Some(_) if self.partial.len() > MAX_LINE => Err(io::ErrorKind::FileTooLarge.into()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
