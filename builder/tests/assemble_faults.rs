//! Packages, overlays and recipes that cannot be assembled to a root tree, and the error messages.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::assemble_kit::{Bench, Deb, package, text};
use berth::assemble::OwnFile;
use std::{fs, path::Path};

#[test]
fn a_file_in_two_packages_is_an_error_unless_replaced_or_diverted() {
    let one = |name: &str| Deb::new(name).file("usr/share/x", name);
    let mut bench = Bench::new();
    bench.add(one("first")).add(one("second"));
    assert_eq!(
        bench.fault(),
        "/usr/share/x: both package first and package second ship this path\n\
         hint: only one package or overlay can ship this path: leave one of the two out"
    );
    // `Replaces` with a matching version allows it. The order of the packages does not matter.
    for (names, field, winner) in [
        (["first", "second"], "Replaces: other (>= 5), first (<< 2)", "second"),
        (["second", "first"], "Replaces: first", "second"),
    ] {
        let mut bench = Bench::new();
        for name in names {
            bench.add(if name == "second" { one(name).field(field) } else { one(name) });
        }
        assert_eq!(text(&bench.assemble().unwrap().tree, "usr/share/x"), winner, "{field}");
    }
    let mut bench = Bench::new();
    bench.add(one("first")).add(one("second").field("Replaces: first (<< 1)"));
    assert!(bench.fault().starts_with("/usr/share/x: both"), "a version that does not match");
    // A diversion moves the file of the other package.
    let mut bench = Bench::new();
    let divert = "dpkg-divert --package second --add --rename --divert /usr/share/x.first /usr/share/x";
    bench.add(one("first")).add(one("second").script("preinst", divert));
    let tree = bench.assemble().unwrap().tree;
    assert_eq!((text(&tree, "usr/share/x").as_str(), text(&tree, "usr/share/x.first").as_str()), ("second", "first"));
}

#[test]
fn two_own_files_at_one_path_are_an_error_that_names_both() {
    let own = |what: &str, path: &str| OwnFile {
        what: what.into(),
        path: path.into(),
        mode: 0o644,
        data: what.to_owned().into(),
    };
    let mut bench = Bench::new();
    bench.files = vec![own("image a:1 of r.toml:1:1", "/usr/lib/x.tar"), own("image b:1 of r.toml:2:1", "/lib/x.tar")];
    let wanted = "/usr/lib/x.tar: both image a:1 of r.toml:1:1 and image b:1 of r.toml:2:1 ship this path";
    assert!(bench.fault().starts_with(wanted), "{}", bench.fault());
    bench.files.pop();
    bench.assemble().unwrap();
    bench.recipe = "[[device]]\npath = 'usr/lib/x.tar'\ntype = 'fifo'\n".into();
    let wanted = "/usr/lib/x.tar: both image a:1 of r.toml:1:1 and the device of test.toml:";
    assert!(bench.fault().starts_with(wanted), "{}", bench.fault());
    bench.recipe.clear();
    bench.overlay("mine", &[("usr/lib/x.tar", "mine")]);
    let fault = bench.fault();
    assert!(fault.starts_with("/usr/lib/x.tar: both overlay mine and berth ship this path"), "{fault}");
}

#[test]
fn a_folder_and_a_file_with_one_path_are_an_error() {
    let mut bench = Bench::new();
    bench.add(Deb::new("first").file("usr/share/x", "")).add(Deb::new("second").file("usr/share/x/y", ""));
    assert!(bench.fault().starts_with("/usr/share/x: package second has a folder where package first has a file"));
    let mut bench = Bench::new();
    bench.overlay("own", &[("etc", "no folder")]);
    assert!(bench.fault().starts_with("/etc: overlay own has a file where berth has a folder"));
    // Because of the merged /usr, /lib/x and /usr/lib/x are the same path.
    let mut bench = Bench::new();
    bench.add(Deb::new("first").file("lib/x", "")).add(Deb::new("second").file("usr/lib/x", ""));
    assert!(bench.fault().starts_with("/usr/lib/x: both package first and package second ship this path"));
    let mut bench = Bench::new();
    bench.add(Deb::new("astray").link("usr/lib/out", "../../../etc"));
    let wanted = "package astray: /usr/lib/out is a symbolic link to ../../../etc, which leaves the image\nhint: leave the package out";
    assert!(bench.fault().starts_with(wanted), "{}", bench.fault());
}

/// A .deb with one entry in its data.tar. dpkg-deb refuses to make such packages. `entry` is the path of the entry, and `size_field`
/// replaces the size in its header.
fn hostile(dir: &Path, name: &str, entry: &[u8], size_field: Option<&str>) -> std::path::PathBuf {
    let tar = |entry: &[u8], content: &[u8], size: Option<&str>| {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..entry.len()].copy_from_slice(entry);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        if let Some(size) = size {
            header.as_mut_bytes()[124..124 + size.len()].copy_from_slice(size.as_bytes());
        }
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
        bytes
    };
    let control = format!("Package: {name}\nVersion: 1.0\nArchitecture: all\n");
    let mut deb = b"!<arch>\n".to_vec();
    for (member, bytes) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", tar(b"./control", control.as_bytes(), None)),
        ("data.tar", tar(entry, b"text", size_field)),
    ] {
        deb.extend_from_slice(
            format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", bytes.len()).as_bytes(),
        );
        deb.extend_from_slice(&bytes);
        deb.resize(deb.len().next_multiple_of(2), b'\n');
    }
    let path = dir.join(format!("{name}.deb"));
    fs::write(&path, deb).unwrap();
    path
}

#[test]
fn hostile_packages_are_named_and_leave_nothing_in_the_cache() {
    for (name, entry, words) in [
        ("climber", &b"./usr/../../etc/passwd"[..], ".."),
        ("absolute", b"/etc/passwd", "absolute"),
        ("no-text", b"./usr/\xff", "UTF-8"),
    ] {
        let mut bench = Bench::new();
        bench.packages.clear();
        let deb = hostile(bench.dir.path(), name, entry, None);
        bench.packages.push(package(name, &deb));
        let fault = bench.fault();
        assert!(fault.starts_with(&format!("package {name}\n")) && fault.contains(words), "{fault}");
        assert_eq!(fs::read_dir(bench.dir.path().join("cache/unpacked")).unwrap().count(), 0, "{name}");
    }
    // The same function makes a package that is accepted. So the packages above are refused for their paths only.
    let mut bench = Bench::new();
    let deb = hostile(bench.dir.path(), "harmless", b"./usr/harmless", None);
    bench.packages.push(package("harmless", &deb));
    assert_eq!(text(&bench.assemble().unwrap().tree, "usr/harmless"), "text");
}

#[test]
fn packages_that_are_truncated_or_too_large_are_errors() {
    let mut bench = Bench::new();
    let deb = hostile(bench.dir.path(), "cut", b"./usr/x", Some("00000070000\0"));
    bench.packages.push(package("cut", &deb));
    assert!(bench.fault().starts_with("package cut\n"));
    // A decompression bomb: 40 MiB of zeros, announced as 1 KiB.
    let mut bench = Bench::new();
    bench.add(Deb::new("bomb").file("usr/zeros", vec![0; 40 << 20]));
    let bomb = bench.packages.last_mut().unwrap();
    bomb.installed_size = Some(1 << 10);
    let fault = bench.fault();
    assert!(fault.starts_with("package bomb\n") && fault.contains("larger than"), "{fault}");
    bench.packages.last_mut().unwrap().installed_size = Some(40 << 20);
    assert_eq!(bench.assemble().unwrap().sizes["package bomb"], 40 << 20);
}

#[test]
fn the_error_shows_all_scripts_that_nobody_has_reviewed() {
    let mut bench = Bench::new();
    bench
        .add(Deb::new("mystery1.0").script("postinst", "set -e\nif [ \"$1\" = configure ]; then\n  mystery --all\nfi"))
        .add(Deb::new("odd").script("preinst", "odd").script("postinst", "addgroup --system odd\nodd"));
    let fault = bench.fault();
    let mut shown = String::new();
    for part in fault.split_inclusive("digest of these lines: ") {
        shown += part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    assert_eq!(
        shown,
        "package mystery1.0 1.0: postinst is not covered: nobody has reviewed it\n     \
         4 | mystery --all\n  \
         (digest of these lines: )\n\
         package odd 1.0: preinst is not covered: nobody has reviewed it\n     \
         2 | odd\n  \
         (digest of these lines: )\n\
         package odd 1.0: postinst is not covered: nobody has reviewed it\n     \
         3 | odd\n  \
         (digest of these lines: )\n\
         hint: berth never runs maintainer scripts: if the image needs what these lines do, provide it in an overlay; then add to \
         [scripts] in the recipe:\n  \"mystery1.0\" = \"ignore\"\n  odd = \"ignore\""
    );
}

#[test]
fn an_ignored_script_keeps_its_known_effects_and_its_lost_lines_are_listed() {
    let mut bench = Bench::new();
    let script = "adduser --system --group --no-create-home --home /nonexistent _kit\nkit-rebuild-cache";
    bench.add(Deb::new("kit").copyright().script("postinst", script));
    bench.recipe = "[scripts]\nkit = 'ignore'\nsystemd-boot-efi = 'ignore'\n".into();
    let assembled = bench.assemble().unwrap();
    assert!(text(&assembled.tree, "etc/passwd").contains("\n_kit:x:"));
    let [lost] = &assembled.ignored[..] else { panic!("{:?}", assembled.ignored) };
    assert_eq!((lost.package.as_str(), lost.uncovered.script), ("kit", "postinst"));
    assert_eq!(lost.uncovered.lines, [(3, "kit-rebuild-cache".to_owned())]);
    let [first, second] = &assembled.warnings[..] else { panic!("{:?}", assembled.warnings) };
    assert!(
        first.ends_with(
            "scripts.kit: these lines of the postinst of kit 1.0 have no effect in the image:\n     3 | kit-rebuild-cache"
        ),
        "{first}"
    );
    assert!(
        second.ends_with("scripts.systemd-boot-efi: this entry is not needed, all scripts of the package are covered"),
        "{second}"
    );
}

#[test]
fn invalid_declarations_are_errors_with_path_and_line() {
    for (path, line, reason) in [
        ("usr/lib/sysusers.d/x.conf", "u x %m", "specifiers (%) have no value while an image is built"),
        ("usr/lib/sysusers.d/x.conf", "z x", "expected u, u!, g, m or r, found \"z\""),
        ("usr/lib/sysusers.d/x.conf", "g 1x", "expected the name of an account, found \"1x\""),
        ("usr/lib/sysusers.d/x.conf", "g x ten", "expected a number, found \"ten\""),
        ("usr/lib/sysusers.d/x.conf", "g x 5 text", "a line of the type g has no field comment, found \"text\""),
        ("usr/lib/sysusers.d/x.conf", "u x 5:4321", "there is no group with the id 4321"),
        ("usr/lib/sysusers.d/x.conf", "u x -:nowhere", "there is no group \"nowhere\""),
        ("usr/lib/sysusers.d/x.conf", "u x - a:b", "expected a comment without colon and new line, found \"a:b\""),
        ("usr/lib/sysusers.d/x.conf", "r - 9-3", "expected a range of numbers, found \"9-3\""),
        ("usr/lib/tmpfiles.d/x.conf", "d /etc/x 0755 nobody-there", "the image has no user \"nobody-there\""),
        ("etc/passwd", "root:x:0", "expected the seven fields of passwd(5)"),
        ("etc/group", "root:x:zero:", "expected a number, found \"zero\""),
    ] {
        let mut bench = Bench::new();
        bench.overlay("own", &[(path, &format!("# comment\n{line}\n"))]);
        let hint =
            "correct the line; if a package ships the file, put a corrected file of the same name into an overlay";
        assert_eq!(bench.fault(), format!("/{path}:2: {line:?}: {reason}\nhint: {hint}"));
    }
}

#[test]
fn a_missing_or_ambiguous_kernel_stub_or_module_is_an_error() {
    let mut bench = Bench::new();
    bench.packages.retain(|package| package.name != "systemd-boot-efi");
    assert_eq!(
        bench.fault(),
        "systemd's EFI stub: no file /usr/lib/systemd/boot/efi/linuxx64.efi.stub\n\
         hint: the package systemd-boot-efi ships this file: check that the image has this package"
    );
    let mut bench = Bench::new();
    bench.packages.retain(|package| package.name != "linux-image-test");
    assert!(bench.fault().starts_with("the kernel: no modules in /usr/lib/modules\nhint: "));
    let mut bench = Bench::new();
    bench.add(Deb::new("second").file("usr/lib/modules/6.13/x.ko", ""));
    assert!(
        bench
            .fault()
            .starts_with("the kernel: modules of several kernels in /usr/lib/modules: 6.12.1-test, 6.13\nhint: ")
    );
    let mut bench = Bench::new();
    bench.recipe = "modules = ['inner', 'outer-onne']\n".into();
    let fault = bench.fault();
    assert!(
        fault.contains("test.toml:10:") && fault.contains("kernel module \"outer-onne\" is not in the image"),
        "{fault}"
    );
    assert!(fault.contains("hint: did you mean \"outer_one\"?"), "{fault}");
    let mut bench = Bench::new();
    bench.overlay("own", &[("usr/lib/modules/6.12.1-test/bad.ko", "no ELF")]);
    assert!(bench.fault().starts_with("overlay own: /usr/lib/modules/6.12.1-test/bad.ko\nkernel module\n"));
}
