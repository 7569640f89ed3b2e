//! New keys for a role, or a new term for those there are: the next root metadata.

use super::{
    error::ReleaseError,
    file,
    keys::{KeyRing, SigningKey, short},
    repository::{Repository, Signers, Terms},
    root::{Quorum, ROLES},
    upkeep::warn_of_exposed,
};
use crate::report::Report;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use tough::schema::{RoleType, Root};

/// What becomes of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// All keys of a role are replaced by new ones, as many as before or as said.
    Role(RoleType, Option<Quorum>),
    /// They stay: only the root metadata's own term is new.
    Renewal,
}

/// Makes the next root metadata, good until `expires`, puts it into repository and folder of keys, and signs anew what the old
/// keys of the role had signed. Returns the paths of new keys.
///
/// Hosts follow from any earlier root metadata: it is signed by the root keys before and after. A repository is valid at every
/// moment, as long as the old keys of the role are there as well: their signatures stand beside the new ones for once.
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
    let (_lock, mut repository, _) = Repository::own(repo, &keys)?;
    warn_of_exposed(&keys, report);
    let old = repository.root().clone();
    keys.enough(&old, RoleType::Root)?;

    let (new, stored) = match change {
        Change::Role(role, quorum) => {
            let new = quorum.unwrap_or_else(|| Quorum::of(&old, role)).generate(role)?;
            for other in ROLES.into_iter().filter(|other| resigned(role, *other) && *other != role) {
                keys.enough(&old, other)?;
            }
            // On the disk before anything is signed with them.
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
    let role = new.as_ref().map(|(role, _)| *role);
    keys.add(new.map(|(_, new)| new).unwrap_or_default());

    let root = next.role.signed.clone();
    match role {
        Some(role) if role != RoleType::Root => {
            let both = |role| -> Result<Vec<&SigningKey>, ReleaseError> {
                Ok(keys.enough(&root, role)?.into_iter().chain(keys.some(&old, role)).collect())
            };
            let targets = (role == RoleType::Targets).then(|| repository.targets());
            let signers = Signers {
                targets: if targets.is_some() { both(RoleType::Targets)? } else { Vec::new() },
                snapshot: both(RoleType::Snapshot)?,
                timestamp: both(RoleType::Timestamp)?,
            };
            let current = repository.next(targets, &signers, terms)?;
            if current.accepted_by(&old) {
                repository.publish(current)?;
                repository.publish_root(next.clone())?;
            } else {
                // The old keys are lost: hosts refuse the old signatures from here on, until the new ones are there.
                repository.publish_root(next.clone())?;
                repository.publish(current)?;
            }
        }
        _ => repository.publish_root(next.clone())?,
    }
    file::put(&keys.anchor_path, &next.bytes, 0o644)?;
    for id in old.keys.keys().filter(|id| !root.keys.contains_key(id)) {
        report.step("retired", format_args!("the key {}: nothing that it signs is trusted any more", short(id)));
    }
    Ok(stored)
}

/// Whether new keys of `role` call for new signatures of `other`.
fn resigned(role: RoleType, other: RoleType) -> bool {
    match role {
        RoleType::Root => false,
        RoleType::Targets => other != RoleType::Root,
        _ => matches!(other, RoleType::Snapshot | RoleType::Timestamp),
    }
}
