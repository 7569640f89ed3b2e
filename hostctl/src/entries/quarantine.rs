//! Versions that have failed on this host.

use super::EntriesError;
use berth_contract::{
    digest::RootHash,
    update::Quarantined,
    version::{ImageId, OsVersion},
};
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Versions that are remembered; the oldest go first.
const MAX: usize = 64;
/// Largest file that is read.
const MAX_SIZE: u64 = 1 << 20;

/// The list as it is in its file ([`berth_contract::paths::QUARANTINE`]).
#[derive(Debug)]
pub struct Quarantine {
    path: PathBuf,
    /// Oldest first.
    list: Vec<Quarantined>,
}

impl Quarantine {
    /// Reads it; without a file it is empty.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn load(path: &Path) -> Result<Self, EntriesError> {
        let mut bytes = Vec::new();
        match File::open(path).and_then(|file| file.take(MAX_SIZE).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => bytes.extend(b"[]"),
            Err(source) => return Err(EntriesError::Io { verb: "read", path: path.to_owned(), source }),
        }
        let json = |source| EntriesError::Json { path: path.to_owned(), wanted: "the versions that failed", source };
        Ok(Self { path: path.to_owned(), list: serde_json::from_slice(&bytes).map_err(json)? })
    }

    /// All, oldest first.
    #[must_use]
    pub fn list(&self) -> &[Quarantined] {
        &self.list
    }

    /// Whether a version has failed, and how.
    #[must_use]
    pub fn find(&self, id: &ImageId, version: &OsVersion, root_hash: RootHash) -> Option<&Quarantined> {
        self.list.iter().find(|it| it.id == *id && it.version == *version && it.root_hash == root_hash)
    }

    /// Adds a version, once, and writes the file.
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

    /// Removes a version that has been found healthy after all. Nothing is written where it is not there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&mut self, id: &ImageId, version: &OsVersion, root_hash: RootHash) -> Result<(), EntriesError> {
        let before = self.list.len();
        self.list.retain(|it| (&it.id, &it.version, it.root_hash) != (id, version, root_hash));
        if self.list.len() == before { Ok(()) } else { self.store() }
    }

    /// The old file or the new one, whenever the power fails.
    fn store(&self) -> Result<(), EntriesError> {
        let write = || {
            let folder = self.path.parent().unwrap_or(Path::new("/"));
            fs::create_dir_all(folder)?;
            let mut beside = OsString::from(&self.path);
            beside.push(".new");
            let mut file = File::create(&beside)?;
            file.write_all(&serde_json::to_vec_pretty(&self.list)?)?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|source| EntriesError::Io { verb: "write", path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::digest::Sha256;

    #[test]
    fn failures_are_remembered_once_and_forgotten_when_they_heal() {
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
        let mut quarantine = Quarantine::load(&path).unwrap();
        quarantine.remove(&"a".parse().unwrap(), &"1".parse().unwrap(), RootHash(Sha256([7; 32]))).unwrap();
        assert!(quarantine.list().is_empty() && !path.exists());
        for version in 0..MAX + 2 {
            quarantine.add(failed(version, "first")).unwrap();
        }
        quarantine.add(failed(10, "again")).unwrap();
        let mut quarantine = Quarantine::load(&path).unwrap();
        assert_eq!(quarantine.list().len(), MAX);
        let ten = failed(10, "again");
        assert_eq!(quarantine.find(&ten.id, &ten.version, ten.root_hash), Some(&ten));
        assert_eq!(quarantine.find(&ten.id, &ten.version, RootHash(Sha256([8; 32]))), None);
        quarantine.remove(&ten.id, &ten.version, ten.root_hash).unwrap();
        assert_eq!(Quarantine::load(&path).unwrap().list().len(), MAX - 1);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        fs::write(&path, "[{").unwrap();
        assert!(Quarantine::load(&path).unwrap_err().hint().unwrap().contains("remove"));
    }
}
