//! Makes static deltas from the most recent earlier releases.

use super::{
    build::Build,
    changes,
    error::ReleaseError,
    file,
    listing::{self, name_of},
    metadata::fault,
    record,
    repository::Repository,
    targets::{self, Workshop},
};
use anyhow::Result;
use berth_contract::release::{DeltaRecord, RecordCustom, ReleaseRecord, Target as Kind, delta_name};
use berth_formats::delta::patch;
use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
};
use tough::{TargetName, schema::Target};

/// The records of the last `count` releases before `custom` with the same id, architecture and channel, newest first.
pub(super) fn older(
    repository: &Repository,
    targets: &HashMap<TargetName, Target>,
    custom: &RecordCustom,
    count: usize,
) -> Result<Vec<ReleaseRecord>, ReleaseError> {
    let mut before: Vec<_> = listing::releases(targets).into_iter().map(|listed| listed.custom).collect();
    before.retain(|one| one.id == custom.id && one.arch == custom.arch && one.channel == custom.channel);
    before.retain(|one| one.version < custom.version);
    before.sort_by(|a, b| b.version.cmp(&a.version));
    before.truncate(count);
    before.iter().filter_map(|custom| repository.record(targets, custom).transpose()).collect()
}

/// Makes the delta from the release `from` to `build`. Returns the delta's entry in the record, and its target.
pub(super) fn make(
    build: &Build,
    from: &ReleaseRecord,
    repository: &Repository,
    targets: &HashMap<TargetName, Target>,
    workshop: &Workshop<'_>,
) -> Result<(DeltaRecord, (TargetName, Target))> {
    let custom = record::custom(from);
    let path_of = |kind| -> Result<PathBuf, ReleaseError> {
        let wanted = name_of(&custom, kind);
        let listed = targets.iter().find(|(name, _)| name.raw() == wanted);
        let missing = || fault(&repository.targets_folder(), format!("expected a target {wanted}, found none"));
        let (name, target) = listed.ok_or_else(missing)?;
        let path = repository.target_path(name.raw(), target);
        targets::check(&path, target)?;
        Ok(path)
    };
    let old = workshop.scratch("old");
    targets::unpack(&path_of(Kind::Root)?, &old)?;
    let old_uki = file::read(&path_of(Kind::Uki)?, patch::MAX_UKI)?;
    let open = |path: &Path| File::open(path).map_err(ReleaseError::io("read", path));
    let name = delta_name(&from.id, &from.version, &build.manifest.version, &from.arch);
    let (made, ()) =
        workshop.make(&name, |to| Ok(patch::make(&open(&old)?, &open(&build.root)?, &old_uki, &build.uki, to)?))?;
    let paths = if from.packages == build.manifest.packages() {
        Some(changes::changes(open(&old)?, open(&build.root)?)?)
    } else {
        None
    };
    fs::remove_file(&old).map_err(ReleaseError::io("remove", &old))?;
    let delta = DeltaRecord {
        from: from.version.clone(),
        from_root_hash: from.root.root_hash,
        from_uki: from.uki.sha256,
        target: name,
        paths,
    };
    Ok((delta, made))
}
