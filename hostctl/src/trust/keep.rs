//! What was trusted last: the newest root keys, which hold for every source, and for each source the newest metadata seen in it.
//! Files are replaced as a whole: a power cut leaves the old or the new, and a damaged one counts as none, so that no host
//! is cut off from updates by its own memory.

use super::TrustError;
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

/// The newest root keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Keys {
    /// Digests of the root.json that these follow, their own among them. An image may carry any.
    chain: BTreeSet<Sha256>,
    /// `root.json`
    root: Value,
}

/// What tough compares the metadata of one source with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// `timestamp.json`
    timestamp: Value,
    /// `snapshot.json`
    snapshot: Value,
}

#[derive(Debug)]
pub(super) struct Keep {
    keys_file: PathBuf,
    seen_file: PathBuf,
    /// The newest root metadata of the image's chain.
    root: Vec<u8>,
    chain: BTreeSet<Sha256>,
    seen: Option<Seen>,
}

impl Keep {
    /// Reads what is there of the source with this address, if it can be read.
    pub(super) fn read(folder: &Path, image_root: &[u8], address: &str) -> Self {
        let (keys_file, own) = (folder.join("trusted.json"), digest(image_root));
        // Of another repository signed by the same keys nothing follows for this one.
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

    /// The newest root metadata that is the image's own or follows it: keys that were replaced stay so, whichever version of
    /// the image runs.
    pub(super) fn root(&self) -> &[u8] {
        &self.root
    }

    /// The file with what was seen in this source.
    pub(super) fn seen_file(&self) -> &Path {
        &self.seen_file
    }

    /// Lays out what tough wants to find. It takes none of it that the keys of today have not signed.
    pub(super) fn seed(&self, folder: &Path) -> io::Result<()> {
        let Some(seen) = &self.seen else { return Ok(()) };
        fs::write(folder.join("timestamp.json"), seen.timestamp.to_string())?;
        fs::write(folder.join("snapshot.json"), seen.snapshot.to_string())
    }

    /// Keeps what tough has left in `folder`; `followed` are the digests of the root.json that it has followed.
    pub(super) fn write(&self, folder: &Path, followed: Vec<Sha256>) -> Result<(), TrustError> {
        let read = |name: &str| {
            let parsed = fs::read(folder.join(name)).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
            parsed.map_err(|source| TrustError::Scratch { source })
        };
        let chain = self.chain.iter().copied().chain(followed).collect();
        // Keys first: what they have not signed counts for nothing.
        put(&self.keys_file, &Keys { chain, root: read("root.json")? })?;
        put(&self.seen_file, &Seen { timestamp: read("timestamp.json")?, snapshot: read("snapshot.json")? })
    }
}

fn digest(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

/// Where the kept keys and the image's are of one chain: the kept root if it is the newer one, and what is known of the chain.
fn related(keys: &Keys, image_root: &[u8]) -> Option<(Option<Vec<u8>>, BTreeSet<Sha256>)> {
    let parse = |bytes: &[u8]| {
        let root: Signed<Root> = serde_json::from_slice(bytes).ok()?;
        root.signed.verify_role(&root).ok()?;
        Some(root)
    };
    let bytes = serde_json::to_vec(&keys.root).ok()?;
    let (kept, image) = (parse(&bytes)?, parse(image_root)?);
    // An image that is older than all that this host has run, or newer: the older keys have signed the newer ones.
    let follows = |new: &Signed<Root>, old: &Signed<Root>| {
        new.signed.version > old.signed.version && old.signed.verify_role(new).is_ok()
    };
    let one = keys.chain.contains(&digest(image_root)) || follows(&kept, &image) || follows(&image, &kept);
    one.then(|| ((kept.signed.version >= image.signed.version).then_some(bytes), keys.chain.clone()))
}

/// Replaces the file, if it says something else.
fn put<T: DeserializeOwned + PartialEq + Serialize>(path: &Path, new: &T) -> Result<(), TrustError> {
    if file::json(path).is_ok_and(|old: T| old == *new) {
        return Ok(());
    }
    file::replace_json(path, new).map_err(TrustError::Keep)
}
