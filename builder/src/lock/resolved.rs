//! Makes the lock from a resolution.

use super::{
    LockInput, Problem,
    lockfile::{FORMAT, Lock, LockedArchive, LockedPackage, LockedProvided, RECIPE},
    open::Opened,
    resolver::{Askers, Resolution},
    universe::{Universe, relations},
};
use crate::date::Date;
use berth_contract::digest::Sha256;
use std::collections::{BTreeMap, BTreeSet};

impl Lock {
    /// Makes the lock from a resolution.
    pub(super) fn new(
        input: &LockInput,
        opened: &[Opened],
        universe: &Universe<'_>,
        resolution: &Resolution<'_>,
    ) -> Result<Self, Problem> {
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
                // dpkg lets a package overwrite files of the named package, but not files of packages that provide the name.
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
        let locked_archive = |Opened { archive, wanted, origin, .. }: &Opened| LockedArchive {
            suite: archive.name.clone(),
            codename: archive.in_release.codename.clone(),
            components: input.components_of(&input.suites[*wanted]).to_vec(),
            date: archive.in_release.date,
            in_release: archive.digest,
            expired: archive.expired,
            origin: origin.clone(),
        };
        let provided = resolution.provided.iter();
        let provided = provided.map(|(name, by)| LockedProvided { name: name.clone(), asked_by: owned(by) });
        let mut lock = Self {
            format: FORMAT,
            input: input.digest(),
            checksum: Sha256([0; 32]),
            date: opened.iter().map(|opened| opened.archive.in_release.date).max().unwrap_or(Date(0)),
            archives: opened.iter().map(locked_archive).collect(),
            provided: provided.collect(),
            packages,
        };
        lock.checksum = lock.content_digest();
        Ok(lock)
    }
}
