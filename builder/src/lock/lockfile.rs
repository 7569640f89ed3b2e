//! What stands in a lock file.

use super::{Askers, LockInput, Resolution, Universe, universe::relations};
use crate::source::debian::{archive::Archive, date::Date, debs::DebRef};
use berth_contract::digest::Sha256;
use berth_fetch::store::Want;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::collections::{BTreeMap, BTreeSet};

/// The version of the format. One that is not known is refused.
pub(super) const FORMAT: u32 = 2;

/// Who asks for a package that the recipe itself names.
pub const RECIPE: &str = "(recipe)";

/// The exact inputs of an image. Holds no mirror and no path of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// Version of the format: 2.
    pub format: u32,
    /// [`LockInput::digest`] of what it was made from.
    pub input: Sha256,
    /// Digest of all the rest: tells when the file was edited by hand.
    pub checksum: Sha256,
    /// `Date` of the newest archive: the time that all files of the image bear unless told otherwise.
    pub date: Date,
    /// The suites, in the recipe's order.
    #[serde(rename = "archive")]
    pub archives: Vec<LockedArchive>,
    /// Provided names that were needed, sorted.
    #[serde(rename = "provided", default, skip_serializing_if = "Vec::is_empty")]
    pub provided: Vec<LockedProvided>,
    /// The packages, sorted by name.
    #[serde(rename = "package", default)]
    pub packages: Vec<LockedPackage>,
}

/// A suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedArchive {
    /// Its name in the recipe.
    pub suite: String,
    /// `Codename` of its Release.
    pub codename: String,
    /// The components that were read.
    pub components: Vec<String>,
    /// `Date` of its Release.
    pub date: Date,
    /// Digest of its InRelease file.
    pub in_release: Sha256,
}

/// Something that the recipe takes as installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedProvided {
    /// Its name.
    pub name: String,
    /// The packages that depend on it, each with its words.
    pub asked_by: BTreeMap<String, String>,
}

/// A package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// The suite that lists it, one of [`Lock::archives`].
    pub suite: String,
    /// Path of the .deb below the archive's root.
    pub file: String,
    /// Bytes of the .deb.
    pub size: u64,
    /// Digest of the .deb.
    pub sha256: Sha256,
    /// Bytes that its files take when they are installed, as the index says it, where it does: limits what unpacking may
    /// yield.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_size: Option<u64>,
    /// Packages of this lock whose files it may overwrite (`Replaces`, versions already checked), sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
    /// Who asks for it, and in which words: packages by a dependency, [`RECIPE`] by a name.
    pub asked_by: BTreeMap<String, String>,
}

impl LockedPackage {
    /// What to fetch.
    #[must_use]
    pub fn deb(&self) -> DebRef<'_> {
        let want = Want { sha256: self.sha256, size: self.size };
        DebRef { name: &self.name, suite: &self.suite, file: &self.file, want }
    }
}

impl Lock {
    /// The lock of a resolution.
    pub(super) fn new(
        input: &LockInput,
        archives: &[&Archive],
        universe: &Universe<'_>,
        resolution: &Resolution<'_>,
    ) -> Result<Self, super::Problem> {
        let owned = |askers: &Askers<'_>| -> BTreeMap<String, String> {
            askers.iter().map(|(by, words)| ((*by).to_owned(), words.clone())).collect()
        };
        let mut packages = Vec::with_capacity(resolution.chosen.len());
        for (&name, &id) in &resolution.chosen {
            let package = &universe[id].package;
            let mut asked_by = resolution.asked_by.get(name).map(owned).unwrap_or_default();
            if let Some(wish) = resolution.requested.get(name) {
                asked_by.insert(RECIPE.to_owned(), wish.clone());
            }
            let mut replaces = BTreeSet::new();
            for relation in relations(package, "Replaces", package.replaces)?.into_iter().flatten() {
                // dpkg lets a package overwrite files of the named package itself, not of those that provide the name.
                if let Some((&other, _)) = resolution.chosen.get_key_value(relation.name)
                    && other != name
                    && universe.satisfies(resolution.chosen[other], &relation)
                {
                    replaces.insert(other);
                }
            }
            packages.push(LockedPackage {
                name: name.to_owned(),
                version: package.version.0.to_owned(),
                architecture: package.architecture.to_owned(),
                suite: universe.suite_of(id).to_owned(),
                file: package.file.to_owned(),
                size: package.want.size,
                sha256: package.want.sha256,
                installed_size: package.installed_size,
                replaces: replaces.into_iter().map(String::from).collect(),
                asked_by,
            });
        }
        let locked_archive = |archive: &Archive| LockedArchive {
            suite: archive.asked.clone(),
            codename: archive.release.codename.clone(),
            components: input.components.clone(),
            date: archive.release.date,
            in_release: archive.in_release,
        };
        let provided = resolution.provided.iter();
        let provided = provided.map(|(name, by)| LockedProvided { name: name.clone(), asked_by: owned(by) });
        let mut lock = Self {
            format: FORMAT,
            input: input.digest(),
            checksum: Sha256([0; 32]),
            date: archives.iter().map(|archive| archive.release.date).max().unwrap_or(Date(0)),
            archives: archives.iter().copied().map(locked_archive).collect(),
            provided: provided.collect(),
            packages,
        };
        lock.checksum = lock.content_digest();
        Ok(lock)
    }

    /// The digest that [`Lock::checksum`] must be: of the file as this program would write it, with a checksum of zeros.
    #[must_use]
    pub fn content_digest(&self) -> Sha256 {
        let blank = Self { checksum: Sha256([0; 32]), ..self.clone() };
        Sha256(sha2::Sha256::digest(blank.to_string()).into())
    }
}
