//! Lists the releases of a repository.

use super::{error::ReleaseError, file, metadata::fault, repository::Repository, targets};
use berth_contract::{
    arch::ArchName,
    release::{MAX_SIZE, RecordCustom, ReleaseRecord, Target as Kind},
    version::{ImageId, OsVersion},
};
use std::{collections::HashMap, fmt};
use tough::{TargetName, schema::Target};

/// A release in the repository's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Id, version, architecture and channel.
    pub custom: RecordCustom,
    /// Its targets: name and length in bytes, sorted by name.
    pub targets: Vec<(String, u64)>,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RecordCustom { id, version, arch, .. } = &self.custom;
        write!(f, "{id} {version} {arch}")
    }
}

/// The name of a release's target.
pub(super) fn name_of(custom: &RecordCustom, kind: Kind) -> String {
    kind.name(&custom.id, &custom.version, &custom.arch)
}

/// Whether the target `name` belongs to the release.
pub(super) fn owns(custom: &RecordCustom, name: &str) -> bool {
    // Id and version cannot contain "_", so no name of another release starts like this.
    name.starts_with(&format!("{}_{}_{}.", custom.id, custom.version, custom.arch))
}

/// All releases in `targets`, sorted by id and architecture, newest last.
pub(super) fn releases(targets: &HashMap<TargetName, Target>) -> Vec<Listed> {
    let custom = |(name, target): (&TargetName, &Target)| {
        let custom = target.custom.clone().into_iter().collect();
        let custom: RecordCustom = serde_json::from_value(serde_json::Value::Object(custom)).ok()?;
        (name.raw() == name_of(&custom, Kind::Record)).then_some(custom)
    };
    let listed = |custom: RecordCustom| {
        let own = targets.iter().filter(|(name, _)| owns(&custom, name.raw()));
        let mut own: Vec<_> = own.map(|(name, target)| (name.raw().to_owned(), target.length)).collect();
        own.sort();
        Listed { custom, targets: own }
    };
    let mut all: Vec<_> = targets.iter().filter_map(custom).map(listed).collect();
    let key = |listed: &Listed| (listed.custom.id.clone(), listed.custom.arch.clone(), listed.custom.version.clone());
    all.sort_by_key(key);
    all
}

/// Finds the release of `version`. If several releases have this version, `id` and `arch` select one of them.
pub(super) fn find(
    targets: &HashMap<TargetName, Target>,
    version: &OsVersion,
    id: Option<&ImageId>,
    arch: Option<&ArchName>,
) -> Result<Listed, ReleaseError> {
    let all = releases(targets);
    let meant = |listed: &&Listed| {
        listed.custom.version == *version
            && id.is_none_or(|id| listed.custom.id == *id)
            && arch.is_none_or(|arch| listed.custom.arch == *arch)
    };
    let found: Vec<_> = all.iter().filter(meant).collect();
    if let [one] = found[..] {
        return Ok(one.clone());
    }
    let names = if found.is_empty() { all.iter().collect() } else { found };
    let names: Vec<_> = names.into_iter().map(ToString::to_string).collect();
    let wanted = [id.map(ToString::to_string), Some(version.to_string()), arch.map(ToString::to_string)];
    Err(ReleaseError::NoSuchRelease {
        wanted: wanted.into_iter().flatten().collect::<Vec<_>>().join(" "),
        found: if names.is_empty() { "no releases".to_owned() } else { names.join(", ") },
    })
}

impl Repository {
    /// Reads the record of a release, if `targets` lists it.
    pub(super) fn record(
        &self,
        targets: &HashMap<TargetName, Target>,
        custom: &RecordCustom,
    ) -> Result<Option<ReleaseRecord>, ReleaseError> {
        let name = name_of(custom, Kind::Record);
        let Some((_, target)) = targets.iter().find(|(one, _)| one.raw() == name) else { return Ok(None) };
        let path = self.target_path(&name, target);
        targets::check(&path, target)?;
        let text = file::read(&path, MAX_SIZE)?;
        let record =
            serde_json::from_slice(&text).map_err(|error| fault(&path, format!("expected a release record: {error}")));
        record.map(Some)
    }
}
