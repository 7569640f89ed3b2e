//! A target as a stream that is checked when it ends.

use super::TrustError;
use crate::source::Opened;
use berth_contract::digest::Sha256;
use sha2::Digest as _;
use std::{
    fmt,
    io::{self, Read},
};

/// Reads a whole target from its first byte on. The end of the file is only reported when length and digest are those that
/// were signed; until then, nothing that was read may be believed. Its errors have a [`TrustError`] or a
/// [`berth_fetch::error::FetchError`] inside.
pub struct VerifiedReader<'a> {
    pub(super) opened: Opened<'a>,
    pub(super) name: String,
    pub(super) wanted: Sha256,
    pub(super) hasher: sha2::Sha256,
}

impl fmt::Debug for VerifiedReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedReader").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Read for VerifiedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.opened.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        if read == 0 && !buffer.is_empty() {
            let found = Sha256(self.hasher.clone().finalize().into());
            if found != self.wanted {
                let error = TrustError::Digest { name: self.name.clone(), wanted: self.wanted, found };
                return Err(io::Error::other(error));
            }
        }
        Ok(read)
    }
}
