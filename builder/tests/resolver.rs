//! Compares the resolver with APT: from the same package indices, both must choose the same packages in the same versions.
//!
//! The indices come from the mirror in the APT configuration of this computer. They are fetched once, and both read them from a `file:`
//! archive. APT runs with its own folders, so the packages installed on this computer have no influence.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod apt;
mod mirror;

use berth::{
    lock::{Suite, Universe, Wish, resolve},
    source::debian::{packages::Package, version::Version},
};
use mirror::Mirror;
use serde::Deserialize;
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    sync::{
        LazyLock,
        atomic::{self, AtomicUsize},
    },
    thread,
};

/// The content of `sets.toml`; that file describes its keys.
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

/// Names and versions of all packages that would be installed, or the error message.
type Closure = Result<BTreeMap<String, String>, String>;

fn ours(universe: &Universe<'_>, set: &str, provided: &[String]) -> Closure {
    let wishes: Vec<Wish> = set.split(' ').map(Wish::own).collect();
    let provided = provided.iter().map(String::as_str).collect();
    let resolution = resolve(universe, &wishes, &provided).map_err(|problem| problem.to_string())?;
    let package = |(name, id): (&&str, &_)| ((*name).to_owned(), universe[*id].package.version.0.to_owned());
    Ok(resolution.chosen.iter().map(package).collect())
}

/// The differences for one set of packages. `None` if there are none except the listed differences.
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
        .filter_map(|(name, ours)| {
            apts.get(name).filter(|apts| *apts != ours).map(|apts| format!("{name} {ours}/{apts}"))
        })
        .collect();
    let mut faults = String::new();
    for (what, names) in [
        ("only apt has", apt_only),
        ("only berth has", berth_only),
        ("version of berth/apt", versions),
        ("listed difference (only-apt) that no longer exists", apt_over),
        ("listed difference (only-berth) that no longer exists", berth_over),
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
        while let Some(set) = sets.get(next.fetch_add(1, atomic::Ordering::Relaxed)) {
            faults.extend(compare(group, &universe, &apt, set));
        }
        faults
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// The sets of packages, and a local archive with all suites of the sets.
static GROUND: LazyLock<(Sets, Mirror)> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/resolver/sets.toml");
    let sets: Sets = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mirror = Mirror::fetch(&sets.group.iter().flat_map(|group| &group.suites).collect());
    (sets, mirror)
});

#[test]
fn every_set_is_resolved_like_apt_resolves_it() {
    let (sets, mirror) = &*GROUND;
    let count: usize = sets.group.iter().map(|group| group.sets.len()).sum();
    assert!(count >= 60, "only {count} sets");
    let mut differences = sets.group.iter().flat_map(|group| &group.difference);
    assert!(differences.all(|difference| !difference.reason.is_empty()), "a difference without a reason");
    let faults: Vec<String> = sets.group.iter().flat_map(|group| check(group, mirror)).collect();
    assert!(faults.is_empty(), "{} sets differ:\n{}", faults.len(), faults.join("\n"));
}

/// Difficult version numbers: some made by hand, and some from the index.
fn hard_versions(packages: &[Package<'static>]) -> Vec<&'static str> {
    let mut all: Vec<&'static str> = packages.iter().map(|package| package.version.0).collect();
    all.sort_unstable();
    all.dedup();
    let mut sample = vec![
        "0",
        "0~",
        "0~~",
        "1",
        "1.",
        "1.0",
        "1.00",
        "1.0-0",
        "1.0-1",
        "1.0-1-1",
        "1.0-1~deb13u1",
        "1.0-1+b1",
        "1.0.a",
        "1.0a",
        "1.0A",
        "1.0+",
        "1.0~rc1-1",
        "1.0~~a",
        "0:1.0",
        "1:0.1",
        "2:0~",
        "10:0",
        "1.2.9",
        "1.2.10",
        "1.2.010",
        "99999999999999999999999999",
        "100000000000000000000000000",
    ];
    let kinds: [fn(&str) -> bool; 6] = [
        |version| version.contains(':'),
        |version| version.contains('~'),
        |version| version.contains("+b"),
        |version| version.matches('-').count() > 1,
        |version| version.split(|c: char| !c.is_ascii_digit()).any(|number| number.len() > 8),
        |version| version.chars().any(|c| c.is_ascii_uppercase()),
    ];
    for kind in kinds {
        let of_kind: Vec<_> = all.iter().filter(|version| kind(version)).collect();
        // Take 25 versions, evenly spread over all.
        sample.extend(of_kind.iter().step_by((of_kind.len() / 25).max(1)).take(25).map(|version| **version));
    }
    sample.sort_unstable();
    sample.dedup();
    sample
}

#[test]
fn every_pair_of_versions_has_the_same_order_as_in_dpkg() {
    let mut versions = hard_versions(GROUND.1.packages("trixie"));
    assert!(versions.len() >= 150, "{}", versions.len());
    let sign = |order: std::cmp::Ordering| match order {
        Ordering::Less => '<',
        Ordering::Equal => '=',
        Ordering::Greater => '>',
    };
    // Compare all pairs with dpkg's Perl library, in one process. The library uses Perl's numbers, so leave out versions with long numbers.
    let short = |version: &&&str| version.split(|c: char| !c.is_ascii_digit()).all(|number| number.len() < 16);
    let paired: Vec<&str> = versions.iter().filter(short).copied().collect();
    let script =
        "chomp(@v = <STDIN>); for $a (@v) { print map({ ('=', '>', '<')[version_compare($a, $_)] } @v), qq(\n) }";
    let mut perl = Command::new("perl");
    perl.args(["-MDpkg::Version", "-e", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut perl = perl.spawn().expect("perl is missing: run ci/setup");
    let mut input = perl.stdin.take().unwrap();
    input.write_all((paired.join("\n") + "\n").as_bytes()).unwrap();
    drop(input);
    let output = perl.wait_with_output().unwrap();
    assert!(output.status.success(), "Dpkg::Version is missing: run ci/setup");
    let matrix = String::from_utf8(output.stdout).unwrap();
    assert_eq!(matrix.lines().count(), paired.len());
    for (a, line) in paired.iter().zip(matrix.lines()) {
        let ours: String = paired.iter().map(|b| sign(Version(a).cmp(&Version(b)))).collect();
        let wrong = paired.iter().zip(ours.chars().zip(line.chars())).find(|(_, (ours, dpkgs))| ours != dpkgs);
        assert!(wrong.is_none(), "{a} and {wrong:?}");
    }
    // Compare neighbours in the sorted list with dpkg itself. The order of all other pairs follows from the neighbours.
    versions.sort_by_key(|version| Version(version));
    for pair in versions.windows(2) {
        let relation = if Version(pair[0]) == Version(pair[1]) { "eq" } else { "lt" };
        let dpkg = Command::new("dpkg").args(["--compare-versions", pair[0], relation, pair[1]]).status();
        assert!(dpkg.expect("dpkg is missing: run ci/setup").success(), "{} {relation} {}", pair[0], pair[1]);
    }
}
