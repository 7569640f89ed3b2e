//! What was trusted last, in one file that is replaced as a whole: a power cut leaves the old or the new, and a damaged one
//! counts as none, so that no host is cut off from updates by its own memory.

use crate::file::{self, FileError};
use berth_contract::digest::Sha256;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Digest as _;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use tough::schema::{Root, Signed};

const NAME: &str = "trusted.json";

/// The three files that tough compares new metadata with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// Digest of the image's root.json. Roots that follow another are none of ours.
    origin: Sha256,
    /// `root.json`
    root: Value,
    /// `timestamp.json`
    timestamp: Value,
    /// `snapshot.json`
    snapshot: Value,
}

#[derive(Debug)]
pub(super) struct Keep {
    folder: PathBuf,
    origin: Sha256,
    kept: Option<Kept>,
}

impl Keep {
    /// Reads what is there, if it can be read.
    pub(super) fn read(folder: &Path, image_root: &[u8]) -> Self {
        let origin = Sha256(sha2::Sha256::digest(image_root).into());
        let kept = file::json(&folder.join(NAME)).ok();
        Self { folder: folder.to_owned(), origin, kept }
    }

    /// The newest root metadata that follows the image's own.
    pub(super) fn root(&self) -> Option<Vec<u8>> {
        let kept = self.kept.as_ref().filter(|kept| kept.origin == self.origin)?;
        let bytes = serde_json::to_vec(&kept.root).ok()?;
        let root: Signed<Root> = serde_json::from_slice(&bytes).ok()?;
        root.signed.verify_role(&root).ok()?;
        Some(bytes)
    }

    /// Lays out what tough wants to find. It takes none of it that the keys of today have not signed.
    pub(super) fn seed(&self, folder: &Path) -> io::Result<()> {
        let Some(kept) = &self.kept else { return Ok(()) };
        fs::write(folder.join("timestamp.json"), kept.timestamp.to_string())?;
        fs::write(folder.join("snapshot.json"), kept.snapshot.to_string())
    }

    /// Keeps what tough has left in `folder`.
    pub(super) fn write(&self, folder: &Path) -> Result<(), FileError> {
        let read = |name: &str| file::json(&folder.join(name));
        let new = Kept {
            origin: self.origin,
            root: read("root.json")?,
            timestamp: read("timestamp.json")?,
            snapshot: read("snapshot.json")?,
        };
        if self.kept.as_ref() == Some(&new) { Ok(()) } else { file::replace_json(&self.folder.join(NAME), &new) }
    }
}
