//! The signed targets of a repository, as the module that fills a slot reads them.

use super::{Repository, TrustError};
use crate::slots::{Remote, RemoteError};
use berth_contract::digest::Sha256;
use std::io::Read;

impl Remote for Repository {
    fn len(&self, target: &str) -> Option<u64> {
        self.target(target).map(|info| info.length)
    }

    fn sha256(&self, target: &str) -> Option<Sha256> {
        self.target(target).map(|info| info.sha256)
    }

    fn read_whole(&self, target: &str, limit: u64) -> Result<Vec<u8>, RemoteError> {
        Self::read_whole(self, target, limit).map_err(|error| remote_error(target, error))
    }

    fn open(&self, target: &str, start: u64, len: Option<u64>) -> Result<Box<dyn Read + '_>, RemoteError> {
        let opened = Self::open(self, target, start, len).map_err(|error| remote_error(target, error))?;
        Ok(Box::new(opened))
    }
}

fn remote_error(target: &str, error: TrustError) -> RemoteError {
    let target = target.to_owned();
    if error.is_no_ranges() {
        RemoteError::NoRanges { target }
    } else {
        RemoteError::Failed { target, cause: error.into() }
    }
}
