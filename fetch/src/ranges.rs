//! Reads parts of files from one server. Nothing is stored and nothing is verified here: the caller checks digests.

use crate::{
    error::FetchError,
    fetcher::is_timeout,
    pace::Meter,
    settings::{FetchSettings, Pace, Patience},
    transport::{Part, Transport},
    url::Url,
    waits::Waits,
};
use std::{
    fmt,
    io::{self, Read},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Reads from one server and keeps connections open. Retries while the server is unreachable, and resumes interrupted
/// transfers.
pub struct Ranges {
    transport: Transport,
    pace: Pace,
    patience: Patience,
    heard: AtomicBool,
    received: AtomicU64,
}

impl fmt::Debug for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ranges").field("pace", &self.pace).field("patience", &self.patience).finish_non_exhaustive()
    }
}

impl Ranges {
    /// Opens no connection yet.
    #[must_use]
    pub fn new(settings: FetchSettings, patience: Patience) -> Self {
        let pace = settings.pace;
        let transport = Transport::new(settings);
        Self { transport, pace, patience, heard: AtomicBool::new(false), received: AtomicU64::new(0) }
    }

    /// Bytes received so far, without headers.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Reads a whole small file. An interrupted transfer starts from the first byte again, because the server may have
    /// replaced the file.
    ///
    /// # Errors
    /// See [`FetchError`]. [`FetchError::TooLarge`] if the file has more than `limit` bytes.
    pub fn read_small(&self, url: &Url, limit: u64) -> Result<Vec<u8>, FetchError> {
        let mut waits = Waits::new(self.patience, self.pace);
        loop {
            let mut bytes = Vec::new();
            match self.try_small(url, limit, &mut bytes) {
                Ok(()) => return Ok(bytes),
                // The received bytes are discarded, so they do not count as progress.
                Err(error) => waits.after(error, self.heard.load(Ordering::Relaxed))?,
            }
        }
    }

    fn try_small(&self, url: &Url, limit: u64, bytes: &mut Vec<u8>) -> Result<(), FetchError> {
        let mut part = self.ask(url, 0, None)?;
        let too_large = || FetchError::TooLarge { url: url.clone(), limit };
        if part.whole.is_some_and(|whole| whole > limit) {
            return Err(too_large());
        }
        let (mut meter, mut buffer) = (Meter::new(self.pace), vec![0; 1 << 14]);
        loop {
            let found = bytes.len() as u64;
            match self.step(url, found, &mut *part.reader, &mut meter, &mut buffer)? {
                0 if part.whole.is_some_and(|whole| whole != found) => return Err(short(url, found)),
                0 => return Ok(()),
                read if found + read as u64 > limit => return Err(too_large()),
                read => bytes.extend_from_slice(&buffer[..read]),
            }
        }
    }

    /// Reads `len` bytes from byte `start`, or all bytes from there if `len` is `None`. The bytes are not verified: the
    /// caller must check their digest, and must set a limit if the file's size is not known.
    ///
    /// # Errors
    /// See [`FetchError`]. [`FetchError::NoRanges`] if `start` is not 0 and the server sends only whole files. Errors of the
    /// returned reader are [`io::Error`]s that contain a [`FetchError`].
    pub fn open(&self, url: &Url, start: u64, len: Option<u64>) -> Result<RangeReader<'_>, FetchError> {
        let end = len.map(|len| start.saturating_add(len));
        let mut reader = RangeReader {
            ranges: self,
            url: url.clone(),
            position: start,
            end,
            whole: None,
            part: None,
            skip: 0,
            meter: Meter::new(self.pace),
            waits: Waits::new(self.patience, self.pace),
        };
        if len != Some(0) {
            while let Err(error) = reader.connect(false) {
                reader.wait(error)?;
            }
        }
        Ok(reader)
    }

    fn ask(&self, url: &Url, start: u64, len: Option<u64>) -> Result<Part, FetchError> {
        let answer = self.transport.open_part(url, start, len);
        if !matches!(answer, Err(FetchError::Exchange { .. } | FetchError::Slow { .. } | FetchError::Io { .. })) {
            self.heard.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// Reads once. Fails if the transfer is too slow.
    fn step(
        &self,
        url: &Url,
        found: u64,
        reader: &mut dyn Read,
        meter: &mut Meter,
        buffer: &mut [u8],
    ) -> Result<usize, FetchError> {
        let slow = || FetchError::Slow { url: url.clone(), found, pace: self.pace };
        loop {
            match reader.read(buffer) {
                Ok(read) => {
                    self.received.fetch_add(read as u64, Ordering::Relaxed);
                    return if read == 0 || meter.count(read) { Ok(read) } else { Err(slow()) };
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(slow()),
                Err(source) => return Err(FetchError::Interrupted { url: url.clone(), found, source }),
            }
        }
    }
}

fn short(url: &Url, found: u64) -> FetchError {
    FetchError::Interrupted { url: url.clone(), found, source: io::ErrorKind::UnexpectedEof.into() }
}

/// Reads a part of a file and retries when the transfer is interrupted.
pub struct RangeReader<'a> {
    ranges: &'a Ranges,
    url: Url,
    /// Position of the next byte in the file.
    position: u64,
    /// Position after the last byte, when known.
    end: Option<u64>,
    whole: Option<u64>,
    part: Option<Part>,
    /// Number of bytes to skip: a server without ranges sends the file from its first byte again.
    skip: u64,
    meter: Meter,
    waits: Waits,
}

impl fmt::Debug for RangeReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeReader").field("url", &self.url).field("position", &self.position).finish_non_exhaustive()
    }
}

impl RangeReader<'_> {
    /// Size of the whole file in bytes, if the server sent it.
    #[must_use]
    pub fn whole(&self) -> Option<u64> {
        self.whole
    }

    /// Requests the remaining bytes. `again` is true for a retry: then a server without ranges may send the whole file, and
    /// the bytes before `position` are skipped.
    fn connect(&mut self, again: bool) -> Result<(), FetchError> {
        let part = match self.ranges.ask(&self.url, self.position, self.end.map(|end| end - self.position)) {
            // The server's support for ranges is broken. Request the whole file if that can be used here.
            Err(FetchError::WrongRange { .. }) if again || self.position == 0 => self.ranges.ask(&self.url, 0, None)?,
            answer => answer?,
        };
        if part.start != self.position && !again {
            return Err(FetchError::NoRanges { url: self.url.clone() });
        }
        let size = |wanted, found| Err(FetchError::Size { url: self.url.clone(), wanted, found });
        match (self.whole, part.whole, self.end, part.end) {
            (Some(wanted), Some(found), ..) if wanted != found => return size(wanted, found),
            (.., Some(wanted), Some(found)) if found < wanted => return size(wanted, found),
            _ => {}
        }
        self.whole = self.whole.or(part.whole);
        self.end = self.end.or(part.end);
        self.skip = self.position - part.start;
        self.meter = Meter::new(self.ranges.pace);
        self.part = Some(part);
        Ok(())
    }

    fn wait(&mut self, error: FetchError) -> Result<(), FetchError> {
        self.part = None;
        self.waits.after(error, self.ranges.heard.load(Ordering::Relaxed))
    }

    fn step(&mut self, buffer: &mut [u8]) -> Result<usize, FetchError> {
        loop {
            if self.part.is_none() {
                self.connect(true)?;
            }
            let Some(part) = &mut self.part else { continue };
            let mut discarded = [0; 1 << 12];
            let wanted = if self.skip > 0 {
                let skip = usize::try_from(self.skip).unwrap_or(usize::MAX).min(discarded.len());
                &mut discarded[..skip]
            } else {
                let left = self.end.map_or(u64::MAX, |end| end - self.position);
                let left = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                &mut buffer[..left]
            };
            let read = self.ranges.step(&self.url, self.position, &mut *part.reader, &mut self.meter, wanted)?;
            if read == 0 && (self.skip > 0 || self.end.is_some()) {
                return Err(short(&self.url, self.position));
            }
            if self.skip == 0 {
                self.waits.progress(read);
                self.position += read as u64;
                return Ok(read);
            }
            self.skip -= read as u64;
        }
    }

    /// Reads the end of the response. Only then can the connection be used for the next request.
    fn release(&mut self) {
        if let Some(mut part) = self.part.take()
            && part.end == self.end
        {
            // All requested bytes have been read, so an error here does not matter.
            let _ = part.reader.read(&mut [0]);
        }
    }
}

impl Read for RangeReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.end == Some(self.position) {
            self.release();
            return Ok(0);
        }
        loop {
            match self.step(buffer) {
                Ok(read) => {
                    if self.end == Some(self.position) {
                        self.release();
                    }
                    return Ok(read);
                }
                Err(error) => self.wait(error).map_err(io::Error::other)?,
            }
        }
    }
}
