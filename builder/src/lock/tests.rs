//! Tests of resolving and locking with small archives.

use super::*;
use crate::{
    recipe::RecipeFile,
    source::debian::{
        archive::IndexText,
        error::DebianError,
        fixture::{Fixture, GOOD, KeySpec, NOW, SIGNED, TestKey, paragraph, rfc},
        mirrors::Mirrors,
    },
};
use berth_contract::arch::Arch;
use berth_fetch::{
    progress::Silent,
    settings::{FetchSettings, Network},
    store::Store,
};
use std::path::Path;

/// Makes an index from lines `NAME VERSION; Field: value; ...`.
pub(super) fn index(lines: &[&str]) -> IndexText {
    let paragraphs = lines.iter().map(|line| {
        let mut parts = line.split(';').map(str::trim);
        let head = parts.next().unwrap();
        paragraph(head, &parts.collect::<Vec<_>>())
    });
    IndexText { place: "test".into(), text: paragraphs.collect() }
}

fn place(text: &str) -> Place {
    Place::new(&RecipeFile::new("r.toml", text), 0..text.len())
}

pub(super) fn wishes(names: &str) -> Vec<Wish> {
    names.split_whitespace().map(|name| Wish { place: Some(place(name)), ..Wish::own(name) }).collect()
}

/// Makes pins from words `NAME=VERSION`, `NAME>=VERSION`, `NAME/SUITE`.
pub(super) fn pins(words: &str) -> Vec<Pin> {
    let pin = |word: &str| {
        let split = word.find(|c| "<>=/".contains(c)).unwrap();
        let (name, rest) = word.split_at(split);
        let suite = rest.strip_prefix('/').map(String::from);
        let version = suite.is_none().then(|| rest.parse().unwrap());
        Pin { name: name.into(), version, suite, place: place(word) }
    };
    words.split_whitespace().map(pin).collect()
}

/// Resolves with several suites and pins. Returns `name version, ...`, or the problem.
fn pinned(suites: &[(i16, &[&str])], wanted: &str, insisted: &str, provided: &str) -> Result<String, Problem> {
    let texts: Vec<IndexText> = suites.iter().map(|(_, lines)| index(lines)).collect();
    let parsed = texts.iter().enumerate().map(|(suite, text)| (suite, packages::parse(text, "amd64").good));
    let names = ["trixie", "trixie-updates", "trixie-backports"];
    let suites = suites.iter().zip(names).map(|((priority, _), name)| Suite { name: name.into(), priority: *priority });
    let universe = Universe::new(suites.collect(), "amd64", parsed.collect(), &pins(insisted))?;
    let provided = provided.split_whitespace().collect();
    let resolution = resolve(&universe, &wishes(wanted), &provided)?;
    let one = |(name, id): (&&str, &Id)| format!("{name} {}", universe[*id].package.version.0);
    Ok(resolution.chosen.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn resolved(suites: &[(i16, &[&str])], wanted: &str, provided: &str) -> Result<String, Problem> {
    pinned(suites, wanted, "", provided)
}

fn names(lines: &[&str], wanted: &str, provided: &str) -> String {
    resolved(&[(500, lines)], wanted, provided).unwrap().replace(" 1", "")
}

fn problem(lines: &[&str], wanted: &str, provided: &str) -> String {
    resolved(&[(500, lines)], wanted, provided).unwrap_err().to_string()
}

#[test]
fn dependencies_are_followed_and_recommendations_are_not() {
    let lines = [
        "a 1; Depends: b, c (>= 1); Recommends: x; Suggests: x; Pre-Depends: d",
        "b 1; Depends: a",
        "c 1",
        "d 1",
        "x 1",
        "base 1; Essential: yes",
    ];
    assert_eq!(names(&lines, "a", ""), "a, b, c, d");
    assert_eq!(names(&lines, "x a", ""), "a, b, c, d, x");
    assert_eq!(names(&lines, "a", "b d"), "a, c");
}

#[test]
fn alternatives_prefer_chosen_then_provided_then_the_first_installable_package() {
    for (depends, wanted, provided, expected) in [
        ("b | c", "a", "", "a, b"),
        ("b | c", "a c", "", "a, c"),
        ("b | c", "a", "c", "a"),
        ("b (>= 2) | c", "a", "", "a, c"),
        ("none | c", "a", "", "a, c"),
        ("dead | c", "a", "", "a, c"),
        ("clash | c", "a foe", "", "a, c, foe"),
        ("b:any | c:any", "a", "", "a, c"),
        ("b:i386 | c:amd64", "a", "", "a, c"),
        ("b (<< 1) | b (>> 1) | b (= 1)", "a", "", "a, b"),
        ("b, b | c", "a", "", "a, b"),
    ] {
        let depends = format!("a 1; Depends: {depends}");
        let lines = [
            &*depends,
            "b 1",
            "c 1; Multi-Arch: allowed",
            "dead 1; Depends: dying",
            "dying 1; Depends: nothing (>= 3)",
            "foe 1; Breaks: clash (<< 2)",
            "clash 1",
        ];
        assert_eq!(names(&lines, wanted, provided), expected, "{depends}");
    }
}

#[test]
fn a_dependency_is_satisfied_by_the_named_package_or_by_a_provider() {
    for (depends, provided, expected) in [
        ("mta", "", "a, exim"),
        ("mta (>= 2)", "", "a, postfix"),
        ("mta (= 3)", "postfix", "a"),
        ("mta", "mta", "a"),
        ("mta", "zmail", "a"),
        ("real", "", "a, real"),
        ("real (>= 5)", "", "a, other"),
    ] {
        let depends = format!("a 1; Depends: {depends}");
        let lines = [
            &*depends,
            "zmail 1; Provides: mta; Priority: optional",
            "postfix 1; Provides: mta (= 3); Priority: optional",
            "exim 1; Provides: x, mta; Priority: standard",
            "other 1; Provides: real (= 5)",
            "real 1",
        ];
        // The fixture writes a Priority too. The last one in a paragraph counts.
        assert_eq!(names(&lines, "a", provided), expected, "{depends}");
    }
}

#[test]
fn an_early_choice_is_revised_if_it_conflicts_with_a_needed_package() {
    // As with libreoffice-writer in Debian 13: the first alternative of a dependency conflicts with a package that is needed
    // later.
    let lines =
        ["writer 1; Depends: base, core", "base 1; Depends: nogui | core", "nogui 1", "core 1; Conflicts: nogui"];
    assert_eq!(names(&lines, "writer", ""), "base, core, writer");
}

#[test]
fn a_pin_decides_before_priority_and_priority_before_version() {
    let suites: [(i16, &[&str]); 3] = [
        (500, &["a 1; Depends: b", "b 1", "old 9"]),
        (500, &["b 1.1", "old 8"]),
        (100, &["b 2; Depends: newer (>= 2)", "c 5", "newer 2"]),
    ];
    let all = |wanted: &str, insisted: &str| pinned(&suites, wanted, insisted, "").map_err(|error| error.to_string());
    for (wanted, insisted, expected) in [
        ("a old c", "", "a 1, b 1.1, c 5, old 9"),
        ("a", "b=2", "a 1, b 2, newer 2"),
        ("a", "b=1", "a 1, b 1"),
        ("a", "b=1.*", "a 1, b 1.1"),
        ("a", "b<<1.1", "a 1, b 1"),
        ("a", "b/trixie-backports", "a 1, b 2, newer 2"),
        ("a", "b/trixie", "a 1, b 1"),
        ("c", "b=1", "c 5"),
    ] {
        assert_eq!(all(wanted, insisted).unwrap(), expected, "{wanted}, {insisted}");
    }
    let versions = "1 in trixie, 1.1 in trixie-updates, 2 in trixie-backports";
    assert_eq!(all("a", "b=3").unwrap_err(), format!("package b: expected a version =3, found {versions}"));
    assert_eq!(all("c", "b=3").unwrap_err(), format!("package b: expected a version =3, found {versions}"));
    assert_eq!(all("a", "bb=3").unwrap_err(), "package bb: not found in trixie, trixie-updates, trixie-backports");
}

#[test]
fn a_suite_with_priority_zero_or_less_is_used_only_for_pins() {
    for never in [0, -1] {
        let suites: [(i16, &[&str]); 2] = [(500, &["a 1; Depends: b", "b 1"]), (never, &["b 2", "c 5"])];
        let all = |wanted: &str, insisted: &str| pinned(&suites, wanted, insisted, "");
        assert_eq!(all("a", "").unwrap(), "a 1, b 1");
        assert_eq!(all("a", "b/trixie-updates").unwrap(), "a 1, b 2");
        let error = all("c", "").unwrap_err().to_string();
        assert!(error.ends_with("from a suite whose priority is above 0, found 5 in trixie-updates"), "{error}");
    }
}

#[test]
fn the_error_names_a_version_of_another_suite_that_would_satisfy_the_dependency() {
    let suites: [(i16, &[&str]); 2] = [(500, &["a 1; Depends: b (>= 2)", "b 1"]), (100, &["b 2"])];
    let error = resolved(&suites, "a", "").unwrap_err();
    assert_eq!(error.to_string(), "a → b (>= 2): b is 1 in trixie, but 2 in trixie-updates would satisfy it");
    let hint = error.hint().unwrap();
    assert!(hint.contains("add `\"b\" = { suite = \"trixie-updates\" }` to [debian.versions]"), "{hint}");
    assert_eq!(pinned(&suites, "a", "b/trixie-updates", "").unwrap(), "a 1, b 2");
}

#[test]
fn problems_show_the_chain_of_dependencies() {
    let lines = [
        "docker 1; Depends: iptables",
        "iptables 1; Depends: libfoo (>= 2)",
        "libfoo 1.9",
        "good 1; Depends: one",
        "one 1; Conflicts: two",
        "two 1",
        "bad 1; Depends: two",
        "typo 1; Depends: libfooo",
        "v1 1; Provides: virtual",
        "v2 1; Provides: virtual",
        "odd 1; Depends: a b",
    ];
    for (wanted, provided, expected) in [
        ("docker", "", "docker → iptables → libfoo (>= 2): libfoo is 1.9 in trixie"),
        ("good bad", "", "good → one and bad → two conflict: one Conflicts: two"),
        ("typo", "", "typo → libfooo: libfooo is not found in trixie"),
        ("typo docker", "libfooo", "docker → iptables → libfoo (>= 2): libfoo is 1.9 in trixie"),
        ("docker libfoo", "libfoo", "docker → iptables → libfoo (>= 2): libfoo is 1.9 in trixie"),
        ("iptbales", "", "package iptbales: not found in trixie"),
        ("virtual", "", "package virtual is virtual: expected one of its providers, v1, v2"),
        ("odd", "", "package odd: Depends: expected relations like `name (>= 1.0)`, found \"a b\""),
    ] {
        assert_eq!(problem(&lines, wanted, provided), expected);
    }
    let hint = |wanted| resolved(&[(500, &lines)], wanted, "").unwrap_err().hint().unwrap();
    assert_eq!(hint("iptbales"), "did you mean iptables?");
    assert_eq!(hint("typo"), "did you mean libfoo?");
    assert!(hint("docker").contains("add \"libfoo\" to `provided`"));
    assert_eq!(names(&lines, "docker", "libfoo"), "docker, iptables");
}

pub(super) struct Bench {
    pub(super) fixture: Fixture,
    pub(super) key: TestKey,
    fetcher: Fetcher,
    pub(super) input: LockInput,
}

pub(super) fn bench(packages: &str) -> Bench {
    let (fixture, key) = (Fixture::new(), TestKey::new(KeySpec { subkey: Some(0), ..GOOD }));
    fixture.write("keys.gpg", key.binary());
    let store = Store::open(&fixture.path().join("cache")).unwrap();
    let input = LockInput {
        suites: ["trixie", "trixie-security"].map(WantedSuite::new).into(),
        components: vec!["main".into()],
        arch: Arch::DEFAULT,
        packages: wishes("a kernel"),
        pins: vec![],
        provided: vec!["debconf".into(), "unused".into()],
        given: vec![],
        bases: vec![],
        mirrors: Mirrors::given(&[fixture.url()]).unwrap(),
        keyring: fixture.path().join("keys.gpg"),
    };
    fixture.suite(&key, "trixie", "Acquire-By-Hash: yes\n", packages);
    Bench { fixture, key, fetcher: Fetcher::new(store, FetchSettings::new(Network::Offline, None)), input }
}

impl Bench {
    fn security(&self, date: u64) {
        let text = index(&["libb 1+deb13u1; Replaces: a, kernel (<< 2), nobody; Depends: debconf | x"]).text;
        let release = self.fixture.release("trixie-security", "", &text).replace(&rfc(SIGNED), &rfc(date));
        self.fixture.write("debian/dists/trixie-security/InRelease", self.key.sign(&release));
    }

    pub(super) fn suite(&self, name: &str, lines: &[&str]) {
        self.suite_with(name, "", lines);
    }

    pub(super) fn suite_with(&self, name: &str, fields: &str, lines: &[&str]) {
        self.fixture.suite(&self.key, name, fields, &index(lines).text);
    }

    pub(super) fn lock(&self, previous: Option<&Lock>) -> Result<NewLock, LockError> {
        self.update(previous, &Update::Needed)
    }

    pub(super) fn update(&self, previous: Option<&Lock>, update: &Update) -> Result<NewLock, LockError> {
        lock(&self.input, (previous, update), &self.fetcher, NOW, &Silent)
    }
}

const PACKAGES: [&str; 4] = ["a 1; Depends: libb", "libb 1", "kernel 6.12; Installed-Size: 9", "unused 1"];

#[test]
fn a_lock_is_complete_and_reproducible() {
    let bench = bench(&index(&PACKAGES).text);
    bench.security(SIGNED + 60);
    let outcome = bench.lock(None).unwrap();
    assert_eq!(outcome.warnings, ["debian.provided names \"unused\", which no package of the image depends on"]);
    let mut lock = outcome.lock;
    assert_eq!(bench.lock(Some(&lock)).unwrap().lock.to_string(), lock.to_string());
    let path = bench.fixture.path().join("docker.lock");
    assert_eq!(lock_path(&bench.fixture.path().join("docker.toml")), path);
    write(&lock, &path).unwrap();
    let locked = Locked::load(&path, &bench.input).unwrap();
    assert_eq!(locked.lock(), &lock);
    assert_eq!(locked.debs().iter().map(|deb| deb.name).collect::<Vec<_>>(), ["a", "kernel", "libb"]);
    let text = lock.to_string();
    assert!(!text.contains(bench.fixture.path().to_str().unwrap()) && !text.contains("file:"), "{text}");

    // Replace the digests: some depend on the version of liblzma, which compresses the fixture's indices.
    for archive in &mut lock.archives {
        archive.in_release = berth_contract::digest::Sha256([0xab; 32]);
    }
    (lock.input, lock.checksum) = (lock.archives[0].in_release, lock.archives[0].in_release);
    insta::assert_snapshot!(lock.to_string());
}

#[test]
fn each_unusable_lock_file_has_its_own_error() {
    let bench = bench(&index(&PACKAGES).text);
    bench.security(SIGNED);
    let (lock, path) = (bench.lock(None).unwrap().lock, Path::new("docker.lock"));
    let text = lock.to_string();
    assert_eq!(Lock::parse(&text, path).unwrap(), lock);
    // Comments and white space may change: they do not change the checksum.
    Lock::parse(&text.replace("format = 2\n", "# x\n\nformat=2\n"), path).unwrap();

    let failure = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        Lock::parse(&changed, path).unwrap_err()
    };
    assert!(matches!(failure("version = \"6.12\"", "version = \"6.13\""), LockFileError::Edited { .. }));
    assert!(matches!(failure("format = 2", "format = 3"), LockFileError::Format { found: 3, .. }));
    assert!(failure("format = 2", "format = 3").hint().unwrap().contains("newer"));
    for (from, to, expected) in [
        ("size = 1\n", "size = -1\n", "docker.lock:35:8: invalid value"),
        ("size = 1\n", "size = 1\ncolour = 1\n", "unknown field `colour`"),
        ("\"(recipe)\" = ", "\"(recipe)\" = [", "docker.lock:"),
        ("date = \"2026", "date = \"26", "expected a date like"),
    ] {
        let error = failure(from, to);
        assert!(matches!(error, LockFileError::Syntax(_)) && error.to_string().contains(expected), "{error}");
    }
    let file = bench.fixture.path().join("docker.lock");
    assert!(matches!(Locked::load(&file, &bench.input), Err(LockFileError::Missing { .. })));
    write(&lock, &file).unwrap();
    let newer = LockInput { packages: wishes("a"), ..bench.input.clone() };
    let stale = Locked::load(&file, &newer).unwrap_err();
    assert!(matches!(stale, LockFileError::Stale { .. }) && stale.hint().unwrap().contains("berth lock"), "{stale}");
    let unwritable = bench.fixture.path().join("none/docker.lock");
    assert!(write(&lock, &unwritable).unwrap_err().to_string().contains("none/docker.lock"));
}

#[test]
fn an_archive_older_than_in_the_lock_is_refused() {
    let bench = bench(&index(&PACKAGES).text);
    bench.security(SIGNED + 60);
    let before = bench.lock(None).unwrap().lock;
    bench.security(SIGNED);
    bench.lock(None).unwrap();
    let error = bench.lock(Some(&before)).unwrap_err();
    assert!(matches!(error, LockError::Archive(DebianError::Rollback { .. })), "{error}");
    assert!(error.hint().unwrap().contains("lags"));
}
