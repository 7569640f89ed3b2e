//! Bytes that are known by their digest.

use berth_contract::digest::Sha256;
use std::path::PathBuf;

/// What is wanted: exactly these bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Want {
    /// Their digest.
    pub sha256: Sha256,
    /// Their number.
    pub size: u64,
}

/// A blob that lies in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// What it is.
    pub want: Want,
    /// Where it is. Never written to.
    pub path: PathBuf,
}
