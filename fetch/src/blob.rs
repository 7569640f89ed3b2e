//! Content that is identified by its digest.

use berth_contract::digest::Sha256;
use std::path::PathBuf;

/// The expected content: digest and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Want {
    /// SHA-256 of the content.
    pub sha256: Sha256,
    /// Size in bytes.
    pub size: u64,
}

/// A blob in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its digest and size.
    pub want: Want,
    /// Its file. The file is read-only: never write to it.
    pub path: PathBuf,
}
