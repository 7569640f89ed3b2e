//! New versions that do not work. Each ends by itself in the old one, which works, can say why, and does not try again.

use crate::{
    common::{machine, root},
    host::Host,
    server::Server,
    workshop::{Version, Workshop, disk},
};
use berth_contract::update::EntryState;
use berth_qemu::machine::Description;
use std::{
    fs::OpenOptions,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// For three boots of a version that does not work, and one of the old.
const PATIENCE: Duration = Duration::from_secs(900);

/// Releases 1, which works, and 2, which does not; a machine that runs 1.
pub(crate) fn with_bad(name: &str, bad: &Version<'_>) -> (Workshop, Server, Description) {
    let shop = Workshop::open(name);
    let good = shop.build(&Version { number: "1", recipe: bad.recipe, lines: bad.lines, ..Version::default() });
    let bad = shop.build(bad);
    let server = Server::start(&shop.release("repo", &[&good, &bad], &["--deltas", "0"]));
    let mut description = machine(name, Some(disk(&good)));
    description.reach_out = true;
    description.kept = Some(shop.path("state"));
    (shop, server, description)
}

/// Upgrades from 1 to 2, waits until 1 is back, and lets it say why.
pub(crate) fn rolls_back(mut host: Host, server: &Server) -> String {
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    assert_eq!(host.slots().1.version.unwrap().as_str(), "2");
    let before = host.vm.console().text().len();
    host.reboot();
    host.vm.wait_for_text("Restarting system", before, PATIENCE).unwrap();
    is_back(&mut host, server)
}

fn is_back(host: &mut Host, server: &Server) -> String {
    host.wait_for("1", PATIENCE);
    let (running, other) = host.slots();
    assert_eq!((running.state, running.version.unwrap().as_str()), (EntryState::Blessed, "1"));
    assert_eq!(other.state, EntryState::Failed);
    // Not by itself again.
    let refused = host.hostctl(&["upgrade", &server.url()]).unwrap_err();
    assert!(refused.contains("version 2 has failed on this host"), "{refused}");
    let why = host.hostctl(&["why"]).unwrap().join("\n");
    assert!(why.contains('2'), "{why}");
    why
}

#[test]
fn a_version_whose_init_panics_at_once() {
    let hello = crate::common::berth().with_file_name("hello");
    let bad = Version { number: "2", init: Some(&hello), ..Version::default() };
    let (_shop, server, description) = with_bad("init-panics", &bad);
    let why = rolls_back(Host::start(&description), &server);
    // It was not even there to load what keeps a kernel's last words.
    assert!(why.contains("no boot reached /var"), "{why}");
}

#[test]
fn a_version_whose_root_hash_does_not_match() {
    let (shop, server, description) = with_bad("root-hash", &Version { number: "2", ..Version::default() });
    let mut host = Host::start(&description);
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    host.poweroff();
    drop(host);
    // A disk that loses a bit while it is switched off.
    // The superblock of slot B's file system.
    let raw = flip(&shop.path("state/disk.qcow2"), &shop.path("flipped.raw"), 4, 1024);
    let mut description = Description { image: Some(raw), kept: None, ..description };
    description.serial = berth_qemu::machine::Serial::File(root().join("target/vm-logs/root-hash-2.log"));
    let mut host = Host { vm: description.start().unwrap() };
    let why = is_back(&mut host, &server);
    assert!(why.contains("verity") || why.contains("corrupt"), "{why}");
}

/// The disk with one bit changed: that of a byte of a partition.
fn flip(layer: &Path, raw: &Path, partition: u32, at: u64) -> PathBuf {
    let (from, to) = (layer.to_str().unwrap(), raw.to_str().unwrap());
    crate::common::judge("qemu-img", &["convert", "-O", "raw", from, to]).unwrap();
    let at = crate::common::sectors(raw, partition).unwrap().0 * 512 + at;
    let file = OpenOptions::new().read(true).write(true).open(raw).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    raw.to_owned()
}

#[test]
fn a_blessed_version_whose_slot_is_lost() {
    let (shop, server, description) = with_bad("lost-slot", &Version { number: "2", ..Version::default() });
    let mut host = Host::start(&description);
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    host.reboot();
    host.wait_for("2", PATIENCE);
    host.poweroff();
    drop(host);
    // The top of slot B's hash tree: its root hash is another one now.
    let raw = flip(&shop.path("state/disk.qcow2"), &shop.path("flipped.raw"), 5, 4096);
    let mut description = Description { image: Some(raw), kept: None, ..description };
    description.serial = berth_qemu::machine::Serial::File(root().join("target/vm-logs/lost-slot-2.log"));
    let mut host = Host { vm: description.start().unwrap() };
    host.wait_for("1", PATIENCE);
    let said = host.vm.console().text();
    assert!(said.contains("the boot loader is asked to take berth-small_1.efi next"), "{said}");
}

#[test]
fn a_version_without_network() {
    let netd = b"exec = [\"/bin/busybox\", \"true\"]\nready = \"exit\"\nrestart = \"no\"\n".to_vec();
    let bad = Version {
        number: "2",
        lines: "[health]\nlimit = 40",
        files: vec![("usr/lib/berth/services/netd.toml", 0o644, netd)],
        ..Version::default()
    };
    let (_shop, server, description) = with_bad("no-network", &bad);
    let why = rolls_back(Host::start(&description), &server);
    assert!(why.contains("route"), "{why}");
}

#[test]
fn a_version_that_hangs_without_a_word() {
    // PID 1 is frozen: nothing of the host answers, the kernel lives.
    let freeze = "mkdir /sys/fs/cgroup/ice && echo 1 >/sys/fs/cgroup/ice/cgroup.procs && echo 1 >/sys/fs/cgroup/ice/cgroup.freeze";
    let service =
        format!("exec = [\"/bin/busybox\", \"sh\", \"-c\", \"{freeze}\"]\nready = \"exit\"\nrestart = \"no\"\n");
    let bad = Version {
        number: "2",
        files: vec![("usr/lib/berth/services/freeze.toml", 0o644, service.into_bytes())],
        ..Version::default()
    };
    let (_shop, server, description) = with_bad("hangs", &bad);
    let why = rolls_back(Host::start(&description), &server);
    // The kernel's timer strikes before the machine's, and what it says is kept.
    assert!(why.contains("failed      Kernel panic - not syncing: Software Watchdog Timer expired"), "{why}");
}

#[test]
fn a_version_whose_check_fails() {
    let check = b"#!/bin/busybox sh\necho the disk is on fire\nexit 3\n".to_vec();
    let bad = Version {
        number: "2",
        lines: "[health]\nlimit = 30",
        files: vec![("usr/lib/berth/health.d/fire", 0o755, check)],
        ..Version::default()
    };
    let (_shop, server, description) = with_bad("check-fails", &bad);
    let why = rolls_back(Host::start(&description), &server);
    assert!(why.contains("fire") && why.contains("status 3"), "{why}");
}
