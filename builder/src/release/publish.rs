//! `berth release` on one page: from checked builds to a repository that lists them.

use super::{
    build::Build,
    bundle, delta,
    error::ReleaseError,
    keys::KeyRing,
    listing::{self, Listed, name_of},
    record,
    repository::{Repository, Signers, Terms},
    targets::{self, Workshop},
};
use crate::report::Report;
use anyhow::{Context, Result};
use berth_contract::release::{ReleaseRecord, Target as Kind, is_channel};
use berth_formats::{
    delta::{chunks, cuts},
    erofs::read::Image,
};
use std::{collections::HashMap, fmt, fs::File, num::NonZeroU64, path::PathBuf, str::FromStr};
use tough::{TargetName, schema::Target};

/// The name of a channel: `[a-z0-9][a-z0-9.-]*`, at most 48 bytes. A release is for the hosts of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel(String);

/// A text that is not a [`Channel`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 48 of the characters a-z, 0-9, . and -, starting with a letter or digit")]
pub struct BadChannel;

impl FromStr for Channel {
    type Err = BadChannel;

    fn from_str(text: &str) -> Result<Self, BadChannel> {
        if is_channel(text) { Ok(Self(text.to_owned())) } else { Err(BadChannel) }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The input of [`release`].
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Output folders of builds.
    pub builds: Vec<PathBuf>,
    /// The repository. It is created if it does not exist.
    pub repo: PathBuf,
    /// The channel of the releases.
    pub channel: Channel,
    /// Number of older releases to make static deltas from.
    pub deltas: usize,
    /// The bundle to write, if any.
    pub bundle: Option<PathBuf>,
    /// zstd level.
    pub level: i32,
    /// How long signatures are valid.
    pub terms: Terms,
}

/// Targets by name.
type Targets = HashMap<TargetName, Target>;

/// Releases builds and returns the new entries of the repository's list. Skips builds that are already released.
///
/// # Errors
/// A build is incomplete; keys are missing; the repository does not verify; a version is already released with other content.
/// The list of the repository is not changed then.
pub fn release(wanted: &Wanted, keys: &KeyRing, report: &Report) -> Result<Vec<Listed>> {
    let mut builds = wanted.builds.iter().map(|folder| Build::open(folder)).collect::<Result<Vec<_>, _>>()?;
    // Sort by version: a delta may start from another build of this call.
    builds.sort_by(|a, b| (&a.manifest.id, &a.manifest.version).cmp(&(&b.manifest.id, &b.manifest.version)));
    super::upkeep::warn_of_exposed(keys, report);
    let _lock = Repository::lock(&wanted.repo)?;
    let mut repository = Repository::open(&wanted.repo, keys)?;
    repository.in_time(wanted.terms.now)?;
    if repository.current.is_none() && keys.anchor.role.signed.version != NonZeroU64::MIN {
        let text = format_args!(
            "{} is new, but its keys are not: hosts that know another repository with these keys refuse this one until its \
             versions are higher",
            wanted.repo.display()
        );
        report.warning_with_hint(text, "restore metadata/ from a backup, or from the server that publishes it");
    }
    // Check that all keys are available before the slow work starts.
    let signers = Signers::new(keys, repository.root())?;

    let before = repository.targets();
    let mut all = before.clone();
    let workshop = Workshop::new(repository.targets_folder(), report)?;
    let plain = |build| {
        record::record(build, &wanted.channel.0, Vec::new())
            .map_err(|source| ReleaseError::Uki { path: build.root.clone(), source })
    };
    let records = builds.iter().map(plain).collect::<Result<Vec<_>, _>>()?;
    let customs: Vec<_> = records.iter().map(record::custom).collect();
    if wanted.bundle.is_some() {
        bundle::check(&before, &customs)?;
    }
    for ((build, plain), custom) in builds.iter().zip(records).zip(&customs) {
        match repository.record(&all, custom)? {
            Some(released) => {
                same(&released, &plain)?;
                report.step("known", format_args!("{} {} is already released", custom.id, custom.version));
            }
            None => add(build, plain, wanted, &repository, &workshop, &mut all)?,
        }
    }
    if all != before || repository.current.is_none() {
        let next = repository.next(Some(all), &signers, wanted.terms)?;
        repository.publish(next)?;
    }
    super::outlook::warn(&repository, wanted.terms, report);
    let listed = listing::releases(&repository.targets());
    let made: Vec<_> = listed.into_iter().filter(|listed| customs.contains(&listed.custom)).collect();
    for listed in &made {
        report.step("release", format_args!("{listed} in channel {}", listed.custom.channel));
    }
    if let Some(bundle) = &wanted.bundle {
        bundle::write(&repository, &made, bundle)?;
        report.step("bundle", bundle.display());
    }
    Ok(made)
}

/// Checks that an already released version has the same content as the given build.
fn same(released: &ReleaseRecord, given: &ReleaseRecord) -> Result<(), ReleaseError> {
    let parts = |record: &ReleaseRecord| {
        [
            ("root hash", record.root.root_hash.to_string()),
            ("unified kernel image", record.uki.sha256.to_string()),
            ("channel", record.channel.clone()),
        ]
    };
    match parts(released).into_iter().zip(parts(given)).find(|(released, given)| released != given) {
        None => Ok(()),
        Some(((what, released), (_, given_part))) => Err(ReleaseError::Differs {
            release: format!("{} {} {}", given.id, given.version, given.arch),
            what,
            released,
            given: given_part,
        }),
    }
}

/// Makes the targets of a release and adds them to `all`. The record is made last because it describes the other targets.
fn add(
    build: &Build,
    mut record: ReleaseRecord,
    wanted: &Wanted,
    repository: &Repository,
    workshop: &Workshop<'_>,
    all: &mut Targets,
) -> Result<()> {
    let custom = record::custom(&record);
    // Check the size limit before the slow work starts. The record only gets larger later.
    record::text(&record)?;
    let name = |kind| name_of(&custom, kind);
    let mut made = vec![
        workshop.put(&name(Kind::Uki), &build.uki)?,
        workshop.copy(&name(Kind::Verity), &build.verity)?,
        workshop.make(&name(Kind::Root), |to| Ok(targets::compress(&build.root, wanted.level, to)?))?.0,
        workshop
            .make(&name(Kind::Packed), |to| {
                Ok(targets::pack(&build.root, build.manifest.arch.xz_filter, wanted.level, to)?)
            })?
            .0,
    ];
    let open = || File::open(&build.root).map_err(ReleaseError::io("read", &build.root));
    let cuts = cuts::of(&Image::open(open()?, 0)?).with_context(|| build.root.display().to_string())?;
    let settings = chunks::Settings { level: wanted.level, ..Default::default() };
    let (chunks, index) =
        workshop.make(&name(Kind::Chunks), |to| Ok(chunks::write(&open()?, record.root.size, &cuts, settings, to)?))?;
    made.extend([chunks, workshop.put(&name(Kind::Index), &index.to_bytes())?]);
    for from in delta::older(repository, all, &custom, wanted.deltas)? {
        let (said, target) = delta::make(build, &from, repository, all, workshop)?;
        record.deltas.push(said);
        made.push(target);
    }
    let (record_name, mut target) = workshop.put(&name(Kind::Record), record::text(&record)?.as_bytes())?;
    if let serde_json::Value::Object(fields) = serde_json::to_value(&custom)? {
        target.custom = fields.into_iter().collect();
    }
    made.push((record_name, target));
    all.extend(made);
    Ok(())
}
