//! Makes the next root metadata, with new keys for a role or a later expiry.

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

/// The change in the root metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// All keys of a role are replaced by new keys. Without a quorum, the number of keys and the threshold stay the same.
    Role(RoleType, Option<Quorum>),
    /// The keys stay: only the expiry of the root metadata changes.
    Renewal,
}

/// Makes the next root metadata, valid until `expires`, and writes it into the repository and the folder of keys. Signs the
/// metadata that the old keys of the role had signed again. Returns the paths of new keys.
///
/// Hosts can follow from any earlier root metadata, because each version is signed with the old and the new root keys. If the
/// old keys of the role are available too, the repository is valid at every moment: one version has old and new signatures.
///
/// # Errors
/// Keys of root, or of a role that is signed again, are missing; the repository does not verify.
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
        report.warning(
            "the last change of keys was not finished, and hosts refuse the repository: this change repairs it",
        );
    }
    // All versions of the root metadata are stored in the folder of keys too: a new repository needs them.
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
            let passphrase = keys.passphrase(role);
            let store = |key: &SigningKey| key.store(&folder, role, passphrase);
            let stored: Vec<_> = new.iter().map(store).collect::<Result<_, _>>()?;
            if passphrase.is_none() && !keys.locked().is_empty() {
                warn_of_plain(&stored, report);
            }
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
            // The old keys are not available. Hosts refuse the repository between `publish_root` and `commit`.
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
        report.step("retired", format_args!("the key {}: its signatures are no longer trusted", short(id)));
    }
    outlook::warn(&repository, terms, report);
    Ok(stored)
}

/// Other keys are encrypted, but their passphrase was not given.
fn warn_of_plain(stored: &[PathBuf], report: &Report) {
    for path in stored {
        let hint = "encrypt it with `openssl pkcs8 -topk8`, or rotate again with --passphrase-file";
        let text = "is not encrypted, unlike other keys: no passphrase opened them";
        report.warning_with_hint(format_args!("{} {text}", path.display()), hint);
    }
}

/// The roles to sign again: the role with changed keys, roles with signatures that `old` does not accept, and the roles that
/// list them.
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
