//! Updates an existing lock: which packages keep their locked version, and which change.

use super::{Lock, LockedPackage, Problem, Resolution, Universe, Wish, resolve};
use crate::source::debian::relation::{Relation, parse};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Which packages to update to the newest version in the archives. All other packages keep their locked version if the
/// archives still have it and the recipe allows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Update {
    /// Only packages whose locked version cannot stay.
    #[default]
    Needed,
    /// The packages with these names, and others only if the update of these requires it.
    Only(BTreeSet<String>),
    /// All packages.
    All,
}

/// One difference between the old lock and the new lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The package was not locked before.
    Added {
        /// Package name.
        name: String,
        /// The new version.
        version: String,
    },
    /// The package is no longer needed.
    Removed {
        /// Package name.
        name: String,
        /// The version in the old lock.
        version: String,
    },
    /// The package has another version, or the same version with another digest.
    Changed {
        /// Package name.
        name: String,
        /// The version in the old lock.
        from: String,
        /// The version in the new lock.
        to: String,
        /// Whether no suite lists the old version any more.
        gone: bool,
    },
}

impl Change {
    /// The kind of change as one word, for reports.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Added { .. } => "added",
            Self::Removed { .. } => "removed",
            Self::Changed { .. } => "changed",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { name, version } | Self::Removed { name, version } => write!(f, "{name} {version}"),
            Self::Changed { name, from, to, gone } => {
                write!(f, "{name} {from} → {to}")?;
                f.write_str(if *gone { " (the archive no longer has the old one)" } else { "" })
            }
        }
    }
}

/// Resolves `wishes`. Keeps the versions in `known` locks if `update` allows it and they can stay. The last lock that has a package
/// decides.
pub(super) fn resolve_again<'a>(
    universe: &mut Universe<'a>,
    known: &[&Lock],
    update: &Update,
    (wishes, provided): (&[Wish], &BTreeSet<&str>),
) -> Result<Resolution<'a>, Problem> {
    let stays = |package: &&LockedPackage| match update {
        Update::Needed => true,
        Update::Only(names) => !names.contains(&package.name),
        Update::All => false,
    };
    for lock in known {
        universe.keep(lock.packages.iter().filter(stays));
    }
    loop {
        let problem = match resolve(universe, wishes, provided) {
            Err(problem) => problem,
            resolution => return resolution,
        };
        let all: Vec<&str> = universe.kept().collect();
        if all.is_empty() {
            return Err(problem);
        }
        match in_the_way(universe, &all, &problem) {
            Some(name) => universe.release(name),
            // No single kept package is to blame. Release all of them: locked versions must never cause an error.
            None => all.into_iter().for_each(|name| universe.release(name)),
        }
    }
}

/// The kept package to release so that `problem` may be solved. First choice: the package that the dependency names, if its
/// best version solves the problem. Else the nearest kept package in the dependency chain.
fn in_the_way<'a>(universe: &Universe<'a>, kept: &[&'a str], problem: &Problem) -> Option<&'a str> {
    let best = |name: &str| universe.best(name);
    let mut chains: Vec<&[String]> = Vec::new();
    match problem {
        Problem::Unsatisfiable { chain, relation, .. } => {
            let groups = parse(relation).unwrap_or_default();
            let serves = |name: &&str, relation: &Relation<'_>| {
                best(name).is_some_and(|best| universe.satisfies(best, relation))
            };
            for relation in groups.iter().flatten() {
                if let Some(name) = kept.iter().find(|name| serves(name, relation)) {
                    return Some(name);
                }
            }
            chains.push(chain);
        }
        Problem::Conflict { one, other, relation, .. } => {
            let relation = parse(relation).ok()?.into_iter().flatten().next()?;
            let harmless = |name: &&&str| best(name).is_some_and(|best| !universe.satisfies(best, &relation));
            let last = other.last().and_then(|other| kept.iter().find(|name| *name == other)).filter(harmless);
            if let Some(name) = last {
                return Some(name);
            }
            chains.extend([one.as_slice(), other.as_slice()]);
        }
        _ => {}
    }
    let asked = chains.iter().flat_map(|chain| chain.iter().rev());
    asked.filter_map(|name| kept.iter().find(|kept| *kept == name)).next().copied()
}

/// The differences between `old` and `new`, sorted by package name.
pub(super) fn changes(old: &Lock, new: &Lock, universe: &Universe<'_>) -> Vec<Change> {
    let by_name = |lock: &'_ Lock| -> BTreeMap<String, LockedPackage> {
        lock.packages.iter().map(|package| (package.name.clone(), package.clone())).collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |name: &String| {
        let name = name.clone();
        match (old.get(&name), new.get(&name)) {
            (Some(old), None) => Some(Change::Removed { name, version: old.version.clone() }),
            (None, Some(new)) => Some(Change::Added { name, version: new.version.clone() }),
            (Some(old), Some(new)) if (&old.version, old.sha256) != (&new.version, new.sha256) => {
                let (from, to) = (old.version.clone(), new.version.clone());
                Some(Change::Changed { gone: !universe.lists(old), name, from, to })
            }
            _ => None,
        }
    };
    names.into_iter().filter_map(change).collect()
}
