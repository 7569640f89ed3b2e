//! A repository on disk: reads its signed metadata and writes the next version. Metadata is verified as in a client, except for
//! expiry.

use super::{
    current::{Current, SNAPSHOT_META, TARGETS_META, TIMESTAMP},
    error::{REVOKE, ReleaseError},
    file,
    file_lock::FileLock,
    key::SigningKey,
    keys::KeyRing,
    lifetime::Lifetime,
    metadata::{Document, MAX_SIZE, ROOT, SPEC_VERSION, name, next},
    root,
};
use crate::date::Date;
use berth_contract::release::{MAX_METADATA, METADATA, TARGETS};
use std::{
    collections::HashMap,
    fs,
    num::NonZeroU64,
    path::{Path, PathBuf},
};
use tough::{
    TargetName,
    schema::{RoleType, Root, Snapshot, Target, Targets, Timestamp},
};

/// How long the next signatures are valid, from `now` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// This machine's clock, in seconds since 1970.
    pub now: u64,
    /// Lifetime of timestamp and snapshot: hosts refuse metadata that is older.
    pub online: Lifetime,
    /// Lifetime of targets.
    pub targets: Lifetime,
}

/// A repository whose metadata is signed with our keys.
#[derive(Debug)]
pub(super) struct Repository {
    folder: PathBuf,
    /// Root metadata older than `roots`, from the folder of keys.
    earlier: Vec<Document<Root>>,
    /// Root metadata from the version in the folder of keys to the newest.
    pub(super) roots: Vec<Document<Root>>,
    /// `None` before the first release.
    pub(super) current: Option<Current>,
}

/// Keys for the roles that a change signs. A role without keys stays as it is.
#[derive(Debug)]
pub(super) struct Signers<'a> {
    pub(super) targets: Vec<&'a SigningKey>,
    pub(super) snapshot: Vec<&'a SigningKey>,
    pub(super) timestamp: Vec<&'a SigningKey>,
}

/// What to do if a change of keys was killed after it had published the new root metadata, and before it had replaced all
/// signatures of the old keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// Report the error.
    Refuse,
    /// Also accept metadata that is valid with the second newest root metadata. Only for a change of keys that signs all
    /// metadata again. Root metadata older than that in the folder of keys is never used: a finished change is stored there,
    /// so signatures of keys that were retired before are not accepted again.
    Resume,
}

impl<'a> Signers<'a> {
    /// The keys of `root`, enough for each role.
    pub(super) fn new(keys: &'a KeyRing, root: &Root) -> Result<Self, ReleaseError> {
        Ok(Self { targets: keys.enough(root, RoleType::Targets)?, ..Self::online(keys, root)? })
    }

    /// The keys of snapshot and timestamp only: targets are not signed then.
    pub(super) fn online(keys: &'a KeyRing, root: &Root) -> Result<Self, ReleaseError> {
        Ok(Self {
            targets: Vec::new(),
            snapshot: keys.enough(root, RoleType::Snapshot)?,
            timestamp: keys.enough(root, RoleType::Timestamp)?,
        })
    }
}

impl Repository {
    /// Reads and verifies the metadata in `folder`, starting from the root metadata of `keys`. The folder may be empty.
    ///
    /// # Errors
    /// Metadata that is missing, damaged or signed with other keys: our keys must not sign it.
    pub(super) fn open(folder: &Path, keys: &KeyRing) -> Result<Self, ReleaseError> {
        Self::read(folder, keys, Unfinished::Refuse)
    }

    fn read(folder: &Path, keys: &KeyRing, unfinished: Unfinished) -> Result<Self, ReleaseError> {
        let metadata = folder.join(METADATA);
        let mut roots = vec![keys.anchor.clone()];
        let first = metadata.join(name(ROOT, keys.anchor.role.signed.version));
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
            let path = metadata.join(name(ROOT, next(Some(last.version))));
            let Some(bytes) = file::read_if_there(&path, MAX_SIZE)? else { break };
            let successor = root::trusted_version(bytes, &path, next(Some(last.version)))?;
            successor.verify(last, &path)?;
            roots.push(successor);
        }
        let accepted = |root: &Document<Root>| Current::load(&metadata, &root.role.signed);
        let current = match (accepted(&roots[roots.len() - 1]), roots.len().checked_sub(2)) {
            (Err(fault), Some(before)) => match (accepted(&roots[before]), unfinished) {
                (Err(_), _) => return Err(fault),
                (Ok(_), Unfinished::Refuse) => return Err(ReleaseError::Unfinished(folder.to_owned())),
                (Ok(current), Unfinished::Resume) => current,
            },
            (current, _) => current?,
        };
        Ok(Self { folder: folder.to_owned(), earlier: keys.earlier.clone(), roots, current })
    }

    /// Like [`Repository::open`], for a repository that must exist.
    ///
    /// # Errors
    /// Those of [`Repository::open`], and an empty repository.
    pub(super) fn existing(folder: &Path, keys: &KeyRing) -> Result<(Self, Current), ReleaseError> {
        Self::read_existing(folder, keys, Unfinished::Refuse)
    }

    fn read_existing(folder: &Path, keys: &KeyRing, unfinished: Unfinished) -> Result<(Self, Current), ReleaseError> {
        if !folder.join(METADATA).join(TIMESTAMP).exists() {
            return Err(ReleaseError::NotARepository(folder.to_owned()));
        }
        let repository = Self::read(folder, keys, unfinished)?;
        let current = repository.current.clone().ok_or_else(|| ReleaseError::NotARepository(folder.to_owned()))?;
        Ok((repository, current))
    }

    /// Like [`Repository::existing`], with the lock of the repository.
    ///
    /// # Errors
    /// Those of [`Repository::existing`], and another writer.
    pub(super) fn own(
        folder: &Path,
        keys: &KeyRing,
        unfinished: Unfinished,
    ) -> Result<(FileLock, Self, Current), ReleaseError> {
        // First without the lock: a wrong path must not get a lock file.
        Self::read_existing(folder, keys, unfinished)?;
        let lock = Self::lock(folder)?;
        let (repository, current) = Self::read_existing(folder, keys, unfinished)?;
        Ok((lock, repository, current))
    }

    /// Creates missing folders and locks the repository.
    pub(super) fn lock(folder: &Path) -> Result<FileLock, ReleaseError> {
        for part in [METADATA, TARGETS] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(ReleaseError::io("make folder", &path))?;
        }
        FileLock::take(folder)
    }

    /// The newest root metadata.
    pub(super) fn root(&self) -> &Root {
        &self.roots[self.roots.len() - 1].role.signed
    }

    /// When each role expires.
    pub(super) fn ends(&self) -> Vec<(RoleType, jiff::Timestamp)> {
        let mut ends = vec![(RoleType::Root, self.root().expires)];
        if let Some(current) = &self.current {
            ends.extend([
                (RoleType::Timestamp, current.timestamp.role.signed.expires),
                (RoleType::Snapshot, current.snapshot.role.signed.expires),
                (RoleType::Targets, current.targets.role.signed.expires),
            ]);
        }
        ends
    }

    /// Checks that root has not expired at `now`: otherwise no host accepts what it signs.
    ///
    /// # Errors
    /// [`ReleaseError::Ended`].
    pub(super) fn in_time(&self, now: u64) -> Result<(), ReleaseError> {
        let end = self.root().expires;
        if end > Date(now).timestamp() { Ok(()) } else { Err(self.ended(RoleType::Root, end)) }
    }

    pub(super) fn ended(&self, role: RoleType, end: jiff::Timestamp) -> ReleaseError {
        ReleaseError::Ended { path: self.metadata(), role, end }
    }

    /// The signed list of targets; empty before the first release.
    pub(super) fn targets(&self) -> HashMap<TargetName, Target> {
        self.current.as_ref().map(|current| current.targets.role.signed.targets.clone()).unwrap_or_default()
    }

    /// The folder of metadata.
    pub(super) fn metadata(&self) -> PathBuf {
        self.folder.join(METADATA)
    }

    /// The path of a target.
    pub(super) fn target_path(&self, name: &str, target: &Target) -> PathBuf {
        self.folder.join(TARGETS).join(target_file(name, target))
    }

    /// The folder of targets.
    pub(super) fn targets_folder(&self) -> PathBuf {
        self.folder.join(TARGETS)
    }

    /// The files of the current metadata, the timestamp last.
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

    /// Signs the next version with `targets`, or with the current targets if `targets` is `None`. Writes nothing.
    ///
    /// # Errors
    /// The list of targets is larger than the limit of hosts.
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
        let count = |targets: &Document<Targets>| targets.role.signed.targets.len();
        // A shorter list is allowed even above the limit: revoking releases must be possible to get below the limit.
        let targets = match before {
            Some(before) if count(&targets) < count(&before.targets) => targets,
            _ => targets.within(MAX_METADATA, REVOKE)?,
        };
        let snapshot = match before {
            Some(before) if signers.snapshot.is_empty() => before.snapshot.clone(),
            before => {
                let mut snapshot = Snapshot::new(
                    SPEC_VERSION.to_owned(),
                    next(before.map(|before| before.snapshot.role.signed.version)),
                    terms.online.from(terms.now),
                );
                snapshot.meta.insert(TARGETS_META.to_owned(), targets.metafile());
                Document::sign(snapshot, signers.snapshot.iter().copied())?
            }
        };
        let mut timestamp = Timestamp::new(
            SPEC_VERSION.to_owned(),
            next(before.map(|before| before.timestamp.role.signed.version)),
            terms.online.from(terms.now),
        );
        timestamp.meta.insert(SNAPSHOT_META.to_owned(), snapshot.metafile());
        let timestamp = Document::sign(timestamp, signers.timestamp.iter().copied())?;
        Ok(Current { timestamp, snapshot, targets })
    }

    /// Writes `next`, the timestamp last. Then removes files that the metadata no longer lists.
    pub(super) fn publish(&mut self, next: Current) -> Result<(), ReleaseError> {
        self.stage(&next)?;
        self.commit(next)
    }

    /// Writes all files of `next` except the timestamp. Clients do not see them yet.
    pub(super) fn stage(&self, next: &Current) -> Result<(), ReleaseError> {
        let folder = self.metadata();
        for root in self.earlier.iter().chain(&self.roots) {
            let path = folder.join(name(ROOT, root.role.signed.version));
            if !path.exists() {
                file::put(&path, &root.bytes, 0o644)?;
            }
        }
        // Targets must survive a power cut before metadata names them.
        file::sync(&self.targets_folder())?;
        let Current { snapshot, targets, .. } = next;
        file::put(&folder.join(name(TARGETS_META, targets.role.signed.version)), &targets.bytes, 0o644)?;
        file::put(&folder.join(name(SNAPSHOT_META, snapshot.role.signed.version)), &snapshot.bytes, 0o644)
    }

    /// Replaces the timestamp: from now on clients see `next`.
    pub(super) fn commit(&mut self, next: Current) -> Result<(), ReleaseError> {
        file::put(&self.metadata().join(TIMESTAMP), &next.timestamp.bytes, 0o644)?;
        self.current = Some(next);
        self.sweep()
    }

    /// Writes `root`, the successor of the newest.
    pub(super) fn publish_root(&mut self, root: Document<Root>) -> Result<(), ReleaseError> {
        file::put(&self.metadata().join(name(ROOT, root.role.signed.version)), &root.bytes, 0o644)?;
        self.roots.push(root);
        Ok(())
    }

    /// Removes old metadata, and targets that are not listed: those of revoked releases, or of a run that was killed.
    fn sweep(&self) -> Result<(), ReleaseError> {
        /// Number of versions of metadata that are kept, for hosts that are reading them now.
        const KEPT: u64 = 3;
        let Some(current) = &self.current else { return Ok(()) };
        let targets = &current.targets.role.signed;
        let listed: Vec<_> = targets.targets.iter().map(|(name, target)| target_file(name.raw(), target)).collect();
        let old_target = |name: &str| named_by_digest(name) && !listed.iter().any(|one| one == name);
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

/// The file of a target, `SHA256.NAME`.
pub(super) fn target_file(name: &str, target: &Target) -> String {
    let digest: String = target.hashes.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{digest}.{name}")
}

fn named_by_digest(name: &str) -> bool {
    name.split_once('.').is_some_and(|(digest, _)| digest.parse::<berth_contract::digest::Sha256>().is_ok())
}

/// Whether the next release removes a file of this name that is not a target.
pub(super) fn swept(name: &str) -> bool {
    named_by_digest(name) || name == WORKSHOP
}

/// The temporary folder for new targets, in the folder of targets.
pub(super) const WORKSHOP: &str = ".partial";

fn remove_where(folder: &Path, old: impl Fn(&str) -> bool) -> Result<(), ReleaseError> {
    for entry in fs::read_dir(folder).map_err(ReleaseError::io("list", folder))? {
        let entry = entry.map_err(ReleaseError::io("list", folder))?;
        if entry.file_name().to_str().is_some_and(&old) {
            fs::remove_file(entry.path()).map_err(ReleaseError::io("remove", &entry.path()))?;
        }
    }
    Ok(())
}
