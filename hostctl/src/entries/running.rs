//! The running version.

use berth_contract::{
    digest::RootHash,
    version::{ImageId, OsVersion},
};

/// The running version: id and version from its image.json, and the root hash of its root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Image id.
    pub id: ImageId,
    /// Version.
    pub version: OsVersion,
    /// Root hash.
    pub root_hash: RootHash,
}
