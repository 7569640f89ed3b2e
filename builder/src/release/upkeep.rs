//! Maintenance of a repository: renews signatures, lists, checks and revokes releases.

use super::{
    error::ReleaseError,
    keys::KeyRing,
    listing::{self, Listed, name_of, owns},
    metadata::{ROOT, fault, name},
    outlook::{self, soon, warn_of_end},
    record,
    repository::{Repository, Signers, Terms, Unfinished, swept},
    root, targets,
};
use crate::{date::Date, report::Report};
use berth_contract::{
    arch::ArchName,
    release::{ReleaseRecord, Target as Kind},
    version::{ImageId, OsVersion},
};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    fs,
    num::NonZeroU64,
    path::{Path, PathBuf},
};
use tough::{
    TargetName,
    schema::{RoleType, Target},
};

/// Signs timestamp and snapshot again, and targets if they expire soon or before the timestamp. Returns the earliest expiry of
/// all roles: until then hosts accept the repository.
///
/// # Errors
/// Missing keys, a repository that does not verify, an expired root.
pub fn refresh(repo: &Path, keys: &KeyRing, terms: Terms, report: &Report) -> Result<Timestamp, ReleaseError> {
    let (_lock, mut repository, current) = Repository::own(repo, keys, Unfinished::Refuse)?;
    repository.in_time(terms.now)?;
    warn_of_exposed(keys, report);
    let root = repository.root().clone();
    let until = terms.online.from(terms.now).max(soon(RoleType::Targets, terms.now));
    let online = Signers::online(keys, &root)?;
    let next = match keys.enough(&root, RoleType::Targets) {
        Ok(targets) if current.targets.role.signed.expires <= until => {
            repository.next(Some(repository.targets()), &Signers { targets, ..online }, terms)?
        }
        _ => repository.next(None, &online, terms)?,
    };
    repository.publish(next)?;
    outlook::warn(&repository, terms, report);
    Ok(repository.ends().into_iter().map(|(_, end)| end).min().unwrap_or(until))
}

/// Lists all releases, sorted by id and architecture, newest last.
///
/// # Errors
/// The repository does not verify.
pub fn list(repo: &Path, keys: &KeyRing) -> Result<Vec<Listed>, ReleaseError> {
    Ok(listing::releases(&Repository::existing(repo, keys)?.0.targets()))
}

/// Revokes a release: removes its entries from the metadata, then its files. Deltas from it to newer releases stay, for hosts
/// that run the revoked release.
///
/// # Errors
/// No release or several releases match; keys are missing; the repository does not verify.
pub fn revoke(
    repo: &Path,
    keys: &KeyRing,
    (version, id, arch): (&OsVersion, Option<&ImageId>, Option<&ArchName>),
    terms: Terms,
    report: &Report,
) -> Result<Listed, ReleaseError> {
    let (_lock, mut repository, _) = Repository::own(repo, keys, Unfinished::Refuse)?;
    repository.in_time(terms.now)?;
    warn_of_exposed(keys, report);
    let mut targets = repository.targets();
    let gone = listing::find(&targets, version, id, arch)?;
    let signers = Signers::new(keys, repository.root())?;
    targets.retain(|name, _| !owns(&gone.custom, name.raw()));
    let next = repository.next(Some(targets), &signers, terms)?;
    repository.publish(next)?;
    outlook::warn(&repository, terms, report);
    Ok(gone)
}

/// Verifies the whole repository: the metadata, length and digest of each target, and each record with its targets. Returns
/// the releases. Minor faults are printed as warnings.
///
/// # Errors
/// The first fault; metadata is expired at `now`.
pub fn check(repo: &Path, keys: &KeyRing, now: u64, report: &Report) -> Result<Vec<Listed>, ReleaseError> {
    let (repository, _) = Repository::existing(repo, keys)?;
    whole_chain(&repository)?;
    for (role, end) in repository.ends() {
        if end <= Date(now).timestamp() {
            return Err(repository.ended(role, end));
        }
        if end <= soon(role, now) {
            warn_of_end(role, end, report);
        }
    }
    let all = repository.targets();
    for (name, target) in &all {
        targets::check(&repository.target_path(name.raw(), target), target)?;
        report.detail(format_args!("{} is intact", name.raw()));
    }
    let releases = listing::releases(&all);
    for listed in &releases {
        if let Some(record) = repository.record(&all, &listed.custom)? {
            coherent(&record, listed, &record_path(&repository, &all, listed))?;
        }
    }
    let owned = |name: &str| releases.iter().any(|listed| owns(&listed.custom, name));
    for name in all.keys().filter(|name| !owned(name.raw())) {
        report.warning(format_args!("target {} belongs to no release", name.raw()));
    }
    let folder = repository.targets_folder();
    let known: Vec<_> = all.iter().map(|(name, target)| repository.target_path(name.raw(), target)).collect();
    for entry in fs::read_dir(&folder).map_err(ReleaseError::io("list", &folder))? {
        let path = entry.map_err(ReleaseError::io("list", &folder))?.path();
        if !known.contains(&path) {
            let removed = path.file_name().and_then(|name| name.to_str()).is_some_and(swept);
            let then = if removed { ": the next release removes it" } else { "" };
            report.warning(format_args!("{} is not a target{then}", path.display()));
        }
    }
    Ok(releases)
}

/// Checks that a host can follow from any version of the root metadata to the newest.
fn whole_chain(repository: &Repository) -> Result<(), ReleaseError> {
    let oldest = &repository.roots[0];
    let known = root::earlier(&repository.metadata(), oldest)?;
    let first = known.first().unwrap_or(oldest).role.signed.version.get();
    match NonZeroU64::new(first - 1) {
        None => Ok(()),
        Some(missing) => {
            let path = repository.metadata().join(name(ROOT, missing));
            Err(fault(&path, "expected an earlier root metadata for hosts with older images, found none".to_owned()))
        }
    }
}

fn record_path(repository: &Repository, targets: &HashMap<TargetName, Target>, listed: &Listed) -> PathBuf {
    let name = name_of(&listed.custom, Kind::Record);
    let target = targets.iter().find(|(one, _)| one.raw() == name);
    target.map_or_else(|| repository.targets_folder(), |(_, target)| repository.target_path(&name, target))
}

/// Checks that a record agrees with the metadata, and that the targets that it names exist.
fn coherent(record: &ReleaseRecord, listed: &Listed, path: &Path) -> Result<(), ReleaseError> {
    let wrong = |what: String| Err(fault(path, what));
    if record::custom(record) != listed.custom {
        return wrong(format!("expected a record of {listed}, found one of {} {}", record.id, record.version));
    }
    let length = |kind| {
        let name = name_of(&listed.custom, kind);
        listed.targets.iter().find(|(one, _)| *one == name).map(|(_, length)| *length)
    };
    for kind in Kind::ALL {
        if length(kind).is_none() {
            return wrong(format!("expected a target {}, found none", name_of(&listed.custom, kind)));
        }
    }
    for (kind, wanted) in [(Kind::Uki, record.uki.size), (Kind::Verity, record.root.verity_size)] {
        if length(kind) != Some(wanted) {
            return wrong(format!(
                "expected {} to have {wanted} bytes, found {:?}",
                name_of(&listed.custom, kind),
                length(kind)
            ));
        }
    }
    match record.deltas.iter().find(|delta| listed.targets.iter().all(|(name, _)| *name != delta.target)) {
        Some(delta) => wrong(format!("expected a target {}, found none", delta.target)),
        None => Ok(()),
    }
}

/// Warns about key files that other users may read.
pub(super) fn warn_of_exposed(keys: &KeyRing, report: &Report) {
    for path in &keys.exposed {
        report
            .warning_with_hint(format_args!("other users may read {}", path.display()), "run `chmod 600` on this file");
    }
}
