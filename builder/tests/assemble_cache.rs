//! The cache of unpacked packages.

use crate::assemble_kit::{Bench, RELEASE, paths};
use berth::tree::Tree;
use std::fs;

#[test]
fn a_second_run_uses_the_cache_and_repairs_a_damaged_cache() {
    let bench = Bench::new();
    let first = bench.assemble().unwrap();
    let unpacked = bench.dir.path().join("cache/unpacked");
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(&unpacked).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let before = names();
    let endings: Vec<_> = before.iter().filter_map(|name| name.rsplit('.').next()).collect();
    assert_eq!(endings.len(), 6, "{before:?}");
    assert!(endings.iter().all(|ending| ["data", "index", "modules", "modules-index"].contains(ending)), "{before:?}");
    for package in &bench.packages {
        fs::rename(&package.deb, package.deb.with_extension("away")).unwrap();
    }
    let second = bench.assemble().unwrap();
    assert_eq!(paths(&first.tree), paths(&second.tree));
    for package in &bench.packages {
        fs::rename(package.deb.with_extension("away"), &package.deb).unwrap();
    }
    let inner = format!("usr/lib/modules/{RELEASE}/kernel/fs/inner.ko");
    let modules = second.tree.data(inner.as_bytes()).unwrap().to_bytes().unwrap();
    // A killed build may leave a partial file, an index without its data, or data without an index.
    let sha = bench.packages[0].sha256;
    for broken in ["data-cut", "index-cut", "no-index", "part", "modules-cut", "modules-longer", "no-modules-index"] {
        let path = |ending: &str| unpacked.join(format!("{sha}.{ending}"));
        match broken {
            "data-cut" => fs::write(path("data"), "short").unwrap(),
            "index-cut" => fs::write(path("index"), "{\"format\":1,").unwrap(),
            "no-index" => fs::remove_file(path("index")).unwrap(),
            "modules-cut" => fs::write(path("modules"), "short").unwrap(),
            // A build that was killed while it appended.
            "modules-longer" => {
                fs::write(path("modules"), [fs::read(path("modules")).unwrap(), vec![1; 99]].concat()).unwrap()
            }
            "no-modules-index" => fs::write(path("modules-index"), "{").unwrap(),
            _ => {
                fs::remove_file(path("index")).unwrap();
                fs::write(path("part"), "half of a longer file".repeat(100_000)).unwrap();
            }
        }
        let again = bench.assemble().unwrap();
        assert_eq!(again.kernel.vmlinuz.to_bytes().unwrap().as_ref(), b"the kernel", "{broken}");
        let module = |tree: &Tree| tree.data(inner.as_bytes()).unwrap().to_bytes().unwrap();
        assert_eq!(module(&again.tree), modules, "{broken}");
        assert_eq!(names(), before, "{broken}");
    }
}

#[test]
fn builds_at_the_same_time_share_the_cache() {
    // Repeat this, because the builds overlap at a different point each time.
    for _ in 0..20 {
        let bench = Bench::new();
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| bench.assemble().unwrap())).collect();
            for one in all {
                let assembled = one.join().unwrap();
                assert_eq!(assembled.kernel.vmlinuz.to_bytes().unwrap().as_ref(), b"the kernel");
            }
        });
        assert_eq!(fs::read_dir(bench.dir.path().join("cache/unpacked")).unwrap().count(), 6);
    }
}
