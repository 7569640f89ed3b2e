//! Root metadata: the trusted keys of each role. Each version is signed with its own root keys and those of the version before.

use super::{
    error::ReleaseError,
    file,
    key::{SigningKey, short},
    metadata::{Document, MAX_SIZE, ROOT, SPEC_VERSION, fault, name, next},
    passphrase::Passphrase,
};
use crate::scratch::Scratch;
use berth_contract::release::MAX_SMALL_METADATA;
use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsString,
    fs, io,
    num::NonZeroU64,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};
use tough::schema::{RoleKeys, RoleType, Root};

const FEWER: &str = "use fewer keys";

/// The roles of a repository.
pub(super) const ROLES: [RoleType; 4] = [RoleType::Root, RoleType::Targets, RoleType::Snapshot, RoleType::Timestamp];

/// How many keys a role has, and how many of them must sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Number of keys.
    pub keys: u64,
    /// Number of signatures needed.
    pub threshold: u64,
}

impl Quorum {
    /// One key, which has to sign.
    pub const ONE: Self = Self { keys: 1, threshold: 1 };

    /// The quorum of `role` in `root`.
    pub(super) fn of(root: &Root, role: RoleType) -> Self {
        root.roles
            .get(&role)
            .map_or(Self::ONE, |role| Self { keys: role.keyids.len() as u64, threshold: role.threshold.get() })
    }

    fn threshold(self, role: RoleType) -> Result<NonZeroU64, ReleaseError> {
        let Self { keys, threshold } = self;
        let good = NonZeroU64::new(threshold).filter(|threshold| threshold.get() <= keys);
        good.ok_or_else(|| ReleaseError::Threshold { role: role.to_string(), keys, threshold })
    }

    /// Generates the keys.
    pub(super) fn generate(self, role: RoleType) -> Result<Vec<SigningKey>, ReleaseError> {
        self.threshold(role)?;
        let key = || {
            let source = io::Error::other("the random number generator has failed");
            SigningKey::generate()
                .ok_or_else(|| ReleaseError::io("make a key for", Path::new(&role.to_string()))(source))
        };
        (0..self.keys).map(|_| key()).collect()
    }

    /// The entry of a role with these keys in root metadata.
    pub(super) fn role(self, role: RoleType, keys: &[SigningKey]) -> Result<RoleKeys, ReleaseError> {
        let keyids = keys.iter().map(|key| key.id().clone()).collect();
        Ok(RoleKeys { keyids, threshold: self.threshold(role)?, _extra: HashMap::new() })
    }
}

/// Creates the folder `folder` with keys for all roles and the first root metadata, which is valid until `expires`. Returns the
/// paths of all files. `root` and `targets` are the quorums of these roles; the other roles have one key each. With a passphrase the keys are
/// encrypted.
///
/// # Errors
/// The folder exists already; a threshold is impossible; a file cannot be written. The folder is not created then.
pub fn new_keys(
    folder: &Path,
    root: Quorum,
    targets: Quorum,
    expires: Timestamp,
    passphrase: Option<&Passphrase>,
) -> Result<Vec<PathBuf>, ReleaseError> {
    let mut made = Vec::new();
    let mut all = Root {
        spec_version: SPEC_VERSION.to_owned(),
        consistent_snapshot: true,
        version: NonZeroU64::MIN,
        expires,
        keys: HashMap::new(),
        roles: HashMap::new(),
        _extra: HashMap::new(),
    };
    for role in ROLES {
        let quorum = match role {
            RoleType::Root => root,
            RoleType::Targets => targets,
            _ => Quorum::ONE,
        };
        let keys = quorum.generate(role)?;
        all.keys.extend(keys.iter().map(|key| (key.id().clone(), key.public().clone())));
        all.roles.insert(role, quorum.role(role, &keys)?);
        made.extend(keys.into_iter().map(|key| (role, key)));
    }
    let signers = made.iter().filter(|(role, _)| *role == RoleType::Root).map(|(_, key)| key);
    let document = Document::sign(all, signers)?.within(MAX_SMALL_METADATA, FEWER)?;

    // A unique name: another process may be making keys here at the same time.
    let mut partial = OsString::from(".");
    partial.push(folder.file_name().unwrap_or_default());
    partial.push(made.first().map_or_else(String::new, |(_, key)| format!(".{}.partial", short(key.id()))));
    let work = Scratch::new(folder.with_file_name(partial));
    fs::DirBuilder::new().mode(0o700).create(work.path()).map_err(ReleaseError::io("make folder", work.path()))?;
    let roots = [ROOT.to_owned(), name(ROOT, NonZeroU64::MIN)];
    for name in &roots {
        file::put(&work.path().join(name), &document.bytes, 0o644)?;
    }
    let store = |(role, key): &(RoleType, SigningKey)| key.store(work.path(), *role, passphrase);
    let stored = made.iter().map(store).collect::<Result<Vec<_>, _>>()?;
    renameat_with(CWD, work.path(), CWD, folder, RenameFlags::NOREPLACE).map_err(|error| {
        match io::Error::from(error) {
            error if error.kind() == io::ErrorKind::AlreadyExists => ReleaseError::Exists(folder.to_owned()),
            error => ReleaseError::io("make folder", folder)(error),
        }
    })?;
    file::sync_parent(folder)?;
    let names = stored.into_iter().filter_map(|path| path.file_name().map(|name| folder.join(name)));
    Ok(roots.iter().map(|name| folder.join(name)).chain(names).collect())
}

/// Parses and checks root metadata from a trusted place: a folder of keys, or a recipe.
///
/// # Errors
/// It is not root metadata; a role or key is missing; a threshold cannot be reached; snapshots are not consistent; it is not
/// signed with its own root keys.
pub(super) fn trusted(bytes: Vec<u8>, path: &Path) -> Result<Document<Root>, ReleaseError> {
    let document = Document::<Root>::parse(bytes, path)?;
    let root = &document.role.signed;
    for role in ROLES {
        let keys = root.roles.get(&role).ok_or_else(|| fault(path, format!("expected a role {role}, found none")))?;
        let known: BTreeSet<_> = keys.keyids.iter().filter(|id| root.keys.contains_key(id)).collect();
        if (known.len() as u64) < keys.threshold.get() {
            let (wanted, found) = (keys.threshold, known.len());
            return Err(fault(
                path,
                format!("role {role}: expected at least {wanted} keys, its threshold, found {found}"),
            ));
        }
    }
    if !root.consistent_snapshot {
        return Err(fault(path, "expected consistent_snapshot to be true, found false".to_owned()));
    }
    document.verify(root, path)?;
    Ok(document)
}

/// Like [`trusted`], but also checks the version.
pub(super) fn trusted_version(bytes: Vec<u8>, path: &Path, wanted: NonZeroU64) -> Result<Document<Root>, ReleaseError> {
    let document = trusted(bytes, path)?;
    match document.role.signed.version {
        found if found == wanted => Ok(document),
        found => Err(fault(path, format!("expected version {wanted}, found {found}"))),
    }
}

/// Reads the versions of root metadata before `newest` in `folder`, oldest first. Stops at the first missing version.
///
/// # Errors
/// A version is not signed with its own keys and those of the version before.
pub(super) fn earlier(folder: &Path, newest: &Document<Root>) -> Result<Vec<Document<Root>>, ReleaseError> {
    let path = |version| folder.join(name(ROOT, version));
    let versions = (1..newest.role.signed.version.get()).rev().filter_map(NonZeroU64::new);
    let mut versions: Vec<_> = versions.take_while(|version| path(*version).exists()).collect();
    versions.reverse();
    let mut all: Vec<Document<Root>> = Vec::new();
    for version in versions {
        let path = path(version);
        let document = trusted_version(file::read(&path, MAX_SIZE)?, &path, version)?;
        if let Some(before) = all.last() {
            document.verify(&before.role.signed, &path)?;
        }
        all.push(document);
    }
    if let Some(before) = all.last() {
        newest.verify(&before.role.signed, &path(newest.role.signed.version))?;
    }
    Ok(all)
}

/// Checks that `bytes`, the content of the file at `path`, can be the root of trust of an image.
///
/// # Errors
/// A sentence with the expected and the found value.
pub(super) fn check_trust(bytes: &[u8], path: &Path) -> Result<(), String> {
    match trusted(bytes.to_vec(), path) {
        Ok(_) => Ok(()),
        Err(ReleaseError::Metadata { fault, .. }) => Err(fault),
        Err(other) => Err(other.to_string()),
    }
}

impl Document<Root> {
    /// Makes the next version with `change`, signed by `signers`. They must be enough for this version and the next one.
    pub(super) fn successor<'a>(
        &self,
        expires: Timestamp,
        change: impl FnOnce(&mut Root),
        signers: impl IntoIterator<Item = &'a SigningKey>,
    ) -> Result<Self, ReleaseError> {
        let mut root = self.role.signed.clone();
        root.version = next(Some(root.version));
        root.expires = expires;
        change(&mut root);
        // Remove keys that no role uses any more.
        let used: BTreeSet<_> = root.roles.values().flat_map(|role| role.keyids.clone()).collect();
        root.keys.retain(|id, _| used.contains(id));
        Self::sign(root, signers)?.within(MAX_SMALL_METADATA, FEWER)
    }
}
