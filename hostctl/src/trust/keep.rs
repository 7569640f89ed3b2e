//! What was trusted last, in one file that is replaced as a whole: a power cut leaves the old or the new, and a damaged one
//! counts as none, so that no host is cut off from updates by its own memory.

use berth_contract::digest::Sha256;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Digest as _;
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use tough::schema::{Root, Signed};

const NAME: &str = "trusted.json";
/// More than it can ever have.
const MAX_SIZE: u64 = 3 * berth_contract::release::MAX_METADATA;

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
        let mut bytes = Vec::new();
        let kept = File::open(folder.join(NAME))
            .and_then(|file| file.take(MAX_SIZE).read_to_end(&mut bytes))
            .ok()
            .and_then(|_| serde_json::from_slice(&bytes).ok());
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
    pub(super) fn write(&self, folder: &Path) -> Result<(), (PathBuf, io::Error)> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)).map_err(|error| (path, error))
        };
        let new = Kept {
            origin: self.origin,
            root: read("root.json")?,
            timestamp: read("timestamp.json")?,
            snapshot: read("snapshot.json")?,
        };
        if self.kept.as_ref() == Some(&new) {
            return Ok(());
        }
        let path = self.folder.join(NAME);
        self.replace(&path, &new).map_err(|error| (path, error))
    }

    fn replace(&self, path: &Path, new: &Kept) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let draft = path.with_extension("new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(new)?)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(&self.folder)?.sync_all()
    }
}
