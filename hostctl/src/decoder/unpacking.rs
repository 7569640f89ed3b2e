//! A stream that a decoder process unpacks.

use super::{child::Packing, program::Decoder};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
};
use std::{
    io::{self, Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Bytes that are read from the source at once.
const PIECE: usize = 128 << 10;
/// Longest message of the decoder, in bytes.
const MAX_MESSAGE: u64 = 2048;
/// A sound decoder takes or gives a piece within moments, and ends at once.
const LIMITS: Limits = Limits { silence: Duration::from_secs(120), end: Duration::from_secs(10) };

/// How long the decoder may take. It may be in the hands of whoever made the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time in which it must take or give some bytes.
    pub silence: Duration,
    /// Time in which it must end after it has closed its output.
    pub end: Duration,
}

/// Reads the unpacked bytes of `wire`. The decoder process ends with this value.
#[derive(Debug)]
pub struct Unpacking<R: Read> {
    child: Child,
    /// `None` when all packed bytes are written, or the decoder needs no more.
    input: Option<ChildStdin>,
    output: ChildStdout,
    wire: R,
    /// Packed bytes that are not written yet: those from `at` to `end`.
    pending: Vec<u8>,
    at: usize,
    end: usize,
    /// Whether the decoder has ended well.
    done: bool,
    limits: Limits,
}

impl<R: Read> Unpacking<R> {
    /// Starts the decoder.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(decoder: Decoder<'_>, packing: Packing, wire: R) -> io::Result<Self> {
        Self::start_within(LIMITS, decoder, packing, wire)
    }

    /// Starts the decoder with other limits.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_within(limits: Limits, decoder: Decoder<'_>, packing: Packing, wire: R) -> io::Result<Self> {
        let mut command = Command::new(decoder.0);
        command.args(["decode", packing.name()]).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the decoder has no pipes"));
        };
        // A write must not wait for the decoder, which may wait until its output is read.
        fcntl_setfl(&input, fcntl_getfl(&input)? | OFlags::NONBLOCK)?;
        let pending = vec![0; PIECE];
        Ok(Self { child, input: Some(input), output, wire, pending, at: 0, end: 0, done: false, limits })
    }

    /// The process id of the decoder.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads packed bytes if none are pending.
    fn fetch(&mut self) -> io::Result<()> {
        if self.input.is_none() || self.at < self.end {
            return Ok(());
        }
        (self.at, self.end) = (0, self.wire.read(&mut self.pending)?);
        if self.end == 0 {
            // The decoder sees the end of its input.
            self.input = None;
        }
        Ok(())
    }

    /// Waits until unpacked bytes can be read, or packed bytes can be written.
    fn wait(&self) -> io::Result<(bool, bool)> {
        let mut fds = vec![PollFd::new(&self.output, PollFlags::IN)];
        fds.extend(self.input.as_ref().map(|input| PollFd::new(input, PollFlags::OUT)));
        let silence = Timespec::try_from(self.limits.silence).map_err(io::Error::other)?;
        match poll(&mut fds, Some(&silence)) {
            Err(Errno::INTR) => return Ok((false, false)),
            Ok(0) => {
                let why = format!("the decoder has done nothing for {} s", self.limits.silence.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            other => other?,
        };
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        Ok((is_ready(&fds[0]), fds.get(1).is_some_and(is_ready)))
    }

    /// Writes pending bytes, as many as the pipe takes.
    fn feed(&mut self) -> io::Result<()> {
        let Some(input) = &mut self.input else { return Ok(()) };
        match input.write(&self.pending[self.at..self.end]) {
            Ok(written) => self.at += written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // The decoder has ended, or needs no more: its output and status tell.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.input = None,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The decoder has closed its output: its status is the verdict.
    fn verdict(&mut self) -> io::Result<()> {
        self.input = None;
        let Some(status) = self.wait_for_end()? else {
            // The value's end kills the decoder.
            let why =
                format!("the decoder has closed its output, and has not ended within {} s", self.limits.end.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        };
        if status.success() {
            self.done = true;
            return Ok(());
        }
        let mut text = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            stderr.take(MAX_MESSAGE).read_to_end(&mut text)?;
        }
        // The decoder may be in the hands of whoever made the bytes.
        let text: String =
            String::from_utf8_lossy(&text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let text = text.trim().trim_start_matches("error: ");
        let why = match status.signal() {
            Some(signal) => format!("the decoder was ended by signal {signal}"),
            None if text.is_empty() => format!("the decoder ended with {status}"),
            None => text.to_owned(),
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, why))
    }

    /// The status of the decoder; `None` if it does not end in time.
    fn wait_for_end(&mut self) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + self.limits.end;
        loop {
            match self.child.try_wait()? {
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
                status => return Ok(status),
            }
        }
    }
}

impl<R: Read> Read for Unpacking<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.done && !buffer.is_empty() {
            self.fetch()?;
            let (readable, writable) = self.wait()?;
            if readable {
                match self.output.read(buffer)? {
                    0 => self.verdict()?,
                    got => return Ok(got),
                }
            } else if writable {
                self.feed()?;
            }
        }
        Ok(0)
    }
}

impl<R: Read> Drop for Unpacking<R> {
    fn drop(&mut self) {
        if !self.done {
            // It may have ended by itself.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
