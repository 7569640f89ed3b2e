//! All packages that could be installed: of every name the one version that is considered, as APT does it.

use super::{Problem, Wish};
use crate::source::debian::{
    packages::{MultiArch, Package},
    relation::{Operator, Relation, parse},
    version::Version,
};
use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    ops::Index,
};

/// A suite as far as choosing is concerned.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Name as asked for.
    pub name: String,
    /// See [`crate::source::debian::release::Release::priority`].
    pub priority: u16,
}

/// A package of the universe.
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

/// The candidates.
#[derive(Debug)]
pub struct Universe<'a> {
    suites: Vec<Suite>,
    arch: &'static str,
    listed: Vec<Listed<'a>>,
    by_name: HashMap<&'a str, Id>,
    providers: HashMap<&'a str, Vec<Provider<'a>>>,
}

impl<'a> Index<Id> for Universe<'a> {
    type Output = Listed<'a>;

    fn index(&self, id: Id) -> &Listed<'a> {
        &self.listed[id.0]
    }
}

impl<'a> Universe<'a> {
    /// Of every name the candidate: the version of the suite with the highest priority, of these the latest, of these
    /// the one of the first suite. The versions of `wishes` go before priorities.
    ///
    /// # Errors
    /// [`Problem::NoVersion`] when a wished version is nowhere; [`Problem::Relation`] on `Provides` of another form.
    pub fn new(
        suites: Vec<Suite>,
        arch: &'static str,
        indices: Vec<(usize, Vec<Package<'a>>)>,
        wishes: &[Wish],
    ) -> Result<Self, Problem> {
        let rules: HashMap<&str, Vec<_>> = wishes.iter().fold(HashMap::new(), |mut rules, wish| {
            rules.entry(wish.name.as_str()).or_default().extend(&wish.version);
            rules
        });
        let mut universe =
            Self { suites, arch, listed: Vec::new(), by_name: HashMap::new(), providers: HashMap::new() };
        let mut refused: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (suite, packages) in indices {
            for package in packages {
                if rules.get(package.name).is_some_and(|rules| !rules.iter().all(|rule| rule.allows(package.version))) {
                    refused.entry(package.name).or_default().push(package.version.0.to_owned());
                    continue;
                }
                universe.consider(Listed { package, suite });
            }
        }
        if let Some(wish) = wishes.iter().find(|wish| !universe.by_name.contains_key(wish.name.as_str()))
            && let Some(found) = refused.remove(wish.name.as_str())
        {
            let wanted = wish.version.as_ref().map(ToString::to_string).unwrap_or_default();
            return Err(Problem::NoVersion { name: wish.name.clone(), wanted, found });
        }
        universe.index_providers()?;
        Ok(universe)
    }

    fn consider(&mut self, new: Listed<'a>) {
        let rank = |listed: &Listed<'a>, suites: &[Suite]| (suites[listed.suite].priority, listed.package.version);
        match self.by_name.entry(new.package.name) {
            Entry::Vacant(entry) => {
                entry.insert(Id(self.listed.len()));
                self.listed.push(new);
            }
            Entry::Occupied(entry) => {
                let old = &mut self.listed[entry.get().0];
                if rank(&new, &self.suites) > rank(old, &self.suites) {
                    *old = new;
                }
            }
        }
    }

    /// Providers of a name in the order that APT prefers them in: essential ones, then by priority, then by name.
    fn index_providers(&mut self) -> Result<(), Problem> {
        for (index, listed) in self.listed.iter().enumerate() {
            if listed.package.provides.is_empty() {
                continue;
            }
            for relation in relations(&listed.package, "Provides", listed.package.provides)?.into_iter().flatten() {
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
        Ok(())
    }

    /// The candidate of a name.
    #[must_use]
    pub fn candidate(&self, name: &str) -> Option<Id> {
        self.by_name.get(name).copied()
    }

    /// All candidates that satisfy a relation: the real package first, then providers in APT's order.
    pub fn satisfying<'s>(&'s self, relation: &'s Relation<'a>) -> impl Iterator<Item = Id> + 's {
        let real = self.candidate(relation.name);
        let providers = self.providers.get(relation.name).into_iter().flatten().map(|provider| provider.id);
        real.into_iter().chain(providers.filter(move |&id| Some(id) != real)).filter(|&id| self.satisfies(id, relation))
    }

    /// Those that provide a name, in whatever version.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = Id> + '_ {
        self.providers.get(name).into_iter().flatten().map(|provider| provider.id)
    }

    /// Whether a package satisfies a relation, by itself or by what it provides (Debian Policy 7.5: a relation with a
    /// version only by a `Provides` with a version).
    #[must_use]
    pub fn satisfies(&self, id: Id, relation: &Relation<'a>) -> bool {
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

    /// The names most like `name`, at most three.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Vec<String> {
        let all = self.by_name.keys().chain(self.providers.keys());
        let mut near: Vec<(usize, &str)> = all
            .map(|known| (strsim::damerau_levenshtein(name, known), *known))
            .filter(|(distance, _)| *distance <= (name.len() / 3).max(1))
            .collect();
        near.sort_unstable();
        near.dedup();
        near.into_iter().take(3).map(|(_, known)| known.to_owned()).collect()
    }
}

/// Reads a field of relations.
pub(super) fn relations<'a>(
    package: &Package<'a>,
    field: &'static str,
    text: &'a str,
) -> Result<Vec<Vec<Relation<'a>>>, Problem> {
    parse(text).map_err(|error| Problem::Relation { package: package.name.to_owned(), field, found: error.found })
}
