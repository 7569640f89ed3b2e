//! Reading the targets of a release, wherever they are stored.

use super::error::{RemoteError, SlotError};
use berth_contract::digest::Sha256;
use sha2::Digest as _;
use std::{
    cell::Cell,
    io::{self, Read},
};

/// The targets of a release. Their names are those of the signed metadata.
pub trait Remote {
    /// The signed length of a target in bytes; `None` when there is no such target.
    fn len(&self, target: &str) -> Option<u64>;

    /// The signed digest of a target; `None` when there is no such target.
    fn sha256(&self, target: &str) -> Option<Sha256>;

    /// Reads a whole target of at most `limit` bytes and verifies its digest.
    ///
    /// # Errors
    /// When there is no such target, it is longer than `limit`, cannot be read, or has another digest than the signed one.
    fn read_whole(&self, target: &str, limit: u64) -> Result<Vec<u8>, RemoteError>;

    /// Reads `len` bytes of a target from `start` on, or all that follow. The bytes are NOT verified. When the reader fails, it has already
    /// retried a broken connection as often as is useful.
    ///
    /// # Errors
    /// [`RemoteError::NoRanges`] when only whole targets can be read; another error when there is no such target, or it cannot be read.
    fn open(&self, target: &str, start: u64, len: Option<u64>) -> Result<Box<dyn Read + '_>, RemoteError>;
}

/// Requests the first byte of a target.
pub(super) fn first_byte(remote: &dyn Remote, target: &str) -> Result<(), RemoteError> {
    let read = remote.open(target, 0, Some(1))?.read_exact(&mut [0]);
    read.map_err(|error| RemoteError::Failed { target: target.to_owned(), cause: error.into() })
}

/// A remote that counts the fetched bytes.
pub(super) struct Meter<'a> {
    remote: &'a dyn Remote,
    /// Bytes fetched so far.
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

    /// The signed length of a target in bytes.
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

    /// [`Remote::open`], limited to `len` bytes or to the signed length of the target.
    pub(super) fn open(&self, target: &str, start: u64, len: Option<u64>) -> Result<Metered<'_>, RemoteError> {
        let rest = self.len(target)?.saturating_sub(start);
        let inner = self.remote.open(target, start, len)?.take(len.map_or(rest, |len| len.min(rest)));
        Ok(Metered { inner, meter: self })
    }

    /// Opens a whole target that is hashed while it is read: see [`Hashed::judge`].
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
    /// Reads the rest, and compares the digest of the whole target with the signed one.
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

    /// Returns `result` if the digest is the signed one. If all bytes have arrived and the digest is wrong, that is the reported error,
    /// because it explains `result`. If bytes are missing, they are not fetched only to know this.
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
