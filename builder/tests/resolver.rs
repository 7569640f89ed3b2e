//! The resolver against APT: for the same indices, the same packages in the same versions.
//!
//! The indices are those of the mirror that this machine's APT is configured with, fetched once and then given to both as a
//! `file:` archive. APT runs with folders of its own: it knows nothing of what this machine has installed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "resolver/apt.rs"]
mod apt;
#[path = "resolver/mirror.rs"]
mod mirror;

use berth::{
    lock::{Suite, Universe, Wish, resolve},
    source::debian::packages::Package,
};
use mirror::Mirror;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// `sets.toml`: see there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sets {
    group: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    suites: Vec<String>,
    #[serde(default)]
    priorities: BTreeMap<String, i16>,
    sets: Vec<String>,
    #[serde(default)]
    impossible: Vec<String>,
    #[serde(default)]
    difference: Vec<Difference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Difference {
    set: String,
    #[serde(default)]
    provided: Vec<String>,
    #[serde(default)]
    only_apt: BTreeSet<String>,
    #[serde(default)]
    only_berth: BTreeSet<String>,
    reason: String,
}

/// Name → version; or what was said instead.
type Closure = Result<BTreeMap<String, String>, String>;

fn ours(universe: &Universe<'_>, set: &str, provided: &[String]) -> Closure {
    let wishes: Vec<Wish> = set.split(' ').map(Wish::own).collect();
    let provided = provided.iter().map(String::as_str).collect();
    let resolution = resolve(universe, &wishes, &provided).map_err(|problem| problem.to_string())?;
    let package = |(name, id): (&&str, &_)| ((*name).to_owned(), universe[*id].package.version.0.to_owned());
    Ok(resolution.chosen.iter().map(package).collect())
}

/// What is wrong with one set, if anything is.
fn compare(group: &Group, universe: &Universe<'_>, apt: &apt::Apt, set: &str) -> Option<String> {
    let difference = group.difference.iter().find(|difference| difference.set == set);
    let berths = ours(universe, set, difference.map_or(&[], |difference| &difference.provided));
    let (berths, apts) = match (berths, apt.closure(set)) {
        (Ok(berths), Ok(apts)) => (berths, apts),
        (Err(_), Err(_)) if group.impossible.iter().any(|listed| listed == set) => return None,
        (berths, apts) => {
            let told = |closure: Closure| closure.map_or_else(|why| why, |all| format!("{} packages", all.len()));
            return Some(format!("{set}\n  berth: {}\n  apt: {}", told(berths), told(apts)));
        }
    };
    let none = BTreeSet::new();
    let only = |these: &BTreeMap<String, String>, those: &BTreeMap<String, String>, listed: &BTreeSet<String>| {
        let found: BTreeSet<&String> = these.keys().filter(|name| !those.contains_key(*name)).collect();
        let listed: BTreeSet<&String> = listed.iter().collect();
        let unlisted: Vec<_> = found.difference(&listed).map(ToString::to_string).collect();
        let over: Vec<_> = listed.difference(&found).map(ToString::to_string).collect();
        (unlisted, over)
    };
    let (apt_only, apt_over) = only(&apts, &berths, difference.map_or(&none, |difference| &difference.only_apt));
    let (berth_only, berth_over) = only(&berths, &apts, difference.map_or(&none, |difference| &difference.only_berth));
    let versions: Vec<_> = berths
        .iter()
        .filter_map(|(name, ours)| apts.get(name).filter(|apts| *apts != ours).map(|apts| format!("{name} {ours}/{apts}")))
        .collect();
    let mut faults = String::new();
    for (what, names) in [
        ("only apt has", apt_only),
        ("only berth has", berth_only),
        ("version of berth/apt", versions),
        ("listed difference (only-apt) that is none any more", apt_over),
        ("listed difference (only-berth) that is none any more", berth_over),
    ] {
        if !names.is_empty() {
            faults += &format!("\n  {what}: {}", names.join(", "));
        }
    }
    (!faults.is_empty()).then(|| format!("{set}{faults}"))
}

fn check(group: &Group, mirror: &Mirror) -> Vec<String> {
    let suites = group.suites.iter().map(|name| {
        let priority = group.priorities.get(name).copied().unwrap_or(mirror.priority(name));
        Suite { name: name.clone(), priority }
    });
    let indices: Vec<(usize, Vec<Package<'_>>)> =
        group.suites.iter().enumerate().map(|(at, suite)| (at, mirror.packages(suite).to_vec())).collect();
    let universe = Universe::new(suites.collect(), "amd64", indices, &[]).unwrap();
    let apt = apt::Apt::new(&mirror.folder, &group.suites, &group.priorities);
    let sets: Vec<&String> = group
        .sets
        .iter()
        .chain(&group.impossible)
        .chain(group.difference.iter().map(|difference| &difference.set))
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut faults = Vec::new();
        while let Some(set) = sets.get(next.fetch_add(1, Ordering::Relaxed)) {
            faults.extend(compare(group, &universe, &apt, set));
        }
        faults
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn every_set_is_what_apt_makes_of_it() {
    let path = std::env::var("HUNT").map_or(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/resolver/sets.toml"), Into::into);
    let sets: Sets = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let count: usize = sets.group.iter().map(|group| group.sets.len()).sum();
    assert!(count >= 60, "only {count} sets");
    let reasoned = sets.group.iter().flat_map(|group| &group.difference).all(|difference| !difference.reason.is_empty());
    assert!(reasoned, "a difference without a reason");
    let suites: BTreeSet<&String> = sets.group.iter().flat_map(|group| &group.suites).collect();
    let mirror = Mirror::fetch(&suites);
    let faults: Vec<String> = sets.group.iter().flat_map(|group| check(group, &mirror)).collect();
    assert!(faults.is_empty(), "{} sets differ:\n{}", faults.len(), faults.join("\n"));
}
