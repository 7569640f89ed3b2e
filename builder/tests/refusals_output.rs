//! Images that do not fit, and places that cannot be written: what `berth build` says.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::refusal_kit::{Deb, Desk, whole};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

const MIB: usize = 1 << 20;

#[test]
fn sizes_that_cannot_be() {
    let desk = Desk::new(vec![]);
    desk.lock().success();
    let recipe = desk.text("r.toml");
    let mut said = String::new();
    for line in [
        "slot = \"1MiB\"",
        "slot = 100000001",
        "slot = \"65GiB\"",
        "slot = 9223372036854775807",
        "slot = \"99999999999GiB\"",
        "slot = \"lots\"",
        "slot = 0",
        "esp = \"32MiB\"",
        "esp = \"33GiB\"",
        "var = \"64MiB\"",
        "var = \"2TiB\"",
    ] {
        desk.write("r.toml", format!("{recipe}[disk]\n{line}\n"));
        said += &format!("--- {line}\n{}\n", desk.build().refusal());
    }
    insta::assert_snapshot!(said);
}

#[test]
fn images_that_do_not_fit() {
    let large = Deb::new("large").copyright().file("usr/share/large", vec![1; 20 * MIB]);
    let desk = Desk::new([whole::essentials(24 * MIB), vec![large]].concat());
    desk.recipe("\"large\"");
    let recipe = desk.text("r.toml");
    let with = |disk: &str| desk.write("r.toml", format!("{recipe}[disk]\n{disk}"));
    let mut said = String::new();
    desk.lock().success();
    with("slot = \"16MiB\"\n");
    said += &format!("--- root file system\n{}\n", desk.build().refusal());
    with("slot = \"32MiB\"\nesp = \"64MiB\"\n");
    said += &format!("--- kernel image\n{}\n", desk.build().refusal());
    assert!(!desk.path("out").exists() && !desk.path(".out.partial").exists() && !desk.path(".out.lock").exists());
    // The build works with the values of the hints.
    with(&hinted(&said));
    desk.build().success();
    insta::assert_snapshot!(without_sizes(&said));
}

/// Replaces the boot loader's size, which depends on the host, and the number of the block that did not fit.
fn without_sizes(said: &str) -> String {
    let line = |line: &str| match line.contains(" bytes") {
        true => {
            let words: Vec<_> =
                line.split(' ').map(|word| if word.parse::<u64>().is_ok() { "N" } else { word }).collect();
            words.join(" ")
        }
        false => line.to_owned(),
    };
    said.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The lines that the hints call for: `set disk.slot = "64MiB" or more`.
fn hinted(said: &str) -> String {
    let lines = said.lines().filter_map(|line| line.strip_prefix("hint: set disk."));
    lines.map(|line| line.split(" or more").next().unwrap().to_owned() + "\n").collect()
}

#[test]
fn outputs_that_cannot_be_written() {
    let mut said = String::new();
    let mut refused = |what: &str, prepare: &dyn Fn(&Desk)| {
        let desk = Desk::new(whole::essentials(1000));
        desk.lock().success();
        said += &format!("--- {what}\n{}\n", desk.build_as_nobody(prepare).refusal());
        for path in [".", "cache"] {
            fs::set_permissions(desk.path(path), fs::Permissions::from_mode(0o755)).unwrap();
        }
    };
    let lock_up = |desk: &Desk, path: &str| {
        fs::set_permissions(desk.path(path), fs::Permissions::from_mode(0o555)).unwrap();
    };
    refused("a folder that may not be written", &|desk| lock_up(desk, "."));
    refused("a cache that may not be written", &|desk| lock_up(desk, "cache"));
    refused("a file", &|desk| desk.write("out", "text"));
    refused("a link to nowhere", &|desk| std::os::unix::fs::symlink("nowhere/out", desk.path("out")).unwrap());
    insta::assert_snapshot!(said);
}

#[test]
fn disks_that_are_full() {
    let large = Deb::new("large").copyright().file("usr/share/large", vec![1; 8 * MIB]);
    let desk = Desk::new([whole::essentials(1000), vec![large]].concat());
    desk.recipe("\"large\"");
    desk.lock().success();
    let mut said = String::new();
    for full in ["output", "cache"] {
        fs::create_dir_all(desk.path("small")).unwrap();
        let place = if full == "output" { ("cache", "small/out") } else { ("small/cache", "out") };
        // A small file system of this command's own.
        let script = format!(
            "mount -t tmpfs -o size=4m none small && exec bin/berth -q --cache {} --mirror \"$1\" build r.toml -o {}",
            place.0, place.1
        );
        let mut command = Command::new("unshare");
        // A user who is not the superuser becomes the superuser of a namespace.
        command.args(if rustix::process::geteuid().is_root() { &["-m"][..] } else { &["-rm"] });
        command.args(["sh", "-euc", &script, "sh", &desk.archive.url()]).current_dir(desk.dir.path());
        let refusal = desk.said(&command.output().expect("unshare is missing: run ci/setup")).refusal();
        said += &format!("--- {full}\n{refusal}\n");
    }
    assert!(!desk.path("out").exists());
    insta::assert_snapshot!(without_sizes(&said));
}
