//! A repository on disk: its chain of signed metadata, read as a client reads it but for the clock, and its next version.

use super::{
    error::ReleaseError,
    file,
    keys::{KeyRing, SigningKey},
    lifetime::Lifetime,
    lock::Lock,
    metadata::{Document, MAX_SIZE, SPEC_VERSION, fault, next},
};
use berth_contract::release::{METADATA, TARGETS};
use std::{
    collections::HashMap,
    fs,
    num::NonZeroU64,
    path::{Path, PathBuf},
};
use tough::{
    TargetName,
    schema::{Metafile, RoleType, Root, Snapshot, Target, Targets, Timestamp},
};

const TIMESTAMP: &str = "timestamp.json";
/// The name under which a snapshot lists the top-level targets.
const TARGETS_META: &str = "targets.json";
const SNAPSHOT_META: &str = "snapshot.json";

/// For how long the next signatures are good, from `now` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// This machine's clock, in seconds since 1970.
    pub now: u64,
    /// Of timestamp and snapshot: how old a host may let its view of the repository become.
    pub online: Lifetime,
    /// Of targets.
    pub targets: Lifetime,
}

/// A repository whose metadata is signed by the keys of one's own.
#[derive(Debug)]
pub(super) struct Repository {
    folder: PathBuf,
    /// From that of the keys' folder to the newest.
    pub(super) roots: Vec<Document<Root>>,
    /// Nothing before the first release.
    pub(super) current: Option<Current>,
}

/// What a repository's timestamp stands for.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) timestamp: Document<Timestamp>,
    pub(super) snapshot: Document<Snapshot>,
    pub(super) targets: Document<Targets>,
}

/// Keys for all that is signed with each change.
#[derive(Debug)]
pub(super) struct Signers<'a> {
    pub(super) targets: Vec<&'a SigningKey>,
    pub(super) snapshot: Vec<&'a SigningKey>,
    pub(super) timestamp: Vec<&'a SigningKey>,
}

impl<'a> Signers<'a> {
    /// Those of `root`, enough for each.
    pub(super) fn new(keys: &'a KeyRing, root: &Root) -> Result<Self, ReleaseError> {
        Ok(Self { targets: keys.enough(root, RoleType::Targets)?, ..Self::online(keys, root)? })
    }

    /// The same without those of targets, which are not signed then.
    pub(super) fn online(keys: &'a KeyRing, root: &Root) -> Result<Self, ReleaseError> {
        Ok(Self {
            targets: Vec::new(),
            snapshot: keys.enough(root, RoleType::Snapshot)?,
            timestamp: keys.enough(root, RoleType::Timestamp)?,
        })
    }
}

impl Repository {
    /// Reads and verifies the metadata in `folder`, starting from the root metadata of `keys`. Nothing need be there yet.
    ///
    /// # Errors
    /// Metadata that is missing, damaged or signed with other keys: it must not be signed once more.
    pub(super) fn open(folder: &Path, keys: &KeyRing) -> Result<Self, ReleaseError> {
        let metadata = folder.join(METADATA);
        let mut roots = vec![keys.anchor.clone()];
        let first = metadata.join(name("root.json", keys.anchor.role.signed.version));
        match file::read_if_there(&first, MAX_SIZE)? {
            Some(bytes) if Document::<Root>::parse(bytes.clone(), &first)?.role.signed != keys.anchor.role.signed => {
                return Err(ReleaseError::Foreign { repo: folder.to_owned(), keys: keys.folders().to_owned() });
            }
            None if metadata.join(TIMESTAMP).exists() => {
                return Err(ReleaseError::Foreign { repo: folder.to_owned(), keys: keys.folders().to_owned() });
            }
            _ => {}
        }
        loop {
            let last = &roots[roots.len() - 1].role.signed;
            let path = metadata.join(name("root.json", next(Some(last.version))));
            let Some(bytes) = file::read_if_there(&path, MAX_SIZE)? else { break };
            let successor = super::root::trusted(bytes, &path)?;
            successor.verify(last, &path)?;
            if successor.role.signed.version != next(Some(last.version)) {
                let (wanted, found) = (next(Some(last.version)), successor.role.signed.version);
                return Err(fault(&path, format!("expected version {wanted}, found {found}")));
            }
            roots.push(successor);
        }
        let root = &roots[roots.len() - 1].role.signed;
        let current = Current::load(&metadata, root)?;
        Ok(Self { folder: folder.to_owned(), roots, current })
    }

    /// The same, where there has to be one.
    ///
    /// # Errors
    /// Those of [`Repository::open`], and an empty repository.
    pub(super) fn existing(folder: &Path, keys: &KeyRing) -> Result<(Self, Current), ReleaseError> {
        if !folder.join(METADATA).join(TIMESTAMP).exists() {
            return Err(ReleaseError::NotARepository(folder.to_owned()));
        }
        let repository = Self::open(folder, keys)?;
        let current = repository.current.clone().ok_or_else(|| ReleaseError::NotARepository(folder.to_owned()))?;
        Ok((repository, current))
    }

    /// The same, as its only writer.
    ///
    /// # Errors
    /// Those of [`Repository::existing`], and another writer.
    pub(super) fn own(folder: &Path, keys: &KeyRing) -> Result<(Lock, Self, Current), ReleaseError> {
        // Before anything is made there.
        Self::existing(folder, keys)?;
        let lock = Self::lock(folder)?;
        let (repository, current) = Self::existing(folder, keys)?;
        Ok((lock, repository, current))
    }

    /// Makes the folders where they are missing, and becomes the only writer.
    pub(super) fn lock(folder: &Path) -> Result<Lock, ReleaseError> {
        for part in [METADATA, TARGETS] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(ReleaseError::io("make folder", &path))?;
        }
        Lock::take(folder)
    }

    /// The root metadata in force.
    pub(super) fn root(&self) -> &Root {
        &self.roots[self.roots.len() - 1].role.signed
    }

    /// The signed list of targets; empty before the first release.
    pub(super) fn targets(&self) -> HashMap<TargetName, Target> {
        self.current.as_ref().map(|current| current.targets.role.signed.targets.clone()).unwrap_or_default()
    }

    /// Where metadata lies.
    pub(super) fn metadata(&self) -> PathBuf {
        self.folder.join(METADATA)
    }

    /// Where a target lies.
    pub(super) fn target_path(&self, name: &str, target: &Target) -> PathBuf {
        self.folder.join(TARGETS).join(target_file(name, target))
    }

    /// Where targets lie.
    pub(super) fn targets_folder(&self) -> PathBuf {
        self.folder.join(TARGETS)
    }

    /// The files of the metadata in force, the timestamp last.
    pub(super) fn metadata_files(&self) -> Vec<PathBuf> {
        let folder = self.metadata();
        let (first, last) = (NonZeroU64::MIN.get(), self.root().version.get());
        let roots =
            (first..=last).map(|version| folder.join(format!("{version}.root.json"))).filter(|path| path.exists());
        let mut all: Vec<_> = roots.collect();
        if let Some(Current { snapshot, targets, .. }) = &self.current {
            all.push(folder.join(name(TARGETS_META, targets.role.signed.version)));
            all.push(folder.join(name(SNAPSHOT_META, snapshot.role.signed.version)));
            all.push(folder.join(TIMESTAMP));
        }
        all
    }

    /// The next version: the targets as they are now, or `targets`. Nothing is written.
    pub(super) fn next(
        &self,
        targets: Option<HashMap<TargetName, Target>>,
        signers: &Signers<'_>,
        terms: Terms,
    ) -> Result<Current, ReleaseError> {
        let before = self.current.as_ref();
        let targets = match (targets, before) {
            (None, Some(before)) => before.targets.clone(),
            (targets, before) => Document::sign(
                Targets {
                    spec_version: SPEC_VERSION.to_owned(),
                    version: next(before.map(|before| before.targets.role.signed.version)),
                    expires: terms.targets.from(terms.now),
                    targets: targets.unwrap_or_default(),
                    delegations: None,
                    _extra: HashMap::new(),
                },
                signers.targets.iter().copied(),
            )?,
        };
        let mut snapshot = Snapshot::new(
            SPEC_VERSION.to_owned(),
            next(before.map(|before| before.snapshot.role.signed.version)),
            terms.online.from(terms.now),
        );
        snapshot.meta.insert(TARGETS_META.to_owned(), targets.metafile());
        let snapshot = Document::sign(snapshot, signers.snapshot.iter().copied())?;
        let mut timestamp = Timestamp::new(
            SPEC_VERSION.to_owned(),
            next(before.map(|before| before.timestamp.role.signed.version)),
            terms.online.from(terms.now),
        );
        timestamp.meta.insert(SNAPSHOT_META.to_owned(), snapshot.metafile());
        let timestamp = Document::sign(timestamp, signers.timestamp.iter().copied())?;
        Ok(Current { timestamp, snapshot, targets })
    }

    /// Writes `next`: first what nothing names yet, the timestamp last of all. Then what nothing names any more is removed.
    pub(super) fn publish(&mut self, next: Current) -> Result<(), ReleaseError> {
        let folder = self.metadata();
        let first = folder.join(name("root.json", self.roots[0].role.signed.version));
        if !first.exists() {
            file::put(&first, &self.roots[0].bytes, 0o644)?;
        }
        // The targets' own names are on the disk before anything is signed that needs them.
        file::sync(&self.targets_folder())?;
        let Current { timestamp, snapshot, targets } = &next;
        file::put(&folder.join(name(TARGETS_META, targets.role.signed.version)), &targets.bytes, 0o644)?;
        file::put(&folder.join(name(SNAPSHOT_META, snapshot.role.signed.version)), &snapshot.bytes, 0o644)?;
        file::put(&folder.join(TIMESTAMP), &timestamp.bytes, 0o644)?;
        self.current = Some(next);
        self.sweep()
    }

    /// Writes `root`, the successor of the newest.
    pub(super) fn publish_root(&mut self, root: Document<Root>) -> Result<(), ReleaseError> {
        file::put(&self.metadata().join(name("root.json", root.role.signed.version)), &root.bytes, 0o644)?;
        self.roots.push(root);
        Ok(())
    }

    /// Removes targets that are not listed (of revoked releases, or of a run that was killed) and old metadata.
    fn sweep(&self) -> Result<(), ReleaseError> {
        /// Versions of metadata that stay, for hosts that are in the middle of reading them.
        const KEPT: u64 = 3;
        let Some(current) = &self.current else { return Ok(()) };
        let targets = &current.targets.role.signed;
        let listed: Vec<_> = targets.targets.iter().map(|(name, target)| target_file(name.raw(), target)).collect();
        let old_target = |name: &str| {
            let ours = name
                .split_once('.')
                .is_some_and(|(digest, _)| digest.parse::<berth_contract::digest::Sha256>().is_ok());
            ours && !listed.iter().any(|one| one == name)
        };
        remove_where(&self.targets_folder(), old_target)?;
        let snapshot = current.snapshot.role.signed.version.get();
        let old_metadata = |name: &str| {
            let old = |ending, newest: u64| {
                let version = name.strip_suffix(ending).and_then(|rest| rest.strip_suffix('.')?.parse::<u64>().ok());
                version.is_some_and(|version| version.saturating_add(KEPT) <= newest)
            };
            old(TARGETS_META, targets.version.get()) || old(SNAPSHOT_META, snapshot)
        };
        remove_where(&self.metadata(), old_metadata)
    }
}

impl Current {
    /// Reads what the timestamp in `folder` stands for, and checks it against `root`; nothing where there is no timestamp.
    fn load(folder: &Path, root: &Root) -> Result<Option<Self>, ReleaseError> {
        let path = folder.join(TIMESTAMP);
        let Some(bytes) = file::read_if_there(&path, MAX_SIZE)? else { return Ok(None) };
        let timestamp = Document::<Timestamp>::parse(bytes, &path)?;
        timestamp.verify(root, &path)?;
        let said = listed(&timestamp.role.signed.meta, SNAPSHOT_META, &path)?;
        let path = folder.join(name(SNAPSHOT_META, said.version));
        let snapshot = Document::<Snapshot>::load(&path)?;
        snapshot.matches(said, &path)?;
        snapshot.verify(root, &path)?;
        let said = listed(&snapshot.role.signed.meta, TARGETS_META, &path)?;
        let path = folder.join(name(TARGETS_META, said.version));
        let targets = Document::<Targets>::load(&path)?;
        targets.matches(said, &path)?;
        targets.verify(root, &path)?;
        Ok(Some(Self { timestamp, snapshot, targets }))
    }

    /// What has ended at `now`, or ends before `until`: role and its end.
    pub(super) fn ending(&self, until: jiff::Timestamp) -> Vec<(RoleType, jiff::Timestamp)> {
        let Self { timestamp, snapshot, targets } = self;
        let ends = [
            (RoleType::Timestamp, timestamp.role.signed.expires),
            (RoleType::Snapshot, snapshot.role.signed.expires),
            (RoleType::Targets, targets.role.signed.expires),
        ];
        ends.into_iter().filter(|(_, end)| *end <= until).collect()
    }

    /// Whether all of it is signed as `root` wants it.
    pub(super) fn accepted_by(&self, root: &Root) -> bool {
        root.verify_role(&self.timestamp.role).is_ok()
            && root.verify_role(&self.snapshot.role).is_ok()
            && root.verify_role(&self.targets.role).is_ok()
    }
}

fn listed<'a>(meta: &'a HashMap<String, Metafile>, name: &str, path: &Path) -> Result<&'a Metafile, ReleaseError> {
    meta.get(name).ok_or_else(|| fault(path, format!("expected it to list {name}, but it does not")))
}

/// The file of a role's version, `N.NAME`.
fn name(role: &str, version: NonZeroU64) -> String {
    format!("{version}.{role}")
}

/// The file of a target, `SHA256.NAME`.
pub(super) fn target_file(name: &str, target: &Target) -> String {
    let digest: String = target.hashes.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{digest}.{name}")
}

fn remove_where(folder: &Path, old: impl Fn(&str) -> bool) -> Result<(), ReleaseError> {
    for entry in fs::read_dir(folder).map_err(ReleaseError::io("list", folder))? {
        let entry = entry.map_err(ReleaseError::io("list", folder))?;
        if entry.file_name().to_str().is_some_and(&old) {
            fs::remove_file(entry.path()).map_err(ReleaseError::io("remove", &entry.path()))?;
        }
    }
    Ok(())
}
