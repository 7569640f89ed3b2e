//! What runs.

use berth_contract::{
    digest::RootHash,
    version::{ImageId, OsVersion},
};

/// The version that runs: image and version of its image.json, the root hash of its root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Which image.
    pub id: ImageId,
    /// Which version of it.
    pub version: OsVersion,
    /// Its root hash.
    pub root_hash: RootHash,
}
