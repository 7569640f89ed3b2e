//! Tests of updates of a lock, and of dependency chains (`berth why`).

use super::{tests::*, *};

/// Makes two suites, `trixie` and `trixie-security`, with these packages.
fn bench_with(trixie: &[&str], security: &[&str]) -> Bench {
    let bench = bench(&index(trixie).text);
    bench.suite("trixie-security", security);
    bench
}

fn only(names: &str) -> Update {
    Update::Only(names.split(' ').map(String::from).collect())
}

/// `word name versions` of each change.
fn told(outcome: &NewLock) -> Vec<String> {
    outcome.changes.iter().map(|change| format!("{} {change}", change.word())).collect()
}

const OLD: [&str; 6] =
    ["a 1; Depends: libb, libc (>= 1)", "libb 1", "libc 1", "kernel 6.1; Depends: abi-1", "abi-1 1", "unused 1"];
const NEW: [&str; 5] = ["a 2; Depends: libb, libc (>= 2)", "libb 2", "libc 2", "kernel 6.2; Depends: abi-2", "abi-2 2"];

#[test]
fn an_update_changes_only_the_named_packages_and_their_new_dependencies() {
    let bench = bench_with(&OLD, &[]);
    let old = bench.lock(None).unwrap();
    assert_eq!((told(&old), old.behind), (vec![], 0), "nothing to compare with");
    bench.suite("trixie-security", &NEW);
    for (update, changes, behind) in [
        (Update::Needed, &[][..], 4),
        (only("libb"), &["changed libb 1 → 2"], 3),
        (only("kernel"), &["removed abi-1 1", "added abi-2 2", "changed kernel 6.1 → 6.2"], 3),
        // libc is updated too: the new version of a depends on the new version of libc.
        (only("a"), &["changed a 1 → 2", "changed libc 1 → 2"], 2),
        (only("libb libc"), &["changed libb 1 → 2", "changed libc 1 → 2"], 2),
        (
            Update::All,
            &[
                "removed abi-1 1",
                "added abi-2 2",
                "changed a 1 → 2",
                "changed kernel 6.1 → 6.2",
                "changed libb 1 → 2",
                "changed libc 1 → 2",
            ],
            0,
        ),
    ] {
        let new = bench.update(Some(&old.lock), &update).unwrap();
        let (mut found, mut wanted) = (told(&new), changes.to_vec());
        found.sort();
        wanted.sort_unstable();
        assert_eq!((found, new.behind), (wanted.into_iter().map(String::from).collect(), behind), "{update:?}");
        let again = bench.update(Some(&new.lock), &Update::Needed).unwrap();
        assert_eq!(again.lock.to_string(), new.lock.to_string(), "{update:?}");
    }
    let fresh = bench.lock(None).unwrap().lock;
    assert_eq!(bench.update(Some(&old.lock), &Update::All).unwrap().lock.to_string(), fresh.to_string());
}

#[test]
fn a_version_that_the_archive_no_longer_has_is_replaced_and_reported() {
    let old = bench_with(&OLD, &[]).lock(None).unwrap().lock;
    let bench = bench_with(
        &["a 1; Depends: libb, libc (>= 1)", "libb 2", "libc 1", "kernel 6.1; Depends: abi-1", "abi-1 1"],
        &["libc 2"],
    );
    let new = bench.update(Some(&old), &Update::Needed).unwrap();
    assert_eq!(told(&new), ["changed libb 1 → 2 (the archive no longer has the old one)"]);
    assert_eq!(new.behind, 1);
    // The same version with another digest counts as another package.
    let rebuilt = bench_with(&OLD, &[]);
    let text = index(&OLD).text.replace("Filename: pool/libb.deb\nSize: 4", "Filename: pool/libb.deb\nSize: 5");
    let other = berth_contract::digest::Sha256([7; 32]);
    let text = text.replace(&crate::source::debian::fixture::hex(b"libb"), &other.to_string());
    rebuilt.fixture.suite(&rebuilt.key, "trixie", "", &text);
    let new = rebuilt.update(Some(&old), &Update::Needed).unwrap();
    assert_eq!(told(&new), ["changed libb 1 → 1 (the archive no longer has the old one)"]);
}

#[test]
fn a_damaged_lock_of_a_base_is_named() {
    let mut bench = bench_with(&OLD, &[]);
    let base = bench.fixture.path().join("base.toml");
    bench.input.bases = vec![base.clone()];
    let warnings = |bench: &Bench| bench.lock(None).unwrap().warnings;
    assert!(!warnings(&bench).iter().any(|warning| warning.contains("base")), "a base that was never locked");
    let path = lock_path(&base);
    std::fs::write(&path, "damaged").unwrap();
    let start = format!("{}: the lock of a base cannot be read, its versions are not kept: ", path.display());
    let warnings = warnings(&bench);
    assert!(warnings.iter().any(|warning| warning.starts_with(&start)), "{warnings:?}");
}

#[test]
fn only_locked_packages_that_block_a_new_request_are_updated() {
    let old = bench_with(&OLD, &[]).lock(None).unwrap().lock;
    for (security, wanted, changes) in [
        // The new package needs a newer version of a locked one.
        ("tool 1; Depends: libb (>= 2)", "a kernel tool", &["changed libb 1 → 2", "added tool 1"][..]),
        // The new package conflicts with the locked version.
        ("tool 1; Breaks: libc (<< 2)", "a kernel tool", &["changed libc 1 → 2", "added tool 1"]),
        // The new package conflicts only with a newer version, so no locked package has to change.
        ("tool 1; Breaks: libc (>= 2)", "a kernel tool", &["added tool 1"]),
        // The new package conflicts with the locked version of a, but not with the new version.
        ("tool 1; Conflicts: a (<< 2)", "a kernel tool", &["changed a 1 → 2", "changed libc 1 → 2", "added tool 1"]),
    ] {
        let mut bench = bench_with(&OLD, &[&NEW[..], &[security]].concat());
        bench.input.packages = wishes(wanted);
        let new = bench.update(Some(&old), &Update::Needed).unwrap();
        assert_eq!(told(&new), changes, "{security}");
    }
    // If no update helps, the error is the same as without an old lock.
    let mut bench = bench_with(&OLD, &[&NEW[..], &["tool 1; Depends: libb (>= 3)"]].concat());
    bench.input.packages = wishes("a kernel tool");
    let again = bench.update(Some(&old), &Update::Needed).unwrap_err().to_string();
    assert_eq!(again, bench.lock(None).unwrap_err().to_string());
    assert!(again.contains("tool → libb (>= 3): libb is 2 in trixie-security"), "{again}");
}

#[test]
fn a_pin_takes_precedence_over_the_locked_version() {
    let old = bench_with(&OLD, &[]).lock(None).unwrap().lock;
    let mut bench = bench_with(&OLD, &NEW);
    bench.input.pins = pins("libb=2 unused=1");
    let new = bench.update(Some(&old), &Update::Needed).unwrap();
    assert_eq!(told(&new), ["changed libb 1 → 2"]);
    let idle = "r.toml:1:1: debian.versions names \"unused\", which the image does not have";
    assert!(new.warnings.iter().any(|warning| warning == idle), "{:?}", new.warnings);
    bench.input.pins = pins("libb=3");
    let error = bench.lock(None).unwrap_err().to_string();
    let shown = "r.toml:1:1: package libb: expected a version =3, found 1 in trixie, 2 in trixie-security\n  |\n1 | libb=3\n  | ^^^^^^";
    assert_eq!(error, shown);
}

#[test]
fn an_update_of_a_package_that_is_not_locked_is_refused() {
    let bench = bench_with(&OLD, &NEW);
    let old = bench.lock(None).unwrap().lock;
    for (name, hint) in [("kernle", Some("did you mean kernel?")), ("unused", None)] {
        let error = bench.update(Some(&old), &only(name)).unwrap_err();
        assert_eq!(error.to_string(), format!("package {name}: expected a locked package, found none with this name"));
        assert_eq!(error.hint().as_deref(), hint);
    }
    // Packages that were removed from the recipe or are new in it are both accepted.
    let mut fewer = bench_with(&OLD, &NEW);
    fewer.input.packages = wishes("kernel unused");
    fewer.update(Some(&old), &only("a unused")).unwrap();
}

#[test]
fn a_suites_priority_is_from_its_in_release_or_from_the_recipe() {
    let mut bench = bench_with(&OLD, &[]);
    bench.suite_with("trixie-security", "NotAutomatic: yes\nButAutomaticUpgrades: yes\n", &NEW);
    let version = |bench: &Bench, name: &str| {
        let lock = bench.lock(None).unwrap().lock;
        lock.packages.into_iter().find(|package| package.name == name).unwrap().version
    };
    assert_eq!(version(&bench, "kernel"), "6.1");
    bench.input.suites[1].priority = Some(500);
    assert_eq!(version(&bench, "kernel"), "6.2");
    bench.input.suites[0].priority = Some(990);
    assert_eq!(version(&bench, "kernel"), "6.1");
}

#[test]
fn why_returns_the_shortest_chain_to_each_package() {
    let mut bench = bench_with(
        &[
            "a 1; Depends: b",
            "b 1; Depends: c (>= 1) | x, c (<< 9)",
            "c 1; Depends: d, debconf (>= 0.5) | y",
            "d 1",
            "kernel 6; Depends: b, e",
            "e 1; Depends: d",
            "solo 1; Provides: virt",
        ],
        &[],
    );
    bench.input.packages = wishes("a kernel virt");
    let lock = bench.lock(None).unwrap().lock;
    let way = |name: &str| {
        let chain = lock.why(name)?;
        let links = chain.links.iter().map(|(by, words)| format!("{by}: {words}"));
        Some(format!("{} | {} | {}", chain.wish, links.collect::<Vec<_>>().join("; "), chain.others.join(" ")))
    };
    for (name, expected) in [
        ("a", "a |  | "),
        ("b", "a | a: b | kernel"),
        ("c", "a | a: b; b: c (>= 1) | x, c (<< 9) | "),
        ("d", "kernel | kernel: e; e: d | c"),
        ("solo", "virt |  | "),
        ("debconf", "a | a: b; b: c (>= 1) | x, c (<< 9); c: debconf (>= 0.5) | y | "),
    ] {
        assert_eq!(way(name).unwrap(), expected, "{name}");
    }
    assert!(lock.why("unused").is_none());
}
