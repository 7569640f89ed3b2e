//! All packages of the archives, and the candidate for each name: the one version that may be installed, chosen as APT does.

use super::{LockedPackage, Pin, Problem};
use crate::source::debian::{
    packages::{MultiArch, Package},
    relation::{Operator, Relation, parse},
    version::Version,
};
use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    ops::Index,
};

/// The properties of a suite that matter for the choice of a version.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Name as in the recipe.
    pub name: String,
    /// As in apt_preferences(5): the highest priority wins. No package is taken from a suite with priority 0 or less.
    pub priority: i16,
}

/// Index of a package in the universe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(usize);

/// A package and the suite that lists it.
#[derive(Clone, Debug)]
pub struct Listed<'a> {
    /// The package.
    pub package: Package<'a>,
    /// Index of the suite.
    pub suite: usize,
}

#[derive(Clone, Copy, Debug)]
struct Provider<'a> {
    id: Id,
    version: Option<Version<'a>>,
}

/// All listed packages, and which of them are candidates.
#[derive(Debug)]
pub struct Universe<'a> {
    suites: Vec<Suite>,
    arch: &'static str,
    pins: HashMap<String, Pin>,
    listed: Vec<Listed<'a>>,
    candidates: HashMap<&'a str, Id>,
    /// Names whose candidate is the locked version although a better version exists. The value is the better version.
    kept: BTreeMap<&'a str, Id>,
    /// Provided name → all listed packages that provide it, also those that are not candidates.
    providers: HashMap<&'a str, Vec<Provider<'a>>>,
    /// Packages whose `Provides` is not valid, so that it counts for nothing.
    odd: Vec<Problem>,
}

impl<'a> Index<Id> for Universe<'a> {
    type Output = Listed<'a>;

    fn index(&self, id: Id) -> &Listed<'a> {
        &self.listed[id.0]
    }
}

impl<'a> Universe<'a> {
    /// Chooses the candidate for each name: highest priority of the suite first, then the latest version, then the first
    /// suite. A name with a pin uses only versions that the pin allows, whatever the priority of their suite.
    ///
    /// # Errors
    /// [`Problem::NoVersion`] when no suite has a version that a pin allows. [`Problem::Unknown`] when no suite has the
    /// package of a pin.
    pub fn new(
        suites: Vec<Suite>,
        arch: &'static str,
        indices: Vec<(usize, Vec<Package<'a>>)>,
        pins: &[Pin],
    ) -> Result<Self, Problem> {
        let of_suite = |(suite, packages): (usize, Vec<Package<'a>>)| {
            packages.into_iter().map(move |package| Listed { package, suite })
        };
        let mut universe = Self {
            suites,
            arch,
            pins: pins.iter().map(|pin| (pin.name.clone(), pin.clone())).collect(),
            listed: indices.into_iter().flat_map(of_suite).collect(),
            candidates: HashMap::new(),
            kept: BTreeMap::new(),
            providers: HashMap::new(),
            odd: Vec::new(),
        };
        universe.choose_candidates();
        universe.index_providers();
        match pins.iter().find(|pin| universe.candidate(&pin.name).is_none()) {
            Some(pin) => Err(universe.impossible(pin)),
            None => Ok(universe),
        }
    }

    fn choose_candidates(&mut self) {
        let mut candidates: HashMap<&'a str, Id> = HashMap::with_capacity(self.listed.len());
        for (index, listed) in self.listed.iter().enumerate() {
            let Some(rank) = self.rank(listed) else { continue };
            match candidates.entry(listed.package.name) {
                Entry::Vacant(entry) => _ = entry.insert(Id(index)),
                Entry::Occupied(mut entry) => {
                    if Some(rank) > self.rank(&self[*entry.get()]) {
                        entry.insert(Id(index));
                    }
                }
            }
        }
        self.candidates = candidates;
    }

    /// The order among candidates. `None` if the priority or a pin excludes this package.
    fn rank(&self, listed: &Listed<'a>) -> Option<(i16, Version<'a>)> {
        let Listed { package, suite } = listed;
        let Suite { name, priority } = &self.suites[*suite];
        let may = match self.pins.get(package.name) {
            Some(pin) => pin.allows(package.version, name),
            None => *priority > 0,
        };
        may.then_some((*priority, package.version))
    }

    fn impossible(&self, pin: &Pin) -> Problem {
        let found = self.versions(&pin.name);
        if found.is_empty() {
            return Problem::Unknown {
                name: pin.name.clone(),
                suites: self.suites(),
                nearest: self.nearest(&pin.name),
            };
        }
        Problem::NoVersion { name: pin.name.clone(), wanted: pin.to_string(), found }
    }

    /// All versions of a package, each with its suite: `26.1.5 in trixie`.
    #[must_use]
    pub fn versions(&self, name: &str) -> Vec<String> {
        let all = self.listed.iter().filter(|listed| listed.package.name == name);
        let mut shown: Vec<String> = Vec::new();
        for listed in all {
            let text = format!("{} in {}", listed.package.version.0, self.suites[listed.suite].name);
            if !shown.contains(&text) {
                shown.push(text);
            }
        }
        shown
    }

    /// Whether a suite still lists exactly this package: same name, version and digest.
    #[must_use]
    pub fn lists(&self, locked: &LockedPackage) -> bool {
        self.listed.iter().any(|listed| is(&listed.package, locked))
    }

    /// Makes locked packages the candidates for their names if a suite still lists them and the recipe allows them.
    pub fn keep<'l>(&mut self, locked: impl Iterator<Item = &'l LockedPackage>) {
        let locked: HashMap<&str, &LockedPackage> = locked.map(|package| (package.name.as_str(), package)).collect();
        for (index, listed) in self.listed.iter().enumerate() {
            let package = &listed.package;
            let same = locked.get(package.name).is_some_and(|locked| is(package, locked));
            // If the candidate already has these bytes, keep the candidate: its suite is the one that a new lock would name,
            // though other suites may list the same package.
            let Some(&current) = self.candidates.get(package.name) else { continue };
            let is_this = |id: Id| {
                let other = &self.listed[id.0].package;
                (other.version.0, other.want) == (package.version.0, package.want)
            };
            if !same || self.rank(listed).is_none() || is_this(current) {
                continue;
            }
            // An earlier lock may already have replaced the best version.
            let best = self.kept.get(package.name).copied().unwrap_or(current);
            if is_this(best) {
                self.kept.remove(package.name);
                self.candidates.insert(package.name, best);
            } else {
                self.kept.insert(package.name, best);
                self.candidates.insert(package.name, Id(index));
            }
        }
    }

    /// The best version of a name, even if the locked version is kept as candidate.
    #[must_use]
    pub fn best(&self, name: &str) -> Option<Id> {
        self.kept.get(name).or_else(|| self.candidates.get(name)).copied()
    }

    /// Names whose locked version is kept although a better version exists.
    pub fn kept(&self) -> impl Iterator<Item = &'a str> {
        self.kept.keys().copied()
    }

    /// Replaces the kept, locked version of a name by its best version.
    pub fn release(&mut self, name: &str) {
        if let Some((name, best)) = self.kept.remove_entry(name) {
            self.candidates.insert(name, best);
        }
    }

    /// Fills `providers`. Each list has APT's order of preference: essential packages first, then by priority, then by name.
    fn index_providers(&mut self) {
        for (index, listed) in self.listed.iter().enumerate() {
            if listed.package.provides.is_empty() {
                continue;
            }
            let provided = match relations(&listed.package, "Provides", listed.package.provides) {
                Ok(provided) => provided,
                Err(problem) => {
                    self.odd.push(problem);
                    continue;
                }
            };
            for relation in provided.into_iter().flatten() {
                let version = relation.version.filter(|(operator, _)| *operator == Operator::Equal);
                let provider = Provider { id: Id(index), version: version.map(|(_, version)| version) };
                self.providers.entry(relation.name).or_default().push(provider);
            }
        }
        let listed = &self.listed;
        for providers in self.providers.values_mut() {
            providers.sort_by_key(|provider| {
                let package = &listed[provider.id.0].package;
                (!package.essential, package.priority, package.name)
            });
        }
    }

    /// What is wrong with packages that can be used only in part.
    pub(super) fn odd(&self) -> impl Iterator<Item = &Problem> {
        self.odd.iter()
    }

    /// The candidate for a name.
    #[must_use]
    pub fn candidate(&self, name: &str) -> Option<Id> {
        self.candidates.get(name).copied()
    }

    fn is_candidate(&self, id: Id) -> bool {
        self.candidate(self[id].package.name) == Some(id)
    }

    /// All candidates that satisfy a relation: first the package with this name, then providers in APT's order.
    pub fn satisfying<'s>(&'s self, relation: &'s Relation<'_>) -> impl Iterator<Item = Id> + 's {
        let real = self.candidate(relation.name);
        let providers = self.providers(relation.name).filter(move |&id| Some(id) != real);
        real.into_iter().chain(providers).filter(|&id| self.satisfies(id, relation))
    }

    /// Candidates that provide a name, in any version.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = Id> + '_ {
        let all = self.providers.get(name).into_iter().flatten().map(|provider| provider.id);
        all.filter(|&id| self.is_candidate(id))
    }

    /// Whether a package satisfies a relation, by its own name or by its `Provides`. Debian Policy 7.5: a relation with a
    /// version needs a `Provides` with a version.
    #[must_use]
    pub fn satisfies(&self, id: Id, relation: &Relation<'_>) -> bool {
        let package = &self[id].package;
        let qualified = match relation.qualifier {
            None | Some("native") => true,
            Some("any") => package.multi_arch == MultiArch::Allowed,
            Some(arch) => arch == self.arch,
        };
        if !qualified {
            return false;
        }
        let right = |version: Option<Version<'_>>| match relation.version {
            None => true,
            Some((operator, wanted)) => version.is_some_and(|found| operator.holds(found, wanted)),
        };
        if package.name == relation.name && right(Some(package.version)) {
            return true;
        }
        let provided = self.providers.get(relation.name).into_iter().flatten();
        provided.filter(|provider| provider.id == id).any(|provider| right(provider.version))
    }

    /// The latest version that satisfies a relation but is not a candidate.
    #[must_use]
    pub fn elsewhere(&self, relation: &Relation<'_>) -> Option<Id> {
        let named = self.listed.iter().enumerate().filter(|(_, listed)| listed.package.name == relation.name);
        let ids = named.map(|(index, _)| Id(index));
        ids.filter(|&id| !self.is_candidate(id) && self.satisfies(id, relation))
            .max_by_key(|&id| self[id].package.version)
    }

    /// The suite that lists a package.
    #[must_use]
    pub fn suite_of(&self, id: Id) -> &str {
        &self.suites[self[id].suite].name
    }

    /// Names of the suites, for messages.
    #[must_use]
    pub fn suites(&self) -> String {
        self.suites.iter().map(|suite| suite.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Known names that are spelled most like `name`, at most three.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Vec<String> {
        let all = self.candidates.keys().chain(self.providers.keys());
        let mut near: Vec<(usize, &str)> = all
            .map(|known| (strsim::damerau_levenshtein(name, known), *known))
            .filter(|(distance, _)| *distance <= (name.len() / 3).max(1))
            .collect();
        near.sort_unstable();
        near.dedup();
        near.into_iter().take(3).map(|(_, known)| known.to_owned()).collect()
    }
}

fn is(package: &Package<'_>, locked: &LockedPackage) -> bool {
    locked.name == package.name && locked.version == package.version.0 && locked.sha256 == package.want.sha256
}

/// Parses a field with relations, such as `Depends`.
pub(super) fn relations<'a>(
    package: &Package<'a>,
    field: &'static str,
    text: &'a str,
) -> Result<Vec<Vec<Relation<'a>>>, Problem> {
    parse(text).map_err(|error| Problem::Relation { package: package.name.to_owned(), field, found: error.found })
}
