//! Resolves dependencies: finds all packages that the requested packages need, with the choices that APT would make.
//!
//! The search follows Depends and Pre-Depends depth first. Among alternatives it prefers a package that is already chosen
//! or listed as `provided`, then the first package that can be installed. When a pass finds a package that cannot be
//! installed, or an alternative that conflicts with a needed package, it records this and the search starts again. So each
//! pass knows all earlier failures, and error messages can give the reasons.

use super::{
    Problem, Wish,
    universe::{Id, Universe, relations},
};
use crate::source::debian::{
    packages::Package,
    relation::{Group, Relation},
};
use std::collections::{BTreeMap, BTreeSet};

/// The result: the packages of an image.
#[derive(Clone, Debug)]
pub struct Resolution<'a> {
    /// The chosen packages by name.
    pub chosen: BTreeMap<&'a str, Id>,
    /// For each chosen package, the packages that depend on it. The recipe itself is not listed here.
    pub asked_by: BTreeMap<&'a str, Askers<'a>>,
    /// The packages that the recipe requests. The value is the name in the recipe, which may be a virtual package.
    pub requested: BTreeMap<&'a str, String>,
    /// The `provided` names that a chosen package needs, with the packages that need them.
    pub provided: BTreeMap<String, Askers<'a>>,
    /// The `provided` names that no chosen package needs.
    pub unneeded: Vec<String>,
}

/// Name of the depending package → the text of its dependency, as in the index.
pub type Askers<'a> = BTreeMap<&'a str, String>;

/// Failures that earlier passes found. Both collections only grow, so the search ends.
#[derive(Default)]
struct Lessons<'a> {
    /// Packages that cannot be installed, each with the dependency that no package satisfies.
    dead: BTreeMap<Id, Group<'a>>,
    /// Alternatives that conflict with a needed package.
    avoided: BTreeSet<Id>,
}

/// Finds all packages that `wishes` need. The order of `wishes` does not change the result.
///
/// # Errors
/// See [`Problem`].
pub fn resolve<'a>(
    universe: &Universe<'a>,
    wishes: &[Wish],
    provided: &BTreeSet<&str>,
) -> Result<Resolution<'a>, Problem> {
    let names: BTreeSet<&str> = wishes.iter().map(|wish| wish.name.as_str()).collect();
    let requested = names.into_iter().map(|name| Ok((root(universe, name)?, name)));
    let requested = requested.collect::<Result<Vec<_>, Problem>>()?;
    let roots: Vec<Id> = requested.iter().map(|(id, _)| *id).collect();
    let mut lessons = Lessons::default();
    loop {
        let mut search = Search::new(universe, provided, &lessons);
        if let Some((id, group)) = search.run(&roots)? {
            lessons.dead.insert(id, group);
            if roots.contains(&id) {
                return Err(explain(universe, &lessons, id));
            }
            continue;
        }
        let Some((one, other, problem)) = search.conflict()? else { return search.conclude(&requested) };
        match search.blame(one, other) {
            Some(id) => lessons.avoided.insert(id),
            None => return Err(problem),
        };
    }
}

fn root(universe: &Universe<'_>, name: &str) -> Result<Id, Problem> {
    if let Some(id) = universe.candidate(name) {
        return Ok(id);
    }
    let providers: Vec<Id> = universe.providers(name).collect();
    match *providers.as_slice() {
        [] => {
            let (name, found) = (name.to_owned(), universe.versions(name));
            if !found.is_empty() {
                let wanted = "from a suite whose priority is above 0".to_owned();
                return Err(Problem::NoVersion { name, wanted, found });
            }
            let (suites, nearest) = (universe.suites(), universe.nearest(&name));
            Err(Problem::Unknown { name, suites, nearest })
        }
        [id] => Ok(id),
        _ => {
            let providers = providers.iter().map(|&id| universe[id].package.name.to_owned()).collect();
            Err(Problem::Virtual { name: name.to_owned(), providers })
        }
    }
}

/// The dependencies of a package, in the order in which APT follows them.
fn needs<'a>(package: &Package<'a>) -> Result<Vec<Group<'a>>, Problem> {
    let mut groups = relations(package, "Pre-Depends", package.pre_depends)?;
    groups.extend(relations(package, "Depends", package.depends)?);
    Ok(groups)
}

/// The relations in Conflicts and Breaks, each with the name of its field.
fn excludes<'a>(package: &Package<'a>) -> Result<Vec<(&'static str, Relation<'a>)>, Problem> {
    let mut all = Vec::new();
    for (field, text) in [("Conflicts", package.conflicts), ("Breaks", package.breaks)] {
        all.extend(relations(package, field, text)?.into_iter().flatten().map(|relation| (field, relation)));
    }
    Ok(all)
}

/// How a dependency can be satisfied.
enum Choice<'a> {
    Chosen(Id),
    Provided(&'a str),
    Install { id: Id, optional: bool },
    Impossible,
}

/// Why a package was chosen.
struct Step<'a> {
    id: Id,
    /// The package that depends on this one, and its dependency. `None` for a package that the recipe requests.
    parent: Option<(Id, Group<'a>)>,
    /// Whether another package could satisfy the dependency too.
    optional: bool,
}

/// One pass of the search over all dependencies.
struct Search<'u, 'a> {
    universe: &'u Universe<'a>,
    provided: &'u BTreeSet<&'u str>,
    lessons: &'u Lessons<'a>,
    chosen: BTreeMap<&'a str, Id>,
    /// One step per chosen package, in the order of the choices.
    steps: Vec<Step<'a>>,
    excluded: Vec<(Id, Relation<'a>)>,
}

impl<'u, 'a> Search<'u, 'a> {
    fn new(universe: &'u Universe<'a>, provided: &'u BTreeSet<&'u str>, lessons: &'u Lessons<'a>) -> Self {
        Self { universe, provided, lessons, chosen: BTreeMap::new(), steps: Vec::new(), excluded: Vec::new() }
    }

    /// Chooses packages until every dependency is satisfied. Stops at the first package that cannot be installed, and
    /// returns this package and the dependency that no package satisfies.
    fn run(&mut self, roots: &[Id]) -> Result<Option<(Id, Group<'a>)>, Problem> {
        for &root in roots {
            self.choose(Step { id: root, parent: None, optional: false })?;
        }
        for &root in roots {
            let mut stack = vec![(root, needs(&self.universe[root].package)?.into_iter())];
            while let Some((id, groups)) = stack.last_mut() {
                let id = *id;
                let Some(group) = groups.next() else {
                    stack.pop();
                    continue;
                };
                match self.decide(&group)? {
                    Choice::Chosen(_) | Choice::Provided(_) => {}
                    Choice::Impossible => return Ok(Some((id, group))),
                    Choice::Install { id: new, optional } => {
                        self.choose(Step { id: new, parent: Some((id, group)), optional })?;
                        stack.push((new, needs(&self.universe[new].package)?.into_iter()));
                    }
                }
            }
        }
        Ok(None)
    }

    fn choose(&mut self, step: Step<'a>) -> Result<(), Problem> {
        let (id, package) = (step.id, &self.universe[step.id].package);
        self.chosen.insert(package.name, id);
        self.steps.push(step);
        self.excluded.extend(excludes(package)?.into_iter().map(|(_, relation)| (id, relation)));
        Ok(())
    }

    fn is_chosen(&self, id: Id) -> bool {
        self.chosen.get(self.universe[id].package.name) == Some(&id)
    }

    /// Whether the recipe lists `name` as provided and no package of this name is chosen.
    fn is_provided(&self, name: &str) -> bool {
        self.provided.contains(name) && !self.chosen.contains_key(name)
    }

    fn decide(&self, group: &Group<'a>) -> Result<Choice<'a>, Problem> {
        let universe = self.universe;
        for relation in group {
            if let Some(id) = universe.satisfying(relation).find(|&id| self.is_chosen(id)) {
                return Ok(Choice::Chosen(id));
            }
        }
        for relation in group {
            if self.is_provided(relation.name) {
                return Ok(Choice::Provided(relation.name));
            }
            let names = universe.satisfying(relation).map(|id| universe[id].package.name);
            if let Some(name) = names.into_iter().find(|name| self.is_provided(name)) {
                return Ok(Choice::Provided(name));
            }
        }
        let options: BTreeSet<Id> = group.iter().flat_map(|relation| universe.satisfying(relation)).collect();
        let alive = |id: &Id| !self.lessons.dead.contains_key(id);
        let optional = options.iter().filter(|id| alive(id)).count() > 1;
        let ordered = || group.iter().flat_map(|relation| universe.satisfying(relation)).filter(alive);
        for id in ordered() {
            if !self.lessons.avoided.contains(&id) && !self.clashes(id)? {
                return Ok(Choice::Install { id, optional });
            }
        }
        // Every option conflicts. Take the first one anyway: `conflict` then finds the conflict and reports it.
        Ok(ordered().next().map_or(Choice::Impossible, |id| Choice::Install { id, optional }))
    }

    /// Whether a package conflicts with a chosen package, in either direction.
    fn clashes(&self, id: Id) -> Result<bool, Problem> {
        if self.excluded.iter().any(|(owner, relation)| *owner != id && self.universe.satisfies(id, relation)) {
            return Ok(true);
        }
        let excludes = excludes(&self.universe[id].package)?;
        Ok(excludes.iter().any(|(_, relation)| self.excluded_by(id, relation).is_some()))
    }

    /// A chosen package, other than `owner`, that satisfies `relation`, a conflict that `owner` declares.
    fn excluded_by(&self, owner: Id, relation: &Relation<'a>) -> Option<Id> {
        self.universe.satisfying(relation).find(|&id| id != owner && self.is_chosen(id))
    }

    /// The first pair of chosen packages that conflict, if there is one.
    fn conflict(&self) -> Result<Option<(Id, Id, Problem)>, Problem> {
        for &one in self.chosen.values() {
            for (field, relation) in excludes(&self.universe[one].package)? {
                if let Some(other) = self.excluded_by(one, &relation) {
                    let relation = relation.to_string();
                    let problem = Problem::Conflict { one: self.chain(one), other: self.chain(other), field, relation };
                    return Ok(Some((one, other, problem)));
                }
            }
        }
        Ok(None)
    }

    /// The choice to change when two packages conflict: the last choice, with an alternative, that led to one of them.
    fn blame(&self, one: Id, other: Id) -> Option<Id> {
        let free = |at: &usize| self.steps[*at].optional && !self.lessons.avoided.contains(&self.steps[*at].id);
        let last = [one, other].into_iter().filter_map(|id| self.path(id).find(free)).max();
        last.map(|at| self.steps[at].id)
    }

    /// Indices into `steps`: from a chosen package up to a package that the recipe requests.
    fn path(&self, id: Id) -> impl Iterator<Item = usize> {
        let step = |id: Id| self.steps.iter().position(|step| step.id == id);
        std::iter::successors(step(id), move |&at| self.steps[at].parent.as_ref().and_then(|(parent, _)| step(*parent)))
    }

    /// The dependency chain: package names from the package that the recipe requests down to `id`.
    fn chain(&self, id: Id) -> Vec<String> {
        let names = self.path(id).map(|step| self.universe[self.steps[step].id].package.name.to_owned());
        let mut chain: Vec<String> = names.collect();
        chain.reverse();
        chain
    }

    /// Checks all dependencies again, and records for each package the packages that depend on it.
    fn conclude(self, requested: &[(Id, &str)]) -> Result<Resolution<'a>, Problem> {
        let universe = self.universe;
        let name = |id: Id| universe[id].package.name;
        let requested: BTreeMap<&'a str, String> =
            requested.iter().map(|(id, wish)| (name(*id), (*wish).to_owned())).collect();
        let mut asked_by: BTreeMap<&'a str, Askers<'a>> = BTreeMap::new();
        let mut provided: BTreeMap<String, Askers<'a>> = BTreeMap::new();
        for (&by, &id) in &self.chosen {
            for group in needs(&universe[id].package)? {
                match self.decide(&group)? {
                    Choice::Chosen(needed) if needed == id => {}
                    Choice::Chosen(needed) => ask(asked_by.entry(name(needed)).or_default(), by, &group),
                    Choice::Provided(needed) => ask(provided.entry(needed.to_owned()).or_default(), by, &group),
                    Choice::Install { .. } | Choice::Impossible => {
                        return Err(unsatisfiable(universe, self.chain(id), &group));
                    }
                }
            }
        }
        // For an alternative `a | b`, the search may have chosen `b` first and `a` later. The loop above then records only
        // `a`, so record here why `b` was chosen.
        for step in &self.steps {
            if let Some((parent, group)) = &step.parent
                && !asked_by.contains_key(name(step.id))
            {
                ask(asked_by.entry(name(step.id)).or_default(), name(*parent), group);
            }
        }
        let unneeded = self.provided.iter().filter(|name| !provided.contains_key(**name)).map(ToString::to_string);
        Ok(Resolution { requested, unneeded: unneeded.collect(), chosen: self.chosen, asked_by, provided })
    }
}

/// Records that package `by` has the dependency `group`. A package may have several dependencies on the same package:
/// `libc6 (>= 2.38), libc6 (<< 2.42)`.
fn ask<'a>(askers: &mut Askers<'a>, by: &'a str, group: &Group<'_>) {
    let words = shown(group);
    let said = askers.entry(by).or_default();
    if said.is_empty() {
        *said = words;
    } else if said.split(", ").all(|before| before != words) {
        *said = format!("{said}, {words}");
    }
}

fn shown(group: &Group<'_>) -> String {
    group.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
}

/// Builds the error message: follows packages that cannot be installed down to a dependency that no package satisfies.
fn explain(universe: &Universe<'_>, lessons: &Lessons<'_>, root: Id) -> Problem {
    let (mut id, mut chain) = (root, Vec::new());
    loop {
        chain.push(universe[id].package.name.to_owned());
        let group = &lessons.dead[&id];
        let mut options = group.iter().flat_map(|relation| universe.satisfying(relation));
        match options.find(|option| lessons.dead.contains_key(option)) {
            // `next` was marked as dead before `id`, so this loop ends.
            Some(next) => id = next,
            None => return unsatisfiable(universe, chain, group),
        }
    }
}

fn unsatisfiable(universe: &Universe<'_>, chain: Vec<String>, group: &Group<'_>) -> Problem {
    let (mut nearest, mut elsewhere) = (Vec::new(), None);
    let reasons = group.iter().map(|relation| {
        let name = relation.name;
        let found = universe.candidate(name).map(|id| (universe[id].package.version.0, universe.suite_of(id)));
        if let Some(other) = universe.elsewhere(relation) {
            let suite = universe.suite_of(other);
            elsewhere.get_or_insert_with(|| Box::new((name.to_owned(), suite.to_owned())));
            let would = format!("{} in {suite} would satisfy it", universe[other].package.version.0);
            return match found {
                Some((version, suite)) => format!("{name} is {version} in {suite}, but {would}"),
                None => format!("{name} {would}"),
            };
        }
        match found {
            Some((version, suite)) => format!("{name} is {version} in {suite}"),
            None if universe.providers(name).next().is_some() => {
                format!("the packages that provide {name} do not have the right version")
            }
            None => {
                nearest.extend(universe.nearest(name));
                format!("{name} is not found in {}", universe.suites())
            }
        }
    });
    let reason = reasons.collect::<Vec<_>>().join(", ");
    Problem::Unsatisfiable { chain, relation: shown(group), reason, nearest, elsewhere }
}
