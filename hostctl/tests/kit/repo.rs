//! A repository on disk, correct or with faults.

use super::keys::{Key, hex, signed};
use berth_contract::{
    container::ByteSize,
    digest::{RootHash, Sha256},
    engine::{EngineKind, StoreFormat},
    release::{
        EngineRecord, FORMAT, MinSlot, RecordCustom, ReleaseRecord, RootRecord, STABLE, Target, UkiPart, UkiRecord,
    },
    update::UpgradeEvent,
};
use hostctl::{
    source::Source,
    trust::{Clock, Repository, Trust, TrustError},
};
use serde_json::{Value, json};
use sha2::Digest as _;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

pub(crate) const ROLES: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];
/// The present time in all tests, 2026-11-21, and the build time of the running image.
pub(crate) const NOW: u64 = 1_795_219_200;
pub(crate) const EPOCH: u64 = NOW - 30 * 86_400;
pub(crate) const LATER: &str = "2027-01-01T00:00:00Z";

fn digest(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

/// Changes the signed part of a role before it is signed.
type Twist = Box<dyn Fn(&mut Value)>;

pub(crate) struct Repo {
    pub(crate) dir: TempDir,
    /// The keys that root.json names for each role.
    pub(crate) keys: BTreeMap<&'static str, Vec<Key>>,
    pub(crate) threshold: BTreeMap<&'static str, u64>,
    /// The keys that sign a role instead of these.
    pub(crate) signers: BTreeMap<&'static str, Vec<Key>>,
    pub(crate) twists: BTreeMap<&'static str, Twist>,
    /// The next version of targets, snapshot and timestamp.
    pub(crate) version: u64,
    targets: BTreeMap<String, (Vec<u8>, Option<Value>)>,
}

impl Repo {
    /// An empty repository with its first root.json.
    pub(crate) fn new() -> Self {
        Self::with_keys_from(1)
    }

    pub(crate) fn with_keys_from(first: u8) -> Self {
        let keys = ROLES.iter().zip(first..).map(|(role, number)| (*role, vec![Key(number)])).collect();
        let repo = Self {
            dir: TempDir::new().unwrap(),
            keys,
            threshold: BTreeMap::new(),
            signers: BTreeMap::new(),
            twists: BTreeMap::new(),
            version: 1,
            targets: BTreeMap::new(),
        };
        fs::create_dir(repo.path("metadata")).unwrap();
        fs::create_dir(repo.path("targets")).unwrap();
        repo.write_root(1, &[]);
        repo
    }

    /// A repository with one published release, version 2.
    pub(crate) fn with_release() -> Self {
        let mut repo = Self::new();
        repo.add_release("2");
        repo.publish();
        repo
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// The root.json of an image that trusts this repository.
    pub(crate) fn root(&self) -> Vec<u8> {
        fs::read(self.path("metadata/1.root.json")).unwrap()
    }

    /// Writes the next root.json, signed by its own root keys and `others`.
    pub(crate) fn write_root(&self, version: u64, others: &[Key]) {
        let all: BTreeMap<_, _> = self.keys.values().flatten().map(|key| (key.id(), key.public())).collect();
        let roles: BTreeMap<_, _> = self
            .keys
            .iter()
            .map(|(role, keys)| {
                let ids: Vec<_> = keys.iter().map(|key| key.id()).collect();
                (role, json!({"keyids": ids, "threshold": self.threshold.get(role).unwrap_or(&1)}))
            })
            .collect();
        let role = json!({
            "_type": "root", "spec_version": "1.0.31", "version": version, "expires": LATER,
            "consistent_snapshot": true, "keys": all, "roles": roles,
        });
        let bytes = self.sign("root", role, others);
        fs::write(self.path(&format!("metadata/{version}.root.json")), bytes).unwrap();
    }

    fn sign(&self, role: &'static str, mut value: Value, others: &[Key]) -> Vec<u8> {
        if let Some(twist) = self.twists.get(role) {
            twist(&mut value);
        }
        let own = self.signers.get(role).unwrap_or(&self.keys[role]);
        signed(&value, &[own.as_slice(), others].concat())
    }

    pub(crate) fn add_target(&mut self, name: &str, bytes: Vec<u8>, custom: Option<Value>) {
        self.targets.insert(name.to_owned(), (bytes, custom));
    }

    pub(crate) fn remove_targets(&mut self) {
        self.targets.clear();
    }

    /// A small release of `host` for x86_64 on the stable channel.
    pub(crate) fn add_release(&mut self, version: &str) -> ReleaseRecord {
        let record = record("host", version, "x86_64", STABLE);
        self.add_record(&record);
        record
    }

    pub(crate) fn add_record(&mut self, record: &ReleaseRecord) {
        let custom = RecordCustom {
            id: record.id.clone(),
            version: record.version.clone(),
            arch: record.arch.clone(),
            channel: record.channel.clone(),
        };
        for target in Target::ALL {
            let name = target.name(&record.id, &record.version, &record.arch);
            match target {
                Target::Record => {
                    let bytes = serde_json::to_vec(record).unwrap();
                    self.add_target(&name, bytes, Some(serde_json::to_value(&custom).unwrap()));
                }
                _ => self.add_target(&name, content(target), None),
            }
        }
    }

    pub(crate) fn target_path(&self, name: &str) -> PathBuf {
        let (bytes, _) = &self.targets[name];
        self.path(&format!("targets/{}.{name}", digest(bytes)))
    }

    /// Writes targets and metadata, timestamp.json last, and increments the version.
    pub(crate) fn publish(&mut self) {
        let version = self.version;
        self.version += 1;
        let mut named = serde_json::Map::new();
        for (name, (bytes, custom)) in &self.targets {
            fs::write(self.target_path(name), bytes).unwrap();
            let mut target = json!({"length": bytes.len(), "hashes": {"sha256": digest(bytes)}});
            if let Some(custom) = custom {
                target["custom"] = custom.clone();
            }
            named.insert(name.clone(), target);
        }
        let mut targets = role("targets", version);
        targets["targets"] = named.into();
        let targets = self.sign("targets", targets, &[]);
        self.write_often(version, targets);
    }

    /// Publishes these bytes as targets metadata of the next version.
    pub(crate) fn replace_targets(&mut self, targets: Vec<u8>) {
        let version = self.version;
        self.version += 1;
        let value: Value = serde_json::from_slice(&targets).unwrap();
        let found = value["signed"]["version"].clone();
        self.twists
            .insert("snapshot", Box::new(move |snapshot| snapshot["meta"]["targets.json"]["version"] = found.clone()));
        let found = value["signed"]["version"].as_u64().unwrap();
        self.write_often(version, targets.clone());
        fs::write(self.path(&format!("metadata/{found}.targets.json")), targets).unwrap();
    }

    fn write_often(&self, version: u64, targets: Vec<u8>) {
        let meta = |bytes: &[u8]| json!({"version": version, "length": bytes.len(), "hashes": {"sha256": hex(&sha2::Sha256::digest(bytes))}});
        let mut snapshot = role("snapshot", version);
        snapshot["meta"] = json!({"targets.json": meta(&targets)});
        let snapshot = self.sign("snapshot", snapshot, &[]);
        let mut timestamp = role("timestamp", version);
        timestamp["meta"] = json!({"snapshot.json": meta(&snapshot)});
        let timestamp = self.sign("timestamp", timestamp, &[]);
        fs::write(self.path(&format!("metadata/{version}.targets.json")), targets).unwrap();
        fs::write(self.path(&format!("metadata/{version}.snapshot.json")), snapshot).unwrap();
        fs::write(self.path("metadata/timestamp.json"), timestamp).unwrap();
    }
}

fn role(kind: &str, version: u64) -> Value {
    json!({"_type": kind, "spec_version": "1.0.31", "version": version, "expires": LATER})
}

/// The bytes of a target of [`Repo::add_release`].
pub(crate) fn content(target: Target) -> Vec<u8> {
    let size = if target == Target::Root { 3_000_000 } else { 20_000 };
    let seed = u32::try_from(Target::ALL.iter().position(|&other| other == target).unwrap()).unwrap();
    (0u32..size / 4).flat_map(|i| i.wrapping_mul(2_654_435_761).wrapping_add(seed).to_le_bytes()).collect()
}

pub(crate) fn record(id: &str, version: &str, arch: &str, channel: &str) -> ReleaseRecord {
    let uki = content(Target::Uki);
    let part = |from: usize, to: usize| UkiPart {
        offset: from as u64,
        size: (to - from) as u64,
        sha256: digest(&uki[from..to]),
    };
    ReleaseRecord {
        format: FORMAT,
        id: id.parse().unwrap(),
        version: version.parse().unwrap(),
        arch: arch.parse().unwrap(),
        channel: channel.to_owned(),
        epoch: NOW - 86_400,
        root: RootRecord {
            root_hash: RootHash(digest(b"root")),
            size: 8192,
            verity_size: 8192,
            verity_uuid: uuid::Uuid::from_u128(1),
        },
        uki: UkiRecord {
            size: uki.len() as u64,
            sha256: digest(&uki),
            parts: vec![part(0, 4096), part(4096, uki.len())],
        },
        min_slot: MinSlot { root: ByteSize(1 << 20), verity: ByteSize(1 << 20) },
        kernel: "6.12.1".to_owned(),
        engine: Some(EngineRecord {
            kind: EngineKind::Docker.into(),
            version: "26.1.5-1".to_owned(),
            store: StoreFormat::from("docker-graphdriver"),
        }),
        packages: BTreeMap::from([("libc6".to_owned(), "2.41-12".to_owned())]),
        deltas: vec![],
    }
}

/// A host: the root.json of its image, and its stored metadata.
pub(crate) struct Host {
    pub(crate) root: Vec<u8>,
    pub(crate) memory: TempDir,
    pub(crate) clock: Clock,
}

impl Host {
    pub(crate) fn of(repo: &Repo) -> Self {
        Self { root: repo.root(), memory: TempDir::new().unwrap(), clock: Clock { host: NOW, epoch: EPOCH } }
    }

    pub(crate) fn open(&self, source: &Arc<Source>) -> Result<Repository, TrustError> {
        self.open_saying(source).0
    }

    /// Also returns what was reported.
    pub(crate) fn open_saying(&self, source: &Arc<Source>) -> (Result<Repository, TrustError>, Vec<UpgradeEvent>) {
        let mut events = Vec::new();
        let trust = Trust { root: &self.root, memory: self.memory.path(), clock: self.clock };
        let opened = trust.open(source, &mut |event| events.push(event));
        (opened, events)
    }

    pub(crate) fn open_folder(&self, path: &Path) -> Result<Repository, TrustError> {
        self.open(&super::folder(path))
    }
}
