//! The other side: a release's targets, wherever they lie.

use std::{
    cell::Cell,
    io::{self, Read},
};

/// Where a release's targets are read from. Names are those of the signed metadata.
pub trait Remote {
    /// Bytes of a target as signed; nothing when there is no such target.
    fn len(&self, target: &str) -> Option<u64>;

    /// All of a target of at most `limit` bytes, its digest verified.
    ///
    /// # Errors
    /// When there is none, it is longer, cannot be read, or is not the one that was signed.
    fn read_whole(&self, target: &str, limit: u64) -> Result<Vec<u8>, RemoteError>;

    /// The bytes of a target from `start` on, `len` of them or all that follow. What comes is NOT verified; a broken
    /// connection has been taken up again as often as makes sense when reading fails.
    ///
    /// # Errors
    /// [`RemoteError::NoRanges`] where only whole targets can be read; when there is no such target, or it cannot be read.
    fn open(&self, target: &str, start: u64, len: Option<u64>) -> Result<Box<dyn Read + '_>, RemoteError>;
}

/// Why a target cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The server answers with whole targets only.
    #[error("{target}: the server does not send parts of files")]
    NoRanges {
        /// The target.
        target: String,
    },
    /// It is not in the release.
    #[error("{target}: not among the signed targets")]
    Missing {
        /// The target.
        target: String,
    },
    /// Longer than it may be.
    #[error("{target}: expected at most {limit} bytes, found {found}")]
    TooLong {
        /// The target.
        target: String,
        /// The most it may have.
        limit: u64,
        /// What was signed.
        found: u64,
    },
    /// Anything else.
    #[error("{target}: cannot be fetched")]
    Failed {
        /// The target.
        target: String,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A remote that counts what comes from it.
pub(super) struct Meter<'a> {
    remote: &'a dyn Remote,
    /// Bytes that have come.
    fetched: Cell<u64>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(remote: &'a dyn Remote) -> Self {
        Self { remote, fetched: Cell::new(0) }
    }

    pub(super) fn fetched(&self) -> u64 {
        self.fetched.get()
    }

    fn count(&self, bytes: usize) {
        self.fetched.set(self.fetched.get().saturating_add(bytes as u64));
    }

    /// Bytes of a target.
    pub(super) fn len(&self, target: &str) -> Result<u64, RemoteError> {
        self.remote.len(target).ok_or_else(|| RemoteError::Missing { target: target.to_owned() })
    }

    /// [`Remote::read_whole`].
    pub(super) fn read_whole(&self, target: &str, limit: u64) -> Result<Vec<u8>, RemoteError> {
        let found = self.len(target)?;
        if found > limit {
            return Err(RemoteError::TooLong { target: target.to_owned(), limit, found });
        }
        let bytes = self.remote.read_whole(target, limit)?;
        self.count(bytes.len());
        Ok(bytes)
    }

    /// [`Remote::open`]; never more than `len` bytes, or those of the target.
    pub(super) fn open(&self, target: &str, start: u64, len: Option<u64>) -> Result<Metered<'_>, RemoteError> {
        let rest = self.len(target)?.saturating_sub(start);
        let inner = self.remote.open(target, start, len)?.take(len.map_or(rest, |len| len.min(rest)));
        Ok(Metered { inner, meter: self })
    }
}

/// Reader of [`Meter::open`].
pub(super) struct Metered<'a> {
    inner: io::Take<Box<dyn Read + 'a>>,
    meter: &'a Meter<'a>,
}

impl Read for Metered<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buf)?;
        self.meter.count(got);
        Ok(got)
    }
}
