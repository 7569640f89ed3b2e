//! Rollback from versions that do not work. In each test the host returns to the old version by itself. `hostctl why` then shows the cause,
//! and the host refuses to install the failed version again.

use crate::{
    common::root,
    host::{Host, booted, small},
    publisher::{Publisher, Version, plain},
    server::Server,
};
use berth_contract::update::EntryState;
use berth_qemu::machine::{Description, Serial};
use std::{
    fs::OpenOptions,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// Time limit for three boots of a faulty version and one boot of the old version.
pub(crate) const PATIENCE: Duration = Duration::from_secs(900);

/// Releases version 1, which works, and `new`. The machine runs version 1.
pub(crate) fn with_new(name: &str, new: &Version<'_>) -> (Publisher, Server, Description) {
    let publisher = Publisher::new(name);
    let (old, new) = (publisher.build(&plain("1")), publisher.build(new));
    let server = Server::start(&publisher.shared_release(&[&old, &new]));
    let mut description = booted(&small(name, &old));
    description.kept = Some(publisher.path("state"));
    (publisher, server, description)
}

/// Upgrades from version 1 to version 2 and waits until version 1 is back. Returns the output of `hostctl why`.
fn rolls_back(mut host: Host, server: &Server) -> String {
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    assert_eq!(host.slots().1.version.unwrap().as_str(), "2");
    let before = host.vm.console().text().len();
    host.reboot();
    host.vm.wait_for_text("Restarting system", before, PATIENCE).unwrap();
    is_back(&mut host, server)
}

/// Waits until version 1 runs and is blessed, and checks that version 2 is marked as failed. Returns the output of `hostctl why`.
pub(crate) fn is_back(host: &mut Host, server: &Server) -> String {
    host.wait_for("1", PATIENCE);
    let (running, other) = host.slots();
    assert_eq!((running.state, running.version.unwrap().as_str()), (EntryState::Blessed, "1"));
    assert_eq!(other.state, EntryState::Failed);
    // The host refuses to install the failed version again.
    let refused = host.hostctl(&["upgrade", &server.url()]).unwrap_err();
    assert!(refused.contains("version 2 has failed on this host"), "{refused}");
    let why = host.hostctl(&["why"]).unwrap().join("\n");
    assert!(why.contains('2'), "{why}");
    why
}

#[test]
fn a_version_whose_init_exits_at_once_is_rolled_back() {
    let hello = crate::common::berth().with_file_name("hello");
    let (_publisher, server, description) = with_new("init-panics", &Version { init: Some(&hello), ..plain("2") });
    let why = rolls_back(Host::start(&description), &server);
    // The kernel's panic message is lost: init loads the driver that stores it, and this init loads nothing.
    assert!(why.contains("no boot reached /var"), "{why}");
}

#[test]
fn a_version_whose_root_hash_does_not_match_is_rolled_back() {
    let (publisher, server, description) = with_new("root-hash", &plain("2"));
    let mut host = Host::start(&description);
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    host.poweroff();
    drop(host);
    // While the machine is off, a bit flips in the superblock of slot B's file system.
    let mut host = boot_with_flipped_bits(&publisher, description, "root-hash-2", 4, &[1024]);
    let why = is_back(&mut host, &server);
    assert!(why.contains("verity") || why.contains("corrupt"), "{why}");
}

/// Flips one bit of each byte `at` in a partition of the machine's disk, and boots from the result.
fn boot_with_flipped_bits(publisher: &Publisher, machine: Description, log: &str, partition: u32, at: &[u64]) -> Host {
    let raw = flip(&publisher.path("state/disk.qcow2"), &publisher.path("flipped.raw"), partition, at);
    let serial = Serial::File(root().join(format!("target/vm-logs/{log}.log")));
    let description = Description { image: Some(raw), kept: None, booted: None, serial, ..machine };
    Host { vm: description.start().unwrap() }
}

/// Converts a disk to the file `raw`, and flips one bit of each byte `at` in a partition.
pub(crate) fn flip(layer: &Path, raw: &Path, partition: u32, at: &[u64]) -> PathBuf {
    let (from, to) = (layer.to_str().unwrap(), raw.to_str().unwrap());
    crate::common::tool("qemu-img", &["convert", "-O", "raw", from, to]).unwrap();
    let start = crate::common::sectors(raw, partition).unwrap().0 * 512;
    let file = OpenOptions::new().read(true).write(true).open(raw).unwrap();
    for at in at {
        let mut byte = [0];
        file.read_exact_at(&mut byte, start + at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], start + at).unwrap();
    }
    raw.to_owned()
}

// The services and the check below make a version whose fault depends on the number of the try.

/// Counts the tries.
const COUNT: &str = "exec = [\"/bin/busybox\", \"sh\", \"-c\", \"echo $(($(cat /var/tries || echo 0) + 1)) >/var/tries\"]\n\
    ready = \"exit\"\nrestart = \"no\"\n";
/// First try: the network service does nothing.
const NETD: &str = "exec = [\"/bin/busybox\", \"sh\", \"-c\", \"[ $(cat /var/tries) = 1 ] && exec /bin/busybox sleep 100000; exec /usr/lib/berth/netd\"]\n\
    needs = [\"count\"]\n";
/// Second try: a check fails.
const CHECK: &str = "#!/bin/busybox sh\n[ $(cat /var/tries) = 2 ] || exit 0\necho the disk is on fire\nexit 3\n";
/// Third try: PID 1 is frozen. The host does not answer any more, but the kernel still runs.
const FREEZE: &str = "exec = [\"/bin/busybox\", \"sh\", \"-c\", \"[ $(cat /var/tries) = 3 ] || exit 0; \
    mkdir /sys/fs/cgroup/ice && echo 1 >/sys/fs/cgroup/ice/cgroup.procs && echo 1 >/sys/fs/cgroup/ice/cgroup.freeze\"]\n\
    needs = [\"count\"]\nready = \"exit\"\nrestart = \"no\"\n";

#[test]
fn a_version_with_another_fault_at_each_try_is_rolled_back_and_each_fault_is_reported() {
    let service = |text: &str| text.as_bytes().to_vec();
    let bad = Version {
        lines: "[health]\nlimit = 40",
        files: vec![
            ("usr/lib/berth/services/count.toml", 0o644, service(COUNT)),
            ("usr/lib/berth/services/netd.toml", 0o644, service(NETD)),
            ("usr/lib/berth/services/freeze.toml", 0o644, service(FREEZE)),
            ("usr/lib/berth/health.d/fire", 0o755, service(CHECK)),
        ],
        ..plain("2")
    };
    let (_publisher, server, description) = with_new("three-faults", &bad);
    let why = rolls_back(Host::start(&description), &server);
    assert!(why.contains("route"), "{why}");
    assert!(why.contains("fire") && why.contains("status 3"), "{why}");
    // The kernel's watchdog fires before the machine's watchdog, so the kernel's panic message is stored.
    assert!(why.contains("failed      Kernel panic - not syncing: Software Watchdog Timer expired"), "{why}");
}
