//! An ESP in a file, and the changes to it.

use crate::tiny_efi;
use berth_contract::{
    digest::{RootHash, Sha256},
    entry::BootCounter,
    version::OsVersion,
};
use berth_formats::{data::Data, fat, range::Range};
use hostctl::entries::{Blessing, Destination, Entries, EntriesError, OtherSlot, Quarantine, Running, next};
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

pub(crate) const SIZE: u64 = 34 << 20;

/// The root hash of a version in these tests.
pub(crate) fn hash(version: &str) -> RootHash {
    RootHash(Sha256([version.bytes().fold(0, |sum, byte| sum ^ byte); 32]))
}

pub(crate) fn uki(version: &str) -> Vec<u8> {
    tiny_efi::version("a", version, &hash(version).to_string())
}

/// An ESP with files in /EFI/Linux. Versions are one character each.
pub(crate) struct Esp {
    pub(crate) _dir: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Esp {
    pub(crate) fn new(files: &[&str]) -> Self {
        let of = |name: &&str| match name.strip_prefix("a_") {
            Some(rest) => (format!("EFI/Linux/{name}"), Data::from(uki(&rest[..1]))),
            None => (format!("EFI/Linux/{name}"), Data::from(b"not a program".to_vec())),
        };
        Self::with(&files.iter().map(of).collect())
    }

    pub(crate) fn with(files: &BTreeMap<String, Data>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("esp");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(SIZE).unwrap();
        fat::write(&Range::new(&file, 0, SIZE), "ESP", 1, 0, files).unwrap();
        Self { _dir: dir, path }
    }

    pub(crate) fn open(&self) -> Entries {
        Entries::open(&self.path).unwrap()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        Entries::look(&self.path).unwrap().into_iter().map(|found| found.file).collect()
    }

    pub(crate) fn next(&self) -> String {
        next(&Entries::look(&self.path).unwrap()).unwrap().file.clone()
    }

    /// Does what the boot loader does: counts a try of the next entry. Returns its new name.
    pub(crate) fn boot(&self) -> String {
        let file = self.next();
        if let Ok(mut entry) = file.parse::<berth_contract::entry::BootEntry>()
            && let Some(BootCounter { left, done }) = entry.counter
        {
            entry.counter = Some(BootCounter { left: left.saturating_sub(1), done: done + 1 });
            let device = File::options().read(true).write(true).open(&self.path).unwrap();
            fat::Editor::open(device).unwrap().rename("EFI/Linux", &file, &entry.to_string()).unwrap();
            return entry.to_string();
        }
        file
    }
}

pub(crate) fn running(version: &str) -> Running {
    Running { id: "a".parse().unwrap(), version: version.parse().unwrap(), root_hash: hash(version) }
}

pub(crate) fn other(version: &str) -> OtherSlot {
    OtherSlot { root_hash: Some(hash(version)), ..OtherSlot::default() }
}

pub(crate) fn quarantine(dir: &Path) -> Quarantine {
    Quarantine::load(&dir.join("quarantine.json"))
}

pub(crate) fn upgrade(esp: &Esp, from: &str, to: &str) {
    let (running, version): (_, OsVersion) = (running(from), to.parse().unwrap());
    let mut entries = esp.open();
    entries.check_room(&running, uki(to).len() as u64).unwrap();
    entries.clear_idle(&running, None).unwrap();
    entries.stage(&running.id, &version, &uki(to)).unwrap();
    entries.commit(&running.id, &version, &running).unwrap();
}

pub(crate) fn rollback(esp: &Esp, from: &str, to: &str) -> Result<(), EntriesError> {
    let dir = tempfile::tempdir().unwrap();
    let done = esp.open().rollback(&running(from), Destination::Other, &other(to), &quarantine(dir.path()))?;
    assert_eq!(done.to_string(), format!("a_{to}+3.efi"));
    Ok(())
}

pub(crate) fn bless(esp: &Esp, version: &str) -> Blessing {
    esp.open().bless(&running(version)).unwrap()
}
