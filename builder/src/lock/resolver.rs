//! From the packages that are asked for to all that they need, as APT would choose.
//!
//! Depends and Pre-Depends are followed depth first. Of alternatives, one that is chosen already or `provided` wins,
//! then the first that can be installed. What is learnt on the way (a package that cannot be installed at all, an
//! alternative that excludes something needed later) is kept, and the search begins anew: so every choice is made knowing
//! what will not work, and the reasons are there for the message.

use super::{
    Problem, Wish,
    universe::{Id, Universe, relations},
};
use crate::source::debian::{
    packages::Package,
    relation::{Group, Relation},
};
use std::collections::{BTreeMap, BTreeSet};

/// The packages of an image.
#[derive(Clone, Debug)]
pub struct Resolution<'a> {
    /// By name.
    pub chosen: BTreeMap<&'a str, Id>,
    /// Who asks for a chosen package, and in which words; the recipe itself is not among them.
    pub asked_by: BTreeMap<&'a str, Askers<'a>>,
    /// Packages that the recipe asks for, with the names by which it does.
    pub requested: BTreeMap<&'a str, String>,
    /// Provided names that were needed, and who asks for them.
    pub provided: BTreeMap<String, Askers<'a>>,
    /// Provided names that were not.
    pub unneeded: Vec<String>,
}

/// Package → the dependency by which it asks, as the index has it.
pub type Askers<'a> = BTreeMap<&'a str, String>;

/// What earlier passes have taught. It only grows, so the search ends.
#[derive(Default)]
struct Lessons<'a> {
    /// Packages that cannot be installed, each with the dependency that nothing satisfies.
    dead: BTreeMap<Id, Group<'a>>,
    /// Alternatives that exclude something needed.
    avoided: BTreeSet<Id>,
}

/// Finds everything that `wishes` need. Their order does not matter.
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

/// What a package needs, in the order that APT looks at it.
fn needs<'a>(package: &Package<'a>) -> Result<Vec<Group<'a>>, Problem> {
    let mut groups = relations(package, "Pre-Depends", package.pre_depends)?;
    groups.extend(relations(package, "Depends", package.depends)?);
    Ok(groups)
}

/// What a package excludes.
fn excludes<'a>(package: &Package<'a>) -> Result<Vec<(&'static str, Relation<'a>)>, Problem> {
    let mut all = Vec::new();
    for (field, text) in [("Conflicts", package.conflicts), ("Breaks", package.breaks)] {
        all.extend(relations(package, field, text)?.into_iter().flatten().map(|relation| (field, relation)));
    }
    Ok(all)
}

/// What an alternative comes to.
enum Choice<'a> {
    Chosen(Id),
    Provided(&'a str),
    Install { id: Id, optional: bool },
    Impossible,
}

/// How a package came to be chosen.
struct Step<'a> {
    id: Id,
    /// Who it was chosen for, and the dependency; nobody for what the recipe asks for.
    parent: Option<(Id, Group<'a>)>,
    /// Whether there was an alternative.
    optional: bool,
}

/// One pass over everything.
struct Search<'u, 'a> {
    universe: &'u Universe<'a>,
    provided: &'u BTreeSet<&'u str>,
    lessons: &'u Lessons<'a>,
    chosen: BTreeMap<&'a str, Id>,
    /// The chosen, with how they came in, in that order.
    steps: Vec<Step<'a>>,
    excluded: Vec<(Id, Relation<'a>)>,
}

impl<'u, 'a> Search<'u, 'a> {
    fn new(universe: &'u Universe<'a>, provided: &'u BTreeSet<&'u str>, lessons: &'u Lessons<'a>) -> Self {
        Self { universe, provided, lessons, chosen: BTreeMap::new(), steps: Vec::new(), excluded: Vec::new() }
    }

    /// Chooses until nothing is missing; returns the package that turned out to be dead, if one did.
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

    /// A name that the recipe takes as installed, unless the package itself is.
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
        // Whatever is chosen now will not do; the conflict will be named.
        Ok(ordered().next().map_or(Choice::Impossible, |id| Choice::Install { id, optional }))
    }

    /// Whether a package and one that is chosen exclude each other.
    fn clashes(&self, id: Id) -> Result<bool, Problem> {
        if self.excluded.iter().any(|(owner, relation)| *owner != id && self.universe.satisfies(id, relation)) {
            return Ok(true);
        }
        let excludes = excludes(&self.universe[id].package)?;
        Ok(excludes.iter().any(|(_, relation)| self.excluded_by(id, relation).is_some()))
    }

    /// A chosen package, other than `owner`, that a relation is about.
    fn excluded_by(&self, owner: Id, relation: &Relation<'a>) -> Option<Id> {
        self.universe.satisfying(relation).find(|&id| id != owner && self.is_chosen(id))
    }

    /// Two chosen packages that exclude each other.
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

    /// The choice to be made otherwise so that two packages do not meet: the last one that led to either of them.
    fn blame(&self, one: Id, other: Id) -> Option<Id> {
        let free = |at: &usize| self.steps[*at].optional && !self.lessons.avoided.contains(&self.steps[*at].id);
        let last = [one, other].into_iter().filter_map(|id| self.path(id).find(free)).max();
        last.map(|at| self.steps[at].id)
    }

    /// The steps from a chosen package up to one that the recipe asks for.
    fn path(&self, id: Id) -> impl Iterator<Item = usize> {
        let step = |id: Id| self.steps.iter().position(|step| step.id == id);
        std::iter::successors(step(id), move |&at| self.steps[at].parent.as_ref().and_then(|(parent, _)| step(*parent)))
    }

    /// Who asked for whom, from the recipe's package down to this one.
    fn chain(&self, id: Id) -> Vec<String> {
        let names = self.path(id).map(|step| self.universe[self.steps[step].id].package.name.to_owned());
        let mut chain: Vec<String> = names.collect();
        chain.reverse();
        chain
    }

    /// Checks the whole once more, and finds out who asked for what.
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
        // An alternative that was taken before another one came in that would have done as well.
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

/// A package may ask for the same thing twice: `libc6 (>= 2.38), libc6 (<< 2.42)`.
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

/// Follows the dead down to the dependency that has no answer.
fn explain(universe: &Universe<'_>, lessons: &Lessons<'_>, root: Id) -> Problem {
    let (mut id, mut chain) = (root, Vec::new());
    loop {
        chain.push(universe[id].package.name.to_owned());
        let group = &lessons.dead[&id];
        let mut options = group.iter().flat_map(|relation| universe.satisfying(relation));
        match options.find(|option| lessons.dead.contains_key(option)) {
            // Each died of one that died before it, so this ends.
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
            let would = format!("{} in {suite} would do", universe[other].package.version.0);
            return match found {
                Some((version, suite)) => format!("{name} is {version} in {suite}, {would}"),
                None => format!("{name} {would}"),
            };
        }
        match found {
            Some((version, suite)) => format!("{name} is {version} in {suite}"),
            None if universe.providers(name).next().is_some() => {
                format!("none of the packages that provide {name} has the right version")
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
