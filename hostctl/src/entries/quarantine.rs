//! The quarantine: versions that have failed on this host.

use super::EntriesError;
use crate::file::{self, FileError};
use berth_contract::{
    digest::RootHash,
    update::Quarantined,
    version::{ImageId, OsVersion},
};
use std::path::{Path, PathBuf};

/// Most versions in the list. Beyond that the oldest are removed.
const MAX: usize = 64;

/// The list in its file ([`berth_contract::paths::QUARANTINE`]).
#[derive(Debug)]
pub struct Quarantine {
    path: PathBuf,
    /// Oldest first.
    list: Vec<Quarantined>,
    damage: Option<FileError>,
}

impl Quarantine {
    /// Reads the file. Without a file, or with a damaged one, the list is empty.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        let (list, damage) = file::json_or_empty(path);
        Self { path: path.to_owned(), list, damage }
    }

    /// Why the file could not be read, although it exists.
    #[must_use]
    pub fn damage(&self) -> Option<&FileError> {
        self.damage.as_ref()
    }

    /// Forgets all versions and removes the file, also a damaged one. Returns the forgotten versions.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn forget(self) -> Result<Vec<Quarantined>, EntriesError> {
        file::remove(&self.path)?;
        Ok(self.list)
    }

    /// All versions, oldest first.
    #[must_use]
    pub fn list(&self) -> &[Quarantined] {
        &self.list
    }

    /// The record of a version, if it has failed.
    #[must_use]
    pub fn find(&self, id: &ImageId, version: &OsVersion, root_hash: RootHash) -> Option<&Quarantined> {
        self.list.iter().find(|it| it.id == *id && it.version == *version && it.root_hash == root_hash)
    }

    /// Adds a version, or replaces its record, and writes the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&mut self, failed: Quarantined) -> Result<(), EntriesError> {
        self.list.retain(|it| (&it.id, &it.version, it.root_hash) != (&failed.id, &failed.version, failed.root_hash));
        self.list.push(failed);
        let surplus = self.list.len().saturating_sub(MAX);
        self.list.drain(..surplus);
        self.store()
    }

    /// Removes a version that was found healthy later. If it is not in the list, nothing is written.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&mut self, id: &ImageId, version: &OsVersion, root_hash: RootHash) -> Result<(), EntriesError> {
        let before = self.list.len();
        self.list.retain(|it| (&it.id, &it.version, it.root_hash) != (id, version, root_hash));
        if self.list.len() == before { Ok(()) } else { self.store() }
    }

    fn store(&self) -> Result<(), EntriesError> {
        Ok(file::replace_json(&self.path, &self.list)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::digest::Sha256;
    use std::fs;

    #[test]
    fn a_failed_version_is_listed_once_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("update/quarantine.json");
        let failed = |version: usize, cause: &str| Quarantined {
            id: "a".parse().unwrap(),
            version: version.to_string().parse().unwrap(),
            root_hash: RootHash(Sha256([7; 32])),
            cause: cause.into(),
            tries: 3,
            at: 5,
        };
        let mut quarantine = Quarantine::load(&path);
        quarantine.remove(&"a".parse().unwrap(), &"1".parse().unwrap(), RootHash(Sha256([7; 32]))).unwrap();
        assert!(quarantine.list().is_empty() && !path.exists());
        for version in 0..MAX + 2 {
            quarantine.add(failed(version, "first")).unwrap();
        }
        quarantine.add(failed(10, "again")).unwrap();
        let mut quarantine = Quarantine::load(&path);
        assert_eq!(quarantine.list().len(), MAX);
        let ten = failed(10, "again");
        assert_eq!(quarantine.find(&ten.id, &ten.version, ten.root_hash), Some(&ten));
        assert_eq!(quarantine.find(&ten.id, &ten.version, RootHash(Sha256([8; 32]))), None);
        quarantine.remove(&ten.id, &ten.version, ten.root_hash).unwrap();
        assert_eq!(Quarantine::load(&path).list().len(), MAX - 1);
        fs::write(&path, "[{").unwrap();
        for damaged in ["[{", "", "{}"] {
            fs::write(&path, damaged).unwrap();
            let mut quarantine = Quarantine::load(&path);
            assert!(quarantine.list().is_empty() && quarantine.damage().is_some(), "{damaged}");
            quarantine.add(ten.clone()).unwrap();
            assert!(Quarantine::load(&path).damage().is_none(), "a new list replaces the damaged file");
        }
        assert_eq!(Quarantine::load(&path).forget().unwrap(), [ten]);
        assert!(!path.exists());
    }
}
