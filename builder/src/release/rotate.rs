//! The next root metadata: new keys for a role, or a later expiry.

use super::{
    current::Current,
    error::ReleaseError,
    file,
    key::{SigningKey, short},
    keys::KeyRing,
    metadata::{ROOT, name},
    outlook,
    repository::{Repository, Signers, Terms, Unfinished},
    root::{self, Quorum},
    upkeep::warn_of_exposed,
};
use crate::report::Report;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use tough::schema::{RoleType, Root};

/// What changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// All keys of a role are replaced by new ones; without a number, as many as before.
    Role(RoleType, Option<Quorum>),
    /// The keys stay: only the expiry of the root metadata changes.
    Renewal,
}

/// Makes the next root metadata, valid until `expires`, writes it into the repository and the folder of keys, and signs again
/// what the old keys of the role had signed. Returns the paths of new keys.
///
/// Hosts follow from any earlier root metadata: each version is signed with the root keys before and after. The repository is
/// valid at every moment if the old keys of the role are there too: then one version has the signatures of both.
///
/// # Errors
/// Keys that are missing (those of root, and those of what is signed anew), a repository that does not verify.
pub fn rotate(
    repo: &Path,
    mut keys: KeyRing,
    change: Change,
    (expires, terms): (Timestamp, Terms),
    report: &Report,
) -> Result<Vec<PathBuf>, ReleaseError> {
    let (_lock, mut repository, before) = Repository::own(repo, &keys, Unfinished::Resume)?;
    warn_of_exposed(&keys, report);
    let old = repository.root().clone();
    keys.enough(&old, RoleType::Root)?;
    if !before.accepted_by(&old) {
        report.warning("the last change of keys was not finished, and hosts refuse the repository: this one mends it");
    }
    // The folder of keys holds the whole chain: a new repository needs it.
    let earlier = root::earlier(&repository.metadata(), &repository.roots[0])?;
    let resigned = resigned(&before, &old, change);

    let (new, stored) = match change {
        Change::Role(role, quorum) => {
            let new = quorum.unwrap_or_else(|| Quorum::of(&old, role)).generate(role)?;
            for other in resigned.iter().copied().filter(|other| *other != role) {
                keys.enough(&old, other)?;
            }
            // The keys must survive a power cut before anything is signed with them.
            let folder = keys.folders()[0].clone();
            let stored = new.iter().map(|key| key.store(&folder, role)).collect::<Result<_, _>>()?;
            (Some((role, new)), stored)
        }
        Change::Renewal => (None, Vec::new()),
    };
    let next = {
        let last = &repository.roots[repository.roots.len() - 1];
        let added: Vec<&SigningKey> = match &new {
            Some((RoleType::Root, new)) => new.iter().collect(),
            _ => Vec::new(),
        };
        let roles = new.as_ref().map(|(role, new)| {
            let quorum = match change {
                Change::Role(_, Some(quorum)) => quorum,
                _ => Quorum::of(&old, *role),
            };
            quorum.role(*role, new).map(|keys| (*role, keys, new))
        });
        let roles = roles.transpose()?;
        let change = |root: &mut Root| {
            if let Some((role, role_keys, new)) = roles {
                root.keys.extend(new.iter().map(|key| (key.id().clone(), key.public().clone())));
                root.roles.insert(role, role_keys);
            }
        };
        last.successor(expires, change, keys.some(&old, RoleType::Root).into_iter().chain(added))?
    };
    keys.add(new.map(|(_, new)| new).unwrap_or_default());

    let root = next.role.signed.clone();
    // This version has the signatures of the old keys and of the new ones.
    let both = |role| -> Result<Vec<&SigningKey>, ReleaseError> {
        if !resigned.contains(&role) {
            return Ok(Vec::new());
        }
        Ok(keys.enough(&root, role)?.into_iter().chain(keys.some(&old, role)).collect())
    };
    let signers = Signers {
        targets: both(RoleType::Targets)?,
        snapshot: both(RoleType::Snapshot)?,
        timestamp: both(RoleType::Timestamp)?,
    };
    if resigned.is_empty() {
        repository.publish_root(next.clone())?;
    } else {
        let targets = (!signers.targets.is_empty()).then(|| repository.targets());
        let current = repository.next(targets, &signers, terms)?;
        if current.accepted_by(&old) {
            repository.publish(current)?;
            repository.publish_root(next.clone())?;
        } else {
            // The old keys are lost: from the new root metadata on, hosts refuse the repository until the new signatures are there.
            repository.stage(&current)?;
            repository.publish_root(next.clone())?;
            repository.commit(current)?;
        }
    }
    for root in earlier.iter().chain(&repository.roots) {
        let path = keys.anchor_path.with_file_name(name(ROOT, root.role.signed.version));
        file::put(&path, &root.bytes, 0o644)?;
    }
    file::put(&keys.anchor_path, &next.bytes, 0o644)?;
    for id in old.keys.keys().filter(|id| !root.keys.contains_key(id)) {
        report.step("retired", format_args!("the key {}: nothing that it signs is trusted any more", short(id)));
    }
    outlook::warn(&repository, terms, report);
    Ok(stored)
}

/// The roles to sign again: those of the changed keys, those that `old` does not accept, and the roles that list them.
fn resigned(before: &Current, old: &Root, change: Change) -> &'static [RoleType] {
    const ORDER: [RoleType; 3] = [RoleType::Targets, RoleType::Snapshot, RoleType::Timestamp];
    let good = [
        old.verify_role(&before.targets.role).is_ok(),
        old.verify_role(&before.snapshot.role).is_ok(),
        old.verify_role(&before.timestamp.role).is_ok(),
    ];
    let changed = |role| matches!(change, Change::Role(changed, _) if changed == role);
    let first = ORDER.iter().zip(good).position(|(role, good)| !good || changed(*role));
    &ORDER[first.unwrap_or(ORDER.len())..]
}
