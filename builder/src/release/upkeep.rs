//! What a repository needs between releases: fresh signatures, a look at what is in it, a release taken back.

use super::{
    error::ReleaseError,
    keys::KeyRing,
    listing::{self, Listed, name_of, owns},
    metadata::fault,
    record,
    repository::{Current, Repository, Signers, Terms},
    targets,
};
use crate::report::Report;
use berth_contract::{
    release::{ReleaseRecord, Target as Kind},
    version::{ImageId, OsVersion},
};
use jiff::Timestamp;
use std::{fs, path::Path};
use tough::schema::RoleType;

/// How near the end of a signature's time is worth a warning, in seconds.
const SOON: u64 = 7 * 86_400;

/// Signs timestamp and snapshot anew, and targets where their time ends before that of the timestamp. Returns when the
/// timestamp ends.
///
/// # Errors
/// Keys that are missing, a repository that does not verify.
pub fn refresh(repo: &Path, keys: &KeyRing, terms: Terms, report: &Report) -> Result<Timestamp, ReleaseError> {
    let (_lock, mut repository, current) = Repository::own(repo, keys)?;
    warn_of_exposed(keys, report);
    let root = repository.root().clone();
    let until = terms.online.from(terms.now);
    let targets_end = current.ending(until).into_iter().find(|(role, _)| *role == RoleType::Targets);
    let online = Signers::online(keys, &root)?;
    let next = match (targets_end, keys.enough(&root, RoleType::Targets)) {
        (None, _) => repository.next(None, &online, terms)?,
        (Some(_), Ok(targets)) => repository.next(Some(repository.targets()), &Signers { targets, ..online }, terms)?,
        (Some((_, end)), Err(missing)) => {
            report.warning(format_args!(
                "hosts will refuse this repository from {end} on: the targets are not signed anew\n{missing}"
            ));
            repository.next(None, &online, terms)?
        }
    };
    repository.publish(next)?;
    Ok(until)
}

/// All releases, by id and architecture, the newest last.
///
/// # Errors
/// A repository that does not verify.
pub fn list(repo: &Path, keys: &KeyRing) -> Result<Vec<Listed>, ReleaseError> {
    Ok(listing::releases(&Repository::existing(repo, keys)?.0.targets()))
}

/// Takes a release back: from the metadata first, then its files. Deltas from it to newer releases stay, for the hosts that
/// have it.
///
/// # Errors
/// No such release, or several; keys that are missing, a repository that does not verify.
pub fn revoke(
    repo: &Path,
    keys: &KeyRing,
    (version, id, arch): (&OsVersion, Option<&ImageId>, Option<&str>),
    terms: Terms,
    report: &Report,
) -> Result<Listed, ReleaseError> {
    let (_lock, mut repository, _) = Repository::own(repo, keys)?;
    warn_of_exposed(keys, report);
    let mut targets = repository.targets();
    let gone = listing::find(&targets, version, id, arch)?;
    let signers = Signers::new(keys, repository.root())?;
    targets.retain(|name, _| !owns(&gone.custom, name.raw()));
    let next = repository.next(Some(targets), &signers, terms)?;
    repository.publish(next)?;
    Ok(gone)
}

/// Verifies all there is: metadata, every target's length and digest, every record and what it names. Returns the releases.
/// What only deserves a look is told as a warning.
///
/// # Errors
/// The first fault, and metadata whose time has ended at `now`.
pub fn check(repo: &Path, keys: &KeyRing, now: u64, report: &Report) -> Result<Vec<Listed>, ReleaseError> {
    let (repository, current) = Repository::existing(repo, keys)?;
    let time = |seconds: u64| i64::try_from(seconds).ok().and_then(|second| Timestamp::from_second(second).ok());
    let (now, soon) = (time(now).unwrap_or(Timestamp::MAX), time(now.saturating_add(SOON)).unwrap_or(Timestamp::MAX));
    for (role, end) in ends(&repository, &current, soon) {
        if end <= now {
            return Err(fault(
                &repository.metadata(),
                format!("the time of role {role} has ended at {end}: {}", renewal(role)),
            ));
        }
        report.warning(format_args!("the time of role {role} ends at {end}: {}", renewal(role)));
    }
    let all = repository.targets();
    for (name, target) in &all {
        targets::check(&repository.target_path(name.raw(), target), target)?;
        report.detail(format_args!("{} is whole", name.raw()));
    }
    let releases = listing::releases(&all);
    for listed in &releases {
        if let Some(record) = repository.record(&all, &listed.custom)? {
            coherent(&record, listed, &repository)?;
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
            report.warning(format_args!("{} is no target: the next release removes it", path.display()));
        }
    }
    Ok(releases)
}

fn ends(repository: &Repository, current: &Current, until: Timestamp) -> Vec<(RoleType, Timestamp)> {
    let root = (RoleType::Root, repository.root().expires);
    current.ending(until).into_iter().chain([root].into_iter().filter(|(_, end)| *end <= until)).collect()
}

fn renewal(role: RoleType) -> &'static str {
    match role {
        RoleType::Root => "see berth keys renew",
        _ => "see berth repo refresh",
    }
}

/// Whether a record says what the metadata says, and names what there is.
fn coherent(record: &ReleaseRecord, listed: &Listed, repository: &Repository) -> Result<(), ReleaseError> {
    let path = repository.targets_folder().join(name_of(&listed.custom, Kind::Record));
    let wrong = |what: String| Err(fault(&path, what));
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

/// Says which keys others may read.
pub(super) fn warn_of_exposed(keys: &KeyRing, report: &Report) {
    for path in &keys.exposed {
        report.warning(format_args!("others may read {}\nhint: chmod 600 it", path.display()));
    }
}
