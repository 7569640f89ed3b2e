//! The assembly of packages to a root tree.

use crate::assemble_kit::{Bench, Deb, RELEASE, id, kind, link, module, packed, paths, text, tool, unfold};
use berth::{
    assemble::OwnFile,
    tree::{Kind, Node, Tree},
};
use std::fs;

#[test]
fn a_tree_has_the_files_that_every_image_needs() {
    let mut bench = Bench::new();
    bench.overlay("base", &[("etc/hosts", "127.0.0.1 localhost\n")]);
    bench.files = vec![OwnFile {
        what: "the program init".into(),
        path: "/usr/lib/berth/init".into(),
        mode: 0o755,
        data: "init".to_owned().into(),
    }];
    bench.recipe = "modules = ['outer_one', 'ext4']\n[[device]]\npath = 'usr/lib/null'\ntype = 'char'\nmajor = 1\nminor = 3\nmode = '0666'\n".into();
    let assembled = bench.assemble().unwrap();
    let tree = &assembled.tree;
    for (path, target) in [
        ("bin", "usr/bin"),
        ("lib64", "usr/lib64"),
        ("usr/sbin/modprobe", "/usr/lib/berth/init"),
        ("etc/resolv.conf", "/run/netd/resolv.conf"),
        ("etc/os-release", "../usr/lib/os-release"),
    ] {
        assert_eq!(link(tree, path), target);
    }
    assert_eq!(tree.get(b"tmp").unwrap().meta.mode, 0o1777);
    assert_eq!(tree.get(b"root").unwrap().meta.mode, 0o700);
    assert_eq!(*kind(tree, "usr/lib/null"), Kind::CharDevice { major: 1, minor: 3 });
    assert_eq!(tree.get(b"usr/lib/berth/init").unwrap().meta.mode, 0o755);
    assert_eq!(text(tree, "usr/lib/os-release"), assembled.os_release);
    assert!(text(tree, "usr/lib/berth/image.json").contains(&format!("\"kernel\": \"{RELEASE}\"")));
    assert_eq!(assembled.kernel.release, RELEASE);
    for (data, wanted) in [
        (&assembled.kernel.vmlinuz, "the kernel"),
        (&assembled.stub, "the stub"),
        (&assembled.systemd_boot, "the boot loader"),
    ] {
        assert_eq!(data.to_bytes().unwrap().as_ref(), wanted.as_bytes());
    }
    let all = paths(tree);
    for gone in ["boot/", "vmlinuz", ".ko.xz", ".efi"] {
        assert!(!all.iter().any(|path| path.contains(gone)), "{gone}");
    }
    assert_eq!(assembled.sizes["package linux-image-test"], {
        let kernel = all
            .iter()
            .filter(|path| path.starts_with("usr/lib/modules") && (path.ends_with(".ko") || path.ends_with("builtin")))
            .chain(all.iter().filter(|path| path.ends_with("linux-image-test/copyright")));
        kernel.map(|path| tree.data(path.as_bytes()).unwrap().len()).sum::<u64>()
    });
    assert_eq!(assembled.warnings, Vec::<String>::new());
}

/// A module may be packed very well: lib/test_bpf.ko.xz of Debian's kernel unpacks to 109 times its size.
#[test]
fn modules_may_be_packed_in_several_ways_and_what_is_dropped_is_never_unpacked() {
    let mut bench = Bench::new();
    let work = tempfile::tempdir().unwrap();
    let folder = format!("usr/lib/modules/{RELEASE}/kernel");
    let module = |name: &str| {
        let mut bytes = module(work.path(), name, &[&format!("name={name}"), "depends="]);
        bytes.resize(bytes.len() + (6 << 20), 0);
        bytes
    };
    let pack = |name: &str, suffix: &str, options: &[&str]| packed(work.path(), &module(name), suffix, options);
    let well_packed = pack("a", "xz", &["-k", "-f"]);
    assert!(well_packed.len() < (6 << 20) / 100);
    bench.add(
        Deb::new("modules")
            .file(&format!("{folder}/a.ko.xz"), well_packed)
            .file(&format!("{folder}/b.ko.zst"), pack("b", "zst", &["-q", "-f"]))
            .file(&format!("{folder}/c.ko.gz"), pack("c", "gz", &["-k", "-f"]))
            .file(&format!("{folder}/d.ko"), module("d"))
            .file(&format!("{folder}/bad/e.ko.xz"), "not packed at all")
            .file(&format!("{folder}/bad/f.ko.zst"), "not packed at all")
            .copyright(),
    );
    let fault = bench.fault();
    assert!(fault.starts_with(&format!("package modules: /{folder}/bad/e.ko\n")), "{fault}");
    // By the name in the image, and by the name in the package.
    bench.drop = "'**/bad/e.ko', '**/bad/f.ko.zst'";
    let assembled = bench.assemble().unwrap();
    assert_eq!(assembled.warnings, Vec::<String>::new());
    let tree = assembled.tree;
    for name in ["a", "b", "c", "d"] {
        let data = tree.data(format!("{folder}/{name}.ko").as_bytes()).unwrap();
        assert!(data.to_bytes().unwrap().as_ref() == module(name).as_slice(), "{name}");
    }
    assert!(!paths(&tree).iter().any(|path| path.contains(".ko.") || path.contains("/bad/")));
    assert!(text(&tree, &format!("usr/lib/modules/{RELEASE}/modules.dep")).contains("kernel/b.ko:\n"));
    // Another image needs less, then more: what the cache has is used, and the rest is unpacked.
    bench.drop = "'**/bad/**', '**/a.ko'";
    assert!(bench.assemble().unwrap().tree.data(format!("{folder}/b.ko").as_bytes()).is_some());
    bench.overlay("own", &[(&format!("{folder}/d.ko"), "not a module")]);
    bench.drop = "'**/bad/**'";
    assert!(bench.fault().starts_with(&format!("overlay own: /{folder}/d.ko\n")));
}

#[test]
fn the_recipe_can_change_the_limit_for_what_a_package_unpacks_to() {
    let mut bench = Bench::new();
    bench.add(Deb::new("large").file("usr/share/large", vec![0; 3 << 20]).copyright());
    bench.debian = "unpack_limit = '1MiB'";
    let fault = bench.fault();
    assert!(fault.starts_with("package large\n") && fault.contains("is larger than 1048576 bytes"), "{fault}");
    assert!(fault.contains("hint: if this size is right, allow it in the recipe: unpack_limit"), "{fault}");
    bench.debian = "unpack_limit = '4MiB'";
    bench.assemble().unwrap();
}

/// pwck and grpck find no error, and systemd-sysusers adds nothing.
#[test]
fn accounts_are_made_as_declared_and_have_stable_ids() {
    const MASTER: &str = "root:*:0:0:root:/root:/bin/bash\nwww-data:*:33:33:www-data:/var/www:/usr/sbin/nologin\n";
    let base = || {
        Deb::new("base-passwd")
            .file("usr/share/base-passwd/passwd.master", MASTER)
            .file("usr/share/base-passwd/group.master", "root:*:0:\nshadow:*:42:\nwww-data:*:33:\n")
    };
    let docker = || {
        Deb::new("docker.io")
            .script("postinst", "if ! getent group docker >/dev/null; then\n  addgroup --system docker\nfi")
    };
    let mut few = Bench::new();
    few.add(base()).add(docker());
    let mut many = Bench::new();
    many.add(base()).add(docker()).add(Deb::new("daemons").file(
        "usr/lib/sysusers.d/daemons.conf",
        "u _a - \"The A, daemon\" /var/lib/a /bin/sh\ng grp 77\nu! fixed 78:grp\nm www-data docker\nm newbie newgroup\nu twice -:docker\n",
    ));
    let few = few.assemble().unwrap().tree;
    let many = many.assemble().unwrap().tree;
    let group = |tree: &Tree, name: &str| {
        let text = text(tree, "etc/group");
        let line = text.lines().find(|line| line.starts_with(&format!("{name}:"))).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no group {name} in {text}"))
    };
    let number = |line: &str| line.split(':').nth(2).unwrap().parse::<u32>().unwrap();
    assert_eq!(
        number(&group(&few, "docker")),
        number(&group(&many, "docker")),
        "the id must not depend on other packages"
    );
    assert!((200..1000).contains(&number(&group(&few, "docker"))));
    assert!(group(&many, "docker").ends_with(":www-data"));
    assert_eq!(group(&many, "grp"), "grp:x:77:");
    let passwd = text(&many, "etc/passwd");
    assert!(passwd.starts_with("root:x:0:0:root:/root:/bin/bash\n"));
    assert!(
        passwd.contains(":The A, daemon:/var/lib/a:/bin/sh\n")
            && passwd.contains("fixed:x:78:77::/:/usr/sbin/nologin\n")
    );
    assert!(passwd.lines().any(|line| line.starts_with("newbie:x:")));
    assert_eq!(many.get(b"etc/shadow").unwrap().meta.gid, 42);
    assert_eq!(many.get(b"etc/shadow").unwrap().meta.mode, 0o640);
    assert!(text(&many, "etc/shadow").contains("fixed:!*::::::1:\n"));

    let out = tempfile::tempdir().unwrap();
    unfold(&many, out.path());
    let etc = |name: &str| out.path().join("etc").join(name).to_str().unwrap().to_owned();
    tool("pwck", &["-r", "-q", &etc("passwd"), &etc("shadow")]);
    // grpck looks up members in the accounts of this computer, so remove the members.
    for (name, copy) in [("group", "group.bare"), ("gshadow", "gshadow.bare")] {
        let text = fs::read_to_string(etc(name)).unwrap();
        let bare = text.lines().map(|line| format!("{}:\n", line.rsplit_once(':').unwrap().0));
        fs::write(etc(copy), bare.collect::<String>()).unwrap();
    }
    tool("grpck", &["-r", &etc("group.bare"), &etc("gshadow.bare")]);
    let files = || ["passwd", "group"].map(|name| fs::read_to_string(etc(name)).unwrap());
    let before = files();
    tool("systemd-sysusers", &["--root", out.path().to_str().unwrap()]);
    assert_eq!(files(), before);
}

#[test]
fn files_of_packages_below_var_and_run_are_made_at_boot() {
    let mut bench = Bench::new();
    bench
        .add(
            Deb::new("daemon")
                .dir("var/lib/daemon/spool")
                .mode("var/lib/daemon", 0o750)
                .dir("run/daemon")
                .link("var/log/daemon", "../lib/daemon/spool")
                .file("var/lib/daemon/seed", "seed")
                .dir("var/run/old")
                .script("postinst", "adduser --system --group --home /var/lib/d --quiet d"),
        )
        .overlay("own", &[("etc/own.conf", "x")]);
    let assembled = bench.assemble().unwrap();
    let tree = &assembled.tree;
    assert_eq!(tree.below(b"var").count() + tree.below(b"run").count(), 0);
    let declared = text(tree, "usr/lib/tmpfiles.d/00-packages.conf");
    for line in [
        "d /run/daemon :0755 :0 :0 -",
        "d /var/lib/daemon :0750 :0 :0 -",
        "d /var/lib/daemon/spool :0755 :0 :0 -",
        "L /var/log/daemon - - - - ../lib/daemon/spool",
        "C /var/lib/daemon/seed",
    ] {
        assert!(declared.lines().any(|found| found == line), "{line} in:\n{declared}");
    }
    let home = format!("d /var/lib/d :0755 :{id} :{id} -", id = id(tree, "d"));
    assert!(declared.lines().any(|found| found == home), "{home} in:\n{declared}");
    assert!(!declared.contains("/var/run"));
    assert_eq!(text(tree, "usr/share/factory/var/lib/daemon/seed"), "seed");
    assert_eq!(
        paths(&assembled.var),
        ["", "lib", "lib/d", "lib/daemon", "lib/daemon/seed", "lib/daemon/spool", "log", "log/daemon"]
    );
    assert_eq!(text(&assembled.var, "lib/daemon/seed"), "seed");
}

#[test]
fn drops_and_overlays_are_applied_after_packages() {
    let mut bench = Bench::new();
    bench
        .add(
            Deb::new("tool")
                .file("usr/bin/tool", "tool")
                .hard_link("usr/bin/tool-too", "usr/bin/tool")
                .file("usr/share/doc/tool/copyright", "free")
                .file("etc/tool.conf", "theirs")
                .script("postinst", "update-alternatives --install /usr/bin/t t /usr/bin/tool 10\nupdate-alternatives --install /usr/bin/t t /usr/bin/gone 20"),
        )
        .overlay("one", &[("etc/tool.conf", "ours"), ("usr/share/doc/own", "own"), ("bin/merged", "m")])
        .overlay("two", &[("etc/tool.conf", "ours, later")]);
    bench.drop = "'usr/share/doc/**', 'usr/bin/tool', 'no/such/*'";
    bench.recipe = "[scripts]\nabsent = 'ignore'\n".into();
    let assembled = bench.assemble().unwrap();
    let tree = &assembled.tree;
    assert_eq!(text(tree, "etc/tool.conf"), "ours, later");
    assert_eq!(text(tree, "usr/share/doc/own"), "own", "a file of an overlay is not dropped");
    assert_eq!(text(tree, "usr/bin/merged"), "m");
    assert!(tree.get(b"usr/share/doc/tool/copyright").is_none() && tree.get(b"usr/bin/tool").is_none());
    assert_eq!(text(tree, "usr/bin/tool-too"), "tool", "the other hard link of a dropped file stays");
    assert!(tree.get(b"usr/bin/t").is_none(), "an alternative without its program is not made");
    assert_eq!(assembled.warnings.len(), 2, "{:?}", assembled.warnings);
    assert!(assembled.warnings.iter().any(|line| line.contains("debian.drop \"no/such/*\" matches no file")));
    assert!(assembled.warnings.iter().any(|line| line.contains("scripts.absent: that package is not in the image")));
}

/// The root file system is read-only, so a link into /var is the way to a /home or /opt that keeps its content.
#[test]
fn an_overlay_can_make_an_empty_folder_of_the_skeleton_a_link() {
    for folder in ["home", "media", "mnt", "opt", "root", "srv"] {
        let mut bench = Bench::new();
        let node = Node::symlink(format!("var/{folder}"), &"overlay own".into());
        bench.overlays.push(vec![(folder.as_bytes().to_vec(), node)]);
        assert_eq!(link(&bench.assemble().unwrap().tree, folder), format!("var/{folder}"));
        // A package's file is there: only one of the two can be.
        bench.add(Deb::new("tool").file(&format!("{folder}/tool"), "x").copyright());
        assert!(bench.fault().starts_with(&format!("/{folder}: overlay own has a symbolic link where ")), "{folder}");
    }
    let mut bench = Bench::new();
    bench.overlays.push(vec![(b"run".to_vec(), Node::symlink("var/run", &"overlay own".into()))]);
    assert!(bench.fault().starts_with("/run: overlay own has a symbolic link where berth has a folder"));
}
