//! The loader's cache, judged by ldconfig.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use berth_formats::ldcache::{self, LdCacheError, Library, elf_soname};
use judge::judge;
use std::{fs, path::Path};

/// `FLAG_ELF_LIBC6 | FLAG_X8664_LIB64`.
const FLAGS: u32 = 0x0303;
/// `EM_X86_64`.
const MACHINE: u16 = 62;

fn library(soname: &str, path: &str) -> Library {
    Library { soname: soname.to_owned(), path: path.to_owned() }
}

/// What ldconfig finds in a cache: lines such as `libc.so.6 (libc6,x86-64) => /lib/...`.
fn printed(cache: &Path) -> Vec<String> {
    let text = judge("ldconfig", &["-p", "-C", cache.to_str().unwrap()]);
    text.lines().filter_map(|line| line.strip_prefix('\t')).map(str::to_owned).collect()
}

#[test]
fn caches_have_ldconfigs_content_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours, config) = (dir.path().join("theirs"), dir.path().join("ours"), dir.path().join("conf"));
    let libraries = dir.path().join("lib");
    fs::create_dir(&libraries).unwrap();
    fs::write(&config, format!("{}\n", libraries.display())).unwrap();
    // Names that test the order: numbers by value, dots, letters, no number.
    for name in [
        "liba.so.2",
        "liba.so.10",
        "liba.so",
        "liba-1.0.so.3",
        "liba-1.10.so.3",
        "libA.so.1",
        "lib_a.so.1",
        "liba2.so.007",
        "libab.so.1",
    ] {
        let (file, soname) = (libraries.join(name), format!("-Wl,-soname,{name}"));
        judge("sh", &["-c", &format!("echo | gcc -shared -nostdlib -x c - {soname} -o {}", file.display())]);
        assert_eq!(elf_soname(&fs::read(&file).unwrap(), MACHINE).as_deref(), Some(name));
    }
    judge("ldconfig", &["-X", "-f", config.to_str().unwrap(), "-C", theirs.to_str().unwrap()]);
    let wanted: Vec<_> = printed(&theirs).into_iter().filter(|line| line.contains("(libc6,x86-64)")).collect();
    assert!(wanted.len() > 10, "{wanted:?}");
    let parse = |line: &String| {
        let (soname, rest) = line.split_once(" (").unwrap();
        library(soname, rest.split_once(" => ").unwrap().1)
    };
    let mut libraries: Vec<_> = wanted.iter().map(parse).collect();
    // Two libraries of one name keep the given order; all others are sorted.
    libraries.sort_by(|a, b| a.soname.cmp(&b.soname));
    fs::write(&ours, ldcache::write(&libraries, FLAGS).unwrap()).unwrap();
    assert_eq!(printed(&ours), wanted);

    let doubled = [library("libx.so.1", "/first/libx.so.1"), library("libx.so.1", "/second/other-file")];
    fs::write(&ours, ldcache::write(&doubled, FLAGS).unwrap()).unwrap();
    assert_eq!(
        printed(&ours),
        ["libx.so.1 (libc6,x86-64) => /first/libx.so.1", "libx.so.1 (libc6,x86-64) => /second/other-file"]
    );
    // FLAG_ELF_LIBC6 | FLAG_AARCH64_LIB64
    fs::write(&ours, ldcache::write(&doubled[..1], 0x0a03).unwrap()).unwrap();
    assert_eq!(printed(&ours), ["libx.so.1 (libc6,AArch64) => /first/libx.so.1"]);
    fs::write(&ours, ldcache::write(&[], FLAGS).unwrap()).unwrap();
    assert!(printed(&ours).is_empty());
}

#[test]
fn names_that_the_loader_cannot_use_are_refused() {
    for (soname, path) in [("", "/a"), ("a/b", "/a"), ("a\0", "/a"), ("a", "a"), ("a", ""), ("a", "/a\0")] {
        let refused = ldcache::write(&[library(soname, path)], FLAGS);
        assert!(matches!(refused, Err(LdCacheError::Library { .. })), "{soname} {path}");
    }
}

#[test]
fn only_shared_objects_have_a_name_and_damaged_ones_do_not_panic() {
    let dir = tempfile::tempdir().unwrap();
    let build = |flags: &str| {
        let out = dir.path().join("out");
        judge("sh", &["-c", &format!("echo 'int main(void){{return 0;}}' | gcc -x c - {flags} -o {}", out.display())]);
        fs::read(out).unwrap()
    };
    assert_eq!(elf_soname(&build("-shared -nostdlib"), MACHINE), None);
    assert_eq!(elf_soname(&build("-no-pie"), MACHINE), None);
    assert_eq!(elf_soname(&build("-c"), MACHINE), None);
    assert_eq!(elf_soname(b"", MACHINE), None);
    let good = build("-shared -nostdlib -Wl,-soname,libgood.so.1");
    assert_eq!(elf_soname(&good, MACHINE).as_deref(), Some("libgood.so.1"));
    let mut other = good.clone();
    other[18] = 183;
    assert_eq!(elf_soname(&other, MACHINE), None, "another machine");
    assert_eq!(elf_soname(&other, 183).as_deref(), Some("libgood.so.1"));
    for at in 0..good.len() {
        for value in [0, 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[at] = value;
            drop(elf_soname(&bad, MACHINE));
        }
        drop(elf_soname(&good[..at], MACHINE));
    }
}
