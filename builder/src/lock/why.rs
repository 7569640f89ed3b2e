//! Who asked for a package, as the lock remembers it.

use super::{Lock, RECIPE};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How a package, or a provided one, came to be needed: from the recipe down to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain<'a> {
    /// The name by which the recipe asks for the first package.
    pub wish: &'a str,
    /// Each package, and the words in which it asks for the next one.
    pub links: Vec<(&'a str, &'a str)>,
    /// All others that ask for the last one, sorted.
    pub others: Vec<&'a str>,
}

impl Lock {
    /// The shortest chain to a package of this lock or to a provided name; of equally short ones the first by name.
    #[must_use]
    pub fn why(&self, name: &str) -> Option<Chain<'_>> {
        let mut askers: BTreeMap<&str, &BTreeMap<String, String>> =
            self.packages.iter().map(|package| (package.name.as_str(), &package.asked_by)).collect();
        askers.extend(self.provided.iter().map(|provided| (provided.name.as_str(), &provided.asked_by)));
        let (&name, asked_by) = askers.get_key_value(name)?;
        // Upwards, nearest first; whoever is met leads back down to `name`.
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
