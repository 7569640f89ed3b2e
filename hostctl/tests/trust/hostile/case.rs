//! A repository, and the host that reads it.

use crate::{
    kit::repo::{Host, Repo, record},
    tiny_efi,
};
use berth_contract::{
    digest::Sha256,
    image_spec::ImageSpec,
    release::{MAX_UKI, ReleaseRecord, STABLE, Target, UkiPart},
};
use hostctl::{
    entries::Uki,
    trust::{Criteria, select},
};
use serde_json::{Value, json};
use sha2::Digest as _;
use std::{collections::BTreeMap, fs, path::Path, process::Command};
use tempfile::TempDir;

/// A repository and the host that reads it.
pub(crate) struct Case {
    pub(crate) repo: Repo,
    pub(crate) host: Host,
    /// What the host has read before.
    pub(crate) before: Vec<TempDir>,
    /// The target that the host looks for.
    pub(crate) target: String,
    pub(crate) dir: TempDir,
    /// The repository without the attack.
    sound: TempDir,
}

impl Case {
    /// A sound repository with release 2, which the host has not read yet.
    pub(crate) fn new() -> Self {
        let mut repo = Repo::new();
        let record = release("host", "2", "x86_64", None);
        add(&mut repo, &record.0, record.1);
        repo.publish();
        let (host, sound) = (Host::of(&repo), copy(repo.dir.path()));
        let target = Target::Record.name(&record.0.id, &record.0.version, &record.0.arch);
        Self { repo, host, before: vec![], target, dir: TempDir::new().unwrap(), sound }
    }

    /// The host reads the repository as it is now.
    pub(super) fn visit(&mut self) {
        self.host.open_folder(self.repo.dir.path()).unwrap();
        self.sound = copy(self.repo.dir.path());
        self.before.push(copy(self.repo.dir.path()));
    }

    /// Everything that an upgrade verifies before it writes.
    pub(crate) fn take(&self) -> Result<(), String> {
        self.take_from(self.repo.dir.path())
    }

    pub(crate) fn take_sound(&self) -> Result<(), String> {
        self.take_from(self.sound.path())
    }

    pub(crate) fn trusts_metadata(&self) -> bool {
        self.host.open_folder(self.repo.dir.path()).is_ok()
    }

    fn take_from(&self, folder: &Path) -> Result<(), String> {
        let text = |error: &(dyn std::error::Error + 'static)| berth_contract::chain::Chain(error).to_string();
        let repository = self.host.open_folder(folder).map_err(|error| text(&error))?;
        let running: ImageSpec = serde_json::from_value(json!({
            "id": "host", "version": "1", "arch": "x86_64", "kernel": "", "engine": null, "modules": [], "images": [],
            "containers": [],
        }))
        .unwrap();
        let criteria = Criteria { running: &running, channel: STABLE, quarantine: &[], version: None };
        let release = select(&criteria, repository.releases()).map_err(|error| text(&error))?;
        let record = repository.record(release.ok_or("nothing newer")?).map_err(|error| text(&error))?;
        let uki = Target::Uki.name(&record.id, &record.version, &record.arch);
        let uki = repository.read_whole(&uki, MAX_UKI).map_err(|error| text(&error))?;
        Uki::of_image(&uki).unwrap_or_default().check(&record).map_err(|error| text(&error))
    }

    /// The content of the host's memory.
    pub(crate) fn remembered(&self) -> BTreeMap<String, Vec<u8>> {
        let files = fs::read_dir(self.host.memory.path()).unwrap().map(|entry| entry.unwrap());
        files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
    }

    /// Publishes with one role changed before it is signed.
    pub(super) fn publish_with(&mut self, role: &'static str, change: impl Fn(&mut Value) + 'static) {
        self.repo.twists.insert(role, Box::new(change));
        self.repo.publish();
    }

    /// Publishes the next root.json, changed before it is signed.
    pub(super) fn root_with(&mut self, version: u64, change: impl Fn(&mut Value) + 'static) {
        self.repo.twists.insert("root", Box::new(change));
        self.repo.write_root(version, &[]);
    }

    /// Changes the text of a file.
    pub(super) fn edit(&self, file: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.repo.path(file)).unwrap();
        assert!(text.contains(old), "{text}");
        fs::write(self.repo.path(file), text.replacen(old, new, 1)).unwrap();
    }

    /// Replaces the releases by one other.
    pub(super) fn only(&mut self, (record, uki): (ReleaseRecord, Vec<u8>)) {
        self.repo.remove_targets();
        self.target = Target::Record.name(&record.id, &record.version, &record.arch);
        add(&mut self.repo, &record, uki);
        self.repo.publish();
    }
}

fn copy(folder: &Path) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    // Holes stay holes: some files are as large as they look.
    let copied = Command::new("cp").arg("-rT").arg("--sparse=always").args([folder, dir.path()]).status().unwrap();
    assert!(copied.success());
    dir
}

/// A release and its kernel image, which boots `root_hash` instead of the right root file system.
pub(super) fn release(id: &str, version: &str, arch: &str, root_hash: Option<&str>) -> (ReleaseRecord, Vec<u8>) {
    let mut record = record(id, version, arch, STABLE);
    let own = record.root.root_hash.to_string();
    let uki = tiny_efi::version(id, version, root_hash.unwrap_or(&own));
    let (size, sha256) = (uki.len() as u64, Sha256(sha2::Sha256::digest(&uki).into()));
    record.uki.size = size;
    record.uki.sha256 = sha256;
    record.uki.parts = vec![UkiPart { offset: 0, size, sha256 }];
    (record, uki)
}

fn add(repo: &mut Repo, record: &ReleaseRecord, uki: Vec<u8>) {
    repo.add_record(record);
    repo.add_target(&Target::Uki.name(&record.id, &record.version, &record.arch), uki, None);
}
