//! Messages of `berth build`: faulty packages and overlays. Cases that look similar but work (Replaces, diversions, merged folders) are in
//! `assemble_faults.rs`.

use crate::refusal_kit::{Deb, Desk};
use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
    path::Path,
};

/// A package with 20 MiB of zeros, compressed to a few kilobytes. `announced` is its `Installed-Size` field, or empty.
fn bomb(announced: &str) -> Deb {
    let mut bomb = Deb::new("bomb").file("usr/zeros", vec![0; 20 << 20]);
    bomb.data_name += ".zst";
    if announced.is_empty() { bomb } else { bomb.field(announced) }
}

#[test]
fn packages_that_cannot_be_unpacked() {
    let file = |name: &str| Deb::new(name).file("usr/share/x", name);
    let member = |name: &str| Deb { data_name: name.into(), ..file("odd") };
    let mut said = String::new();
    for (what, debs) in [
        ("cut off", vec![Deb { cut: 1600, ..file("cut") }]),
        ("cut off in its control part", vec![Deb { cut: 3000, ..file("cut") }]),
        ("an unknown member", vec![member("extra.tar")]),
        ("an unknown compression", vec![member("data.tar.lz4")]),
        ("compressed differently than its name says", vec![member("data.tar.xz")]),
        ("a path with ..", vec![Deb::new("climber").file("usr/../../etc/passwd", "")]),
        ("an absolute path", vec![Deb::new("absolute").file("/etc/passwd", "")]),
        ("a link that leaves the image", vec![Deb::new("astray").link("usr/lib/out", "../../../etc")]),
        ("a hard link that leaves the image", vec![Deb::new("astray").hard_link("usr/out", "../etc/shadow")]),
        ("a hard link to nothing", vec![Deb::new("astray").hard_link("usr/out", "etc/shadow")]),
        (
            "a path through a link that leaves the image",
            vec![Deb::new("astray").link("usr/in", "../..").file("usr/in/x", "")],
        ),
        ("links in a circle", vec![Deb::new("circle").link("usr/a", "b").link("usr/b", "a").file("usr/a/x", "")]),
        ("one path in two packages", vec![file("first"), file("second")]),
        (
            "Replaces with a version that does not match",
            vec![file("first"), file("second").field("Replaces: first (<< 1)")],
        ),
        ("a file where a folder is", vec![file("first"), Deb::new("second").file("usr/share", "")]),
        ("a folder where a file is", vec![file("first"), Deb::new("second").file("usr/share/x/y", "")]),
        ("larger than announced", vec![bomb("Installed-Size: 1")]),
        ("a script that nobody has reviewed", vec![file("odd").script("postinst", "chmod 4755 /usr/bin/su")]),
    ] {
        let names: Vec<_> = debs.iter().map(|deb| format!("\"{}\"", deb.name)).collect();
        let desk = Desk::new(debs);
        desk.recipe(&names.join(", "));
        desk.lock().success();
        said += &format!("--- {what}\n{}\n", desk.build().refusal());
        assert!(!desk.path("out").exists(), "{what}");
        let unpacked = fs::read_dir(desk.path("cache/unpacked")).unwrap();
        let parts = unpacked.filter(|entry| entry.as_ref().unwrap().path().extension().unwrap() == "part");
        assert_eq!(parts.count(), 0, "{what}");
    }
    insta::assert_snapshot!(said);
}

/// A package is unpacked if it announces its true size, or if the lock has no size (as in an older format). The build then reports the next
/// fault, which is the missing EFI stub.
#[test]
fn a_package_with_its_true_size_or_without_a_size_is_unpacked() {
    for announced in ["Installed-Size: 20480", ""] {
        let desk = Desk::new(vec![bomb(announced)]);
        desk.recipe("\"bomb\"");
        desk.lock().success();
        assert_eq!(desk.text("r.lock").contains("installed-size = 20971520\n"), !announced.is_empty());
        let refusal = desk.build().refusal();
        assert!(refusal.starts_with("error: systemd's EFI stub: no file"), "{refusal}");
    }
}

#[test]
fn overlays_that_cannot_be_used() {
    let mut said = String::new();
    let mut refused = |what: &str, prepare: &dyn Fn(&Path)| {
        let desk = Desk::new(vec![]);
        desk.write("overlays/own/etc/motd", "hello");
        desk.write("r.toml", format!("overlays = [\"own\"]\n{}", desk.text("r.toml")));
        desk.lock().success();
        let refusal = desk.build_as_nobody(|desk| prepare(&desk.path("overlays/own"))).refusal();
        said += &format!("--- {what}\n{refusal}\n");
    };
    refused("a socket", &|own| drop(UnixListener::bind(own.join("etc/socket")).unwrap()));
    refused("a named pipe", &|own| {
        rustix::fs::mkfifoat(rustix::fs::CWD, own.join("pipe"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    });
    let forbid = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    refused("a file that may not be read", &|own| forbid(&own.join("etc/motd")));
    refused("a folder that may not be read", &|own| forbid(&own.join("etc")));
    refused("a link that leaves the image", &|own| symlink("../../../etc/shadow", own.join("etc/out")).unwrap());
    refused("a file in the place of a folder", &|own| fs::write(own.join("usr"), "").unwrap());
    refused("a missing overlay", &|own| fs::rename(own, own.with_file_name("owm")).unwrap());
    insta::assert_snapshot!(said);
}
