//! Explains why a package is in the lock: which packages depend on it.

use super::{Lock, RECIPE};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A chain of dependencies, from the recipe down to a package or to a `provided` name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain<'a> {
    /// The name that the recipe uses for the first package.
    pub wish: &'a str,
    /// Each package of the chain above the last one, with the text of its dependency on the next package.
    pub links: Vec<(&'a str, &'a str)>,
    /// All other packages that depend on the last package of the chain, sorted.
    pub others: Vec<&'a str>,
}

impl Lock {
    /// The shortest chain to a package of this lock or to a `provided` name. Among equally short chains, the first by name.
    #[must_use]
    pub fn why(&self, name: &str) -> Option<Chain<'_>> {
        let mut askers: BTreeMap<&str, &BTreeMap<String, String>> =
            self.packages.iter().map(|package| (package.name.as_str(), &package.asked_by)).collect();
        askers.extend(self.provided.iter().map(|provided| (provided.name.as_str(), &provided.asked_by)));
        let (&name, asked_by) = askers.get_key_value(name)?;
        // Breadth-first search upwards from `name`. `down` maps each package found to the next package towards `name`.
        let mut down: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
        let mut queue = VecDeque::from([name]);
        let mut seen = BTreeSet::from([name]);
        while let Some(at) = queue.pop_front() {
            let by = askers.get(at)?;
            if let Some(wish) = by.get(RECIPE) {
                let mut links = Vec::new();
                let mut at = at;
                while let Some(&(next, words)) = down.get(at) {
                    links.push((at, words));
                    at = next;
                }
                let nearest = links.last().map_or(RECIPE, |(by, _)| by);
                let others = asked_by.keys().map(String::as_str).filter(|by| *by != nearest).collect();
                return Some(Chain { wish, links, others });
            }
            for (by, words) in by.iter() {
                if seen.insert(by) {
                    down.insert(by, (at, words));
                    queue.push_back(by);
                }
            }
        }
        None
    }
}
