//! Module indices, judged by depmod and modprobe.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::judge::judge;
use berth_formats::{
    kmod::{self, Index, KmodError, Modinfo, Texts},
    packing::Packing,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

const RELEASE: &str = "6.1.0-test";

/// Path, symbols that it needs from others, lines of its .modinfo. Each module offers the symbol `of_NAME`.
const MODULES: [(&str, &[&str], &[&str]); 13] = [
    ("kernel/lib/base.ko", &[], &["alias=crypto-base", "license=GPL"]),
    ("kernel/lib/left.ko", &["of_base"], &["depends=base"]),
    ("kernel/lib/right-hand.ko", &["of_base"], &["depends=base", "alias=net-pf-16-proto-[0-9]"]),
    (
        "kernel/fs/top.ko",
        &["of_left", "of_right_hand"],
        &["depends=left,right-hand", "alias=fs-top", "softdep=pre: crypto-soft post: after"],
    ),
    ("kernel/crypto/soft_one.ko", &[], &["alias=crypto-soft", "softdep=pre: top"]),
    ("kernel/crypto/soft_two.ko", &[], &["alias=crypto-soft", "firmware=soft/two.bin"]),
    ("kernel/misc/after.ko", &["of_base"], &["depends=base"]),
    (
        "kernel/drivers/nic.ko",
        &[],
        &["alias=pci:v00001AF4d00001041sv*sd*bc*sc*i*", "alias=pci:v0000808[67]d*sv*sd*bc02sc*i*"],
    ),
    ("kernel/net/a_tun.ko", &[], &["alias=devname:net/tun", "alias=char-major-10-200"]),
    ("kernel/block/b-loop.ko", &[], &["alias=block-major-7-*", "alias=block-major-7-0", "alias=devname:loop0"]),
    ("kernel/fs/nameless.ko", &[], &["alias=char-major-10-234"]),
    ("kernel/fs/numberless.ko", &[], &["alias=devname:no/number", "alias=char-major-10-*"]),
    ("kernel/drivers/any.ko", &[], &["alias=pci:v*d*sv*sd*bc02sc00i*", "alias=*odd?end"]),
];

/// Real object files that depmod takes for modules.
fn modules(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let release = root.join("lib/modules").join(RELEASE);
    let build = |(path, needs, info): &(&str, &[&str], &[&str])| {
        let target = release.join(path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let name = target.file_stem().unwrap().to_str().unwrap().replace('-', "_");
        let mut code = format!(
            "int of_{name}(void) {{ return 1; }}\n\
             __attribute__((section(\"__ksymtab_strings\"), used)) static const char k[] = \"of_{name}\";\n"
        );
        for need in *needs {
            code += &format!("extern int {need}(void);\nint use_{need}(void) {{ return {need}(); }}\n");
        }
        for (i, line) in [format!("name={name}")].iter().map(String::as_str).chain(info.iter().copied()).enumerate() {
            code += &format!("__attribute__((section(\".modinfo\"), used)) static const char m{i}[] = \"{line}\";\n");
        }
        let source = root.join("source.c");
        fs::write(&source, code).unwrap();
        judge("gcc", &["-c", "-O1", "-fno-pic", "-o", target.to_str().unwrap(), source.to_str().unwrap()]);
        ((*path).to_owned(), fs::read(&target).unwrap())
    };
    MODULES.iter().map(build).collect()
}

fn infos(modules: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Modinfo> {
    modules.iter().map(|(path, bytes)| (path.clone(), Modinfo::parse(bytes).unwrap())).collect()
}

fn dep_sets(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let line = |line: &str| {
        let (path, depends) = line.split_once(':').unwrap();
        (path.to_owned(), depends.split_whitespace().map(str::to_owned).collect())
    };
    text.lines().map(line).collect()
}

fn lines(text: &str, prefix: &str) -> BTreeSet<String> {
    // depmod keeps dashes in patterns; for modprobe dashes and underscores are equal.
    text.lines().filter(|line| line.starts_with(prefix)).map(|line| line.replace('-', "_")).collect()
}

#[test]
fn index_files_say_the_same_as_depmods() {
    berth_judge::needs!("depmod", "gcc", "modprobe");
    let dir = tempfile::tempdir().unwrap();
    let modules = modules(dir.path());
    let ours = kmod::index(&infos(&modules));
    assert!(ours.missing.is_empty());
    let release = dir.path().join("lib/modules").join(RELEASE);
    for empty in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        fs::write(release.join(empty), "").unwrap();
    }
    judge("depmod", &["-b", dir.path().to_str().unwrap(), RELEASE]);
    let theirs = |name: &str| fs::read_to_string(release.join(name)).unwrap();
    assert_eq!(dep_sets(&ours.dep), dep_sets(&theirs("modules.dep")));
    assert_eq!(lines(&ours.alias, "alias "), lines(&theirs("modules.alias"), "alias "));
    assert_eq!(lines(&ours.softdep, "softdep "), lines(&theirs("modules.softdep"), "softdep "));
    let nodes = |text: &str| -> BTreeSet<String> { text.lines().skip(1).map(str::to_owned).collect() };
    assert_eq!(nodes(&ours.devname), nodes(&theirs("modules.devname")));
    assert_eq!(nodes(&ours.devname).len(), 2, "{}", ours.devname);
    // The last dependency is loaded first.
    let top = ours.dep.lines().find(|line| line.starts_with("kernel/fs/top.ko:")).unwrap();
    assert!(top.ends_with(" kernel/lib/base.ko"), "{top}");

    // Load orders: of modprobe with depmod's files, and of our index with our files and with depmod's.
    let (depmod_dep, depmod_alias, depmod_softdep) =
        (theirs("modules.dep"), theirs("modules.alias"), theirs("modules.softdep"));
    let builtin = "kernel/fs/ext4/ext4.ko\nkernel/drivers/virtio/virtio-pci.ko\n";
    let own = Index::parse(Texts { dep: &ours.dep, alias: &ours.alias, softdep: &ours.softdep, builtin });
    let foreign = Index::parse(Texts { dep: &depmod_dep, alias: &depmod_alias, softdep: &depmod_softdep, builtin });
    for wanted in [
        "top",
        "fs-top",
        "right-hand",
        "right_hand",
        "soft-one",
        "crypto-soft",
        "after",
        "net-pf-16-proto-7",
        "oddXend",
        "pci:v00001AF4d00001041sv00001AF4sd00000001bc02sc00i00",
        "pci:v00008086d00001041sv00001AF4sd00000001bc02sc80i00",
    ] {
        let shown =
            judge("modprobe", &["-d", dir.path().to_str().unwrap(), "-S", RELEASE, "-a", "--show-depends", wanted]);
        let shown: Vec<_> =
            shown.lines().map(|line| line.split_once(&format!("{RELEASE}/")).unwrap().1.trim()).collect();
        for index in [&own, &foreign] {
            let names = index.resolve(wanted).unwrap_or_else(|| panic!("{wanted}"));
            let found: Vec<&str> = names.iter().map(|name| index.file(name).unwrap().path.as_str()).collect();
            // Two modules have the alias crypto-soft. depmod's binary index may name either one first.
            match ["top", "fs-top", "soft-one", "crypto-soft"].contains(&wanted) || index.modules_for(wanted).len() > 1
            {
                true => assert_eq!(BTreeSet::from_iter(&found), BTreeSet::from_iter(&shown), "{wanted}"),
                false => assert_eq!(found, shown, "{wanted}"),
            }
            for (path, needs) in dep_sets(&ours.dep) {
                let at = |path: &str| found.iter().position(|it| *it == path);
                let Some(user) = at(&path) else { continue };
                assert!(needs.iter().all(|needed| at(needed) < Some(user)), "{wanted}: {found:?}");
            }
            assert_eq!(BTreeSet::from_iter(&found).len(), found.len(), "{wanted}: each module once");
        }
    }
    // A module in the kernel image needs no file.
    assert_eq!(own.resolve("ext4").unwrap(), ["ext4"]);
    assert_eq!(own.resolve("virtio-pci").unwrap(), ["virtio_pci"]);
    assert!(own.file("ext4").is_none() && own.file("virtio_pci").is_none());
    assert_eq!(own.resolve("nothing"), None);
    assert_eq!(own.resolve(""), None);
    assert_eq!(own.resolve("net-pf-16-proto-x"), None);
    // `soft_one`, which `top` wants loaded first, wants `top` loaded first; `after` is loaded after `top`.
    assert_eq!(own.resolve("fs-top").unwrap(), ["base", "left", "right_hand", "soft_one", "soft_two", "top", "after"]);
}

#[test]
fn modinfo_is_read_and_damaged_modules_are_refused() {
    berth_judge::needs!("gcc");
    let dir = tempfile::tempdir().unwrap();
    let modules = modules(dir.path());
    let module = &modules["kernel/fs/top.ko"];
    let info = Modinfo::parse(module).unwrap();
    assert_eq!(info.name.as_deref(), Some("top"));
    assert_eq!(info.depends, ["left", "right-hand"]);
    assert_eq!(info.aliases, ["fs-top"]);
    assert_eq!(info.softdeps, ["pre: crypto-soft post: after"]);
    assert_eq!(Modinfo::parse(&modules["kernel/crypto/soft_two.ko"]).unwrap().firmware, ["soft/two.bin"]);

    assert!(matches!(Modinfo::parse(b"\x7fELF"), Err(KmodError::Elf(_))));
    assert!(matches!(Modinfo::parse(&[0; 100]), Err(KmodError::Elf(_))));
    for at in 0..module.len() {
        for value in [0, 0x7f, 0xff] {
            let mut bad = module.clone();
            bad[at] = value;
            drop(Modinfo::parse(&bad));
        }
        drop(Modinfo::parse(&module[..at]));
    }

    // A missing dependency, and two modules that need each other.
    let mut infos = infos(&modules);
    infos.remove("kernel/lib/left.ko");
    infos.get_mut("kernel/lib/base.ko").unwrap().depends.push("top".to_owned());
    let files = kmod::index(&infos);
    assert_eq!(files.missing, BTreeSet::from([("kernel/fs/top.ko".to_owned(), "left".to_owned())]));
    assert!(files.dep.contains("kernel/fs/top.ko: kernel/lib/right-hand.ko kernel/lib/base.ko\n"), "{}", files.dep);
}

#[test]
fn compressed_modules_are_unpacked_within_limits() {
    let plain = vec![7; 100_000];
    for (packing, tool, options) in [
        (Packing::Xz, "xz", &["--check=crc32", "-k"][..]),
        (Packing::Zstd, "zstd", &["-q"]),
        (Packing::Gzip, "gzip", &["-k"]),
    ] {
        berth_judge::needs!(tool);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.ko");
        fs::write(&path, &plain).unwrap();
        let file = [path.to_str().unwrap()];
        judge(tool, &[options, &file].concat());
        let name = format!("x.ko{}", packing.extension());
        assert_eq!(Packing::split(&name), Some(("x.ko", packing)));
        let packed = fs::read(dir.path().join(name)).unwrap();
        assert_eq!(kmod::unpack(&packed, packing, 100_000).unwrap(), plain);
        let error = |packed: &[u8], limit| kmod::unpack(packed, packing, limit).unwrap_err();
        assert!(matches!(error(&packed, 99_999), KmodError::TooLarge { limit: 99_999 }), "{tool}");
        assert!(matches!(error(&packed[..packed.len() - 7], 100_000), KmodError::Packed { .. }), "{tool}");
        assert!(matches!(error(b"not packed", 100_000), KmodError::Packed { .. }), "{tool}");
    }
}
