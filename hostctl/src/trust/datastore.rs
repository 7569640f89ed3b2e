//! The metadata that were trusted last: the newest root keys, which apply to every source, and for each source the newest metadata seen
//! there. Files are replaced atomically, so a power cut leaves the old or the new one. A damaged file is ignored, so that it cannot cut a
//! host off from updates.

use super::error::TrustError;
use crate::file;
use berth_contract::digest::Sha256;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::Digest as _;
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};
use tough::schema::{Root, Signed};

/// The file with the newest root keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Keys {
    /// SHA-256 of every root.json in the chain of these keys, including their own. An image may contain any of them.
    chain: BTreeSet<Sha256>,
    /// `root.json`
    root: Value,
}

/// The file with the newest metadata of one source, with which tough compares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// `timestamp.json`
    timestamp: Value,
    /// `snapshot.json`
    snapshot: Value,
}

#[derive(Debug)]
pub(super) struct Datastore {
    keys_file: PathBuf,
    seen_file: PathBuf,
    /// The newest root.json of the image's chain.
    root: Vec<u8>,
    chain: BTreeSet<Sha256>,
    seen: Option<Seen>,
}

impl Datastore {
    /// Reads the files for the source with this address. Unreadable files are ignored.
    pub(super) fn read(folder: &Path, image_root: &[u8], address: &str) -> Self {
        let (keys_file, own) = (folder.join("trusted.json"), digest(image_root));
        // Each source has its own file: another repository signed by the same keys has other versions.
        let seen_file = folder.join(format!("seen-{}.json", digest(address.as_bytes())));
        let seen = file::json(&seen_file).ok();
        let (mut root, mut chain) = (image_root.to_owned(), BTreeSet::new());
        if let Some((kept, known)) = file::json(&keys_file).ok().and_then(|keys| related(&keys, image_root)) {
            root = kept.unwrap_or(root);
            chain = known;
        }
        chain.insert(own);
        Self { keys_file, seen_file, root, chain, seen }
    }

    /// The newest root.json that is the image's own or follows it. So replaced keys stay replaced, whichever version of the image runs.
    pub(super) fn root(&self) -> &[u8] {
        &self.root
    }

    /// The file that stores what was seen in this source.
    pub(super) fn seen_file(&self) -> &Path {
        &self.seen_file
    }

    /// Writes the files that tough expects. tough ignores them unless the present keys have signed them.
    pub(super) fn seed(&self, folder: &Path) -> io::Result<()> {
        let Some(seen) = &self.seen else { return Ok(()) };
        fs::write(folder.join("timestamp.json"), seen.timestamp.to_string())?;
        fs::write(folder.join("snapshot.json"), seen.snapshot.to_string())
    }

    /// Stores what tough has left in `folder`. `followed` are the digests of the root.json files that tough has followed.
    pub(super) fn write(&self, folder: &Path, followed: Vec<Sha256>) -> Result<(), TrustError> {
        let read = |name: &str| {
            let parsed = fs::read(folder.join(name)).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
            parsed.map_err(|source| TrustError::Scratch { source })
        };
        let chain = self.chain.iter().copied().chain(followed).collect();
        // Write the keys first: metadata that they have not signed are ignored.
        put(&self.keys_file, &Keys { chain, root: read("root.json")? })?;
        put(&self.seen_file, &Seen { timestamp: read("timestamp.json")?, snapshot: read("snapshot.json")? })
    }
}

fn digest(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

/// If the stored keys and those of the image are of one chain: the stored root.json if it is not older, and the known digests of the chain.
fn related(keys: &Keys, image_root: &[u8]) -> Option<(Option<Vec<u8>>, BTreeSet<Sha256>)> {
    let parse = |bytes: &[u8]| {
        let root: Signed<Root> = serde_json::from_slice(bytes).ok()?;
        root.signed.verify_role(&root).ok()?;
        Some(root)
    };
    let bytes = serde_json::to_vec(&keys.root).ok()?;
    let (kept, image) = (parse(&bytes)?, parse(image_root)?);
    // The image may be older or newer than all that this host has run. In both cases the older keys have signed the newer ones.
    let follows = |new: &Signed<Root>, old: &Signed<Root>| {
        new.signed.version > old.signed.version && old.signed.verify_role(new).is_ok()
    };
    let one = keys.chain.contains(&digest(image_root)) || follows(&kept, &image) || follows(&image, &kept);
    one.then(|| ((kept.signed.version >= image.signed.version).then_some(bytes), keys.chain.clone()))
}

/// Replaces the file if its content differs.
fn put<T: DeserializeOwned + PartialEq + Serialize>(path: &Path, new: &T) -> Result<(), TrustError> {
    if file::json(path).is_ok_and(|old: T| old == *new) {
        return Ok(());
    }
    file::replace_json(path, new).map_err(TrustError::Datastore)
}
