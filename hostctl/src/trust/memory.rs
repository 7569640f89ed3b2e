//! What a host remembers of the repositories that it has trusted: the signed root.json files, the newest metadata, and the highest time.
//!
//! The memory is on /var, so it proves nothing by itself. Root keys in it count only if a chain of signatures leads to them from the root.json
//! of the image; it is walked anew each time. Metadata in it count only if those keys have signed them. So whoever changes the memory
//! can make a host forget, but cannot make it trust anything.
//!
//! There is one file for each chain of root keys, not for each source: the same repository may be offered at another address. Files are
//! replaced atomically. A damaged file counts as empty, so that it cannot cut a host off from updates.

use super::{chain::RootChain, error::TrustError, root_keys};
use crate::file;
use berth_contract::{digest::Sha256, update::UpgradeEvent};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};
use tough::schema::{Root, Signed, Timestamp};

/// The file of one chain of root keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// Every root.json of the chain that this host has trusted, by its version.
    roots: BTreeMap<u64, String>,
    /// The newest `timestamp.json`.
    timestamp: String,
    /// The newest `snapshot.json`.
    snapshot: String,
    /// The highest time, in seconds since 1970, at which metadata of this chain were found to be valid.
    latest: u64,
}

impl Record {
    /// The highest time, if the record does not contradict itself: it was stored when the timestamp metadata had not expired.
    fn time(&self) -> u64 {
        let timestamp: Option<Signed<Timestamp>> = serde_json::from_str(&self.timestamp).ok();
        let until = timestamp.and_then(|timestamp| u64::try_from(timestamp.signed.expires.as_second()).ok());
        if until.is_some_and(|until| self.latest <= until) { self.latest } else { 0 }
    }

    /// The version of the timestamp metadata if the newest keys of the chain have signed them.
    fn seen_version(&self, chain: &RootChain) -> Option<u64> {
        let timestamp: Signed<Timestamp> = serde_json::from_str(&self.timestamp).ok()?;
        chain.newest().signed.verify_role(&timestamp).ok().map(|()| timestamp.signed.version.get())
    }
}

/// The memory that applies to the running image.
#[derive(Debug)]
pub(super) struct Memory {
    /// The file of the image's chain.
    path: PathBuf,
    /// The image's root.json, and the ones after it.
    chain: RootChain,
    /// Root keys before those of the image: an older image may run again.
    older: BTreeMap<u64, String>,
    /// `timestamp.json` and `snapshot.json`.
    seen: Option<(String, String)>,
    latest: u64,
}

impl Memory {
    /// Reads the memory in `folder`. `report` receives what is damaged.
    ///
    /// # Errors
    /// When the image's own root.json is wrong.
    pub(super) fn read(
        folder: &Path,
        image_root: &[u8],
        report: &mut dyn FnMut(UpgradeEvent),
    ) -> Result<Self, TrustError> {
        let mut chain = RootChain::of_image(image_root)?;
        let mut damaged = |path: &Path, fault: String| {
            report(UpgradeEvent::MemoryDamaged { path: path.display().to_string(), fault });
        };
        let (mut path, mut older, mut latest) = (None, BTreeMap::new(), 0);
        let records = records(folder, &mut damaged);
        for (file, record) in &records {
            let Some(related) = Related::of(record, &chain) else { continue };
            latest = latest.max(record.time());
            older.extend(related.older);
            for (version, text) in related.newer {
                if let Err(fault) = chain.push(&text) {
                    damaged(file, format!("{version}.root.json: {fault}"));
                    break;
                }
            }
            path.get_or_insert_with(|| file.clone());
        }
        // Metadata that the present keys have signed count, whichever file they are in.
        let mut seen = None;
        for (_, record) in &records {
            let Some(version) = record.seen_version(&chain) else { continue };
            latest = latest.max(record.time());
            seen = seen.max(Some((version, record.timestamp.clone(), record.snapshot.clone())));
        }
        let seen = seen.map(|(_, timestamp, snapshot)| (timestamp, snapshot));
        let path = path.unwrap_or_else(|| folder.join(format!("{}.json", digest(image_root))));
        Ok(Self { path, chain, older, seen, latest })
    }

    /// The newest root.json of the image's chain. So replaced keys stay replaced, whichever version of the image runs.
    pub(super) fn newest_root(&self) -> &str {
        self.chain.newest_text()
    }

    /// The highest time, in seconds since 1970, at which metadata were found to be valid; 0 if there is none.
    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    /// The file of this chain.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the files that tough expects. tough ignores them unless the present keys have signed them.
    pub(super) fn seed(&self, folder: &Path) -> io::Result<()> {
        let Some((timestamp, snapshot)) = &self.seen else { return Ok(()) };
        fs::write(folder.join("timestamp.json"), timestamp)?;
        fs::write(folder.join("snapshot.json"), snapshot)
    }

    /// Stores what tough has left in `folder`, the root.json files that tough has followed, and the present time.
    pub(super) fn write(mut self, folder: &Path, followed: &[String], now: u64) -> Result<(), TrustError> {
        let read = |name: &str| fs::read_to_string(folder.join(name)).map_err(|source| TrustError::Scratch { source });
        for text in followed {
            self.chain.push(text).map_err(|fault| TrustError::Root { fault })?;
        }
        let mut roots = self.older;
        roots.extend(self.chain.texts());
        let latest = self.latest.max(now);
        let record = Record { roots, timestamp: read("timestamp.json")?, snapshot: read("snapshot.json")?, latest };
        if file::json(&self.path).is_ok_and(|old: Record| old == record) {
            return Ok(());
        }
        file::replace_json(&self.path, &record).map_err(TrustError::Memory)
    }
}

/// The root keys of a record that belong to the chain of the image.
struct Related {
    older: BTreeMap<u64, String>,
    newer: BTreeMap<u64, String>,
}

impl Related {
    /// `None` if no signature connects the record with the image's root.json: it is of another chain.
    fn of(record: &Record, chain: &RootChain) -> Option<Self> {
        let image = chain.image();
        let version = image.signed.version.get();
        let parse = |text: &String| root_keys::parse(text.as_bytes()).ok();
        let older: BTreeMap<_, _> =
            record.roots.range(..version).map(|(version, text)| (*version, text.clone())).collect();
        let newer: BTreeMap<_, _> =
            record.roots.range(version + 1..).map(|(version, text)| (*version, text.clone())).collect();
        let before = || older.values().next_back().and_then(parse);
        let after = || newer.values().next().and_then(parse);
        let follows = |old: &Signed<Root>, new: &Signed<Root>| old.signed.verify_role(new).is_ok();
        let related = match record.roots.get(&version) {
            Some(own) => parse(own).is_some_and(|own| own.signed == image.signed),
            None => {
                before().is_some_and(|before| follows(&before, image))
                    || after().is_some_and(|after| follows(image, &after))
            }
        };
        related.then_some(Self { older, newer })
    }
}

/// All records in the folder, sorted by their file names.
fn records(folder: &Path, damaged: &mut dyn FnMut(&Path, String)) -> Vec<(PathBuf, Record)> {
    let listed = fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
    let mut paths: Vec<PathBuf> = listed.unwrap_or_default();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths.sort();
    let mut records = Vec::new();
    for path in paths {
        match file::json(&path) {
            Ok(record) => records.push((path, record)),
            Err(error) => damaged(&path, berth_contract::chain::Chain(&error).to_string()),
        }
    }
    records
}

fn digest(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}
