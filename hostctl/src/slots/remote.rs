//! The other side: a release's targets, wherever they lie.

use super::error::SlotError;
use berth_contract::digest::Sha256;
use sha2::Digest as _;
use std::{
    cell::Cell,
    io::{self, Read},
};

/// Where a release's targets are read from. Names are those of the signed metadata.
pub trait Remote {
    /// Bytes of a target as signed; nothing when there is no such target.
    fn len(&self, target: &str) -> Option<u64>;

    /// Digest of a target as signed; nothing when there is no such target.
    fn sha256(&self, target: &str) -> Option<Sha256>;

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
    /// The server answers with whole targets only, or with other parts.
    #[error("{target}: the server does not send parts of files as it is asked to")]
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

/// Asks for the first byte of a target.
pub(super) fn first_byte(remote: &dyn Remote, target: &str) -> Result<(), RemoteError> {
    let read = remote.open(target, 0, Some(1))?.read_exact(&mut [0]);
    read.map_err(|error| RemoteError::Failed { target: target.to_owned(), cause: error.into() })
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

    /// All of a target, hashed while it is read: see [`Hashed::judge`].
    pub(super) fn open_whole(&self, target: &str) -> Result<Hashed<'_>, RemoteError> {
        let missing = || RemoteError::Missing { target: target.to_owned() };
        let wanted = self.remote.sha256(target).ok_or_else(missing)?;
        let inner = self.open(target, 0, None)?;
        Ok(Hashed { inner, target: target.to_owned(), wanted, hasher: sha2::Sha256::new() })
    }
}

/// Reader of [`Meter::open_whole`].
pub(super) struct Hashed<'a> {
    inner: Metered<'a>,
    target: String,
    wanted: Sha256,
    hasher: sha2::Sha256,
}

impl Hashed<'_> {
    /// Reads what is left, and compares the digest of all with the one that was signed.
    fn check(mut self) -> Result<(), SlotError> {
        let target = self.target.clone();
        io::copy(&mut self, &mut io::sink()).map_err(|cause| SlotError::Stream { target, cause })?;
        match Sha256(self.hasher.finalize().into()) {
            found if found == self.wanted => Ok(()),
            found => {
                let (target, part) = (self.target, "the file".to_owned());
                Err(SlotError::Digest { target, part, wanted: self.wanted, found })
            }
        }
    }

    /// What came of the bytes, if they are those that were signed. Where all of them have come and are not, that is the reason
    /// of whatever else is wrong; those that have not come are not fetched to know.
    pub(super) fn judge<T>(self, result: Result<T, SlotError>) -> Result<T, SlotError> {
        match result {
            Err(error) if error.is_final() || self.inner.inner.limit() > 0 => Err(error),
            result => self.check().and(result),
        }
    }
}

impl Read for Hashed<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buf)?;
        self.hasher.update(&buf[..got]);
        Ok(got)
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
