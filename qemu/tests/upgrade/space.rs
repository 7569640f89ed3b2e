//! Upgrades for which there is no room, or that come too early: refused before anything is touched.

use crate::{
    common::machine,
    host::Host,
    server::Server,
    workshop::{Version, Workshop, disk, noise},
};
use berth_contract::update::EntryState;
use std::time::Duration;

#[test]
fn a_version_that_does_not_fit_and_one_that_comes_too_early_are_refused() {
    let shop = Workshop::open("space");
    // A verdict that takes its time.
    let slow = b"#!/bin/busybox sh\nsleep 20\n".to_vec();
    let small = shop.build(&Version { number: "1", ..Version::default() });
    let large = shop.build(&Version {
        number: "3",
        lines: "[disk]\nslot = \"320MiB\"",
        files: vec![("usr/share/noise", 0o644, noise(1, 120 << 20))],
        ..Version::default()
    });
    let middle = shop.build(&Version {
        number: "2",
        files: vec![("usr/lib/berth/health.d/slow", 0o755, slow)],
        ..Version::default()
    });
    let server = Server::start(&shop.release("large", &[&large], &["--deltas", "0"]));
    let mut description = machine("space", Some(disk(&small)));
    description.reach_out = true;
    let mut host = Host::start(&description);

    let refused = host.hostctl(&["upgrade", &server.url()]).unwrap_err();
    assert!(refused.contains("root-b") || refused.contains("slot"), "{refused}");
    assert!(server.sent() < 1 << 20, "{} bytes were fetched for nothing", server.sent());
    assert_eq!(host.slots().1.state, EntryState::None);

    // While a version is on trial, nothing is touched that could be needed to go back.
    server.hand_out(&shop.release("repo", &[&small, &middle], &["--deltas", "0"]));
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    host.reboot();
    let on_trial = |vm: &mut berth_qemu::machine::Machine| {
        let status = vm.control(Duration::from_secs(5)).ok().and_then(|mut client| client.status().ok());
        status.is_some_and(|status| status.version.as_str() == "2")
    };
    host.vm.wait_until("version 2", Duration::from_secs(180), on_trial).unwrap();
    for verb in [&["upgrade", &server.url()][..], &["rollback"]] {
        let refused = host.hostctl(verb).unwrap_err();
        assert!(refused.contains("trial") || refused.contains("blessed"), "{verb:?}: {refused}");
    }
    host.wait_for("2", Duration::from_secs(180));
}

#[test]
fn a_full_var_is_told_and_harms_nothing() {
    let shop = Workshop::open("full-var");
    let fill = "exec = [\"/bin/busybox\", \"sh\", \"-c\", \"dd if=/dev/zero of=/var/fill bs=64k; sync; true\"]\n\
        ready = \"exit\"\nrestart = \"no\"\nstart_timeout = 300\n";
    let files = vec![("usr/lib/berth/services/fill.toml", 0o644, fill.as_bytes().to_vec())];
    let old = shop.build(&Version { number: "1", files, ..Version::default() });
    let new = shop.build(&Version { number: "2", ..Version::default() });
    let server = Server::start(&shop.release("repo", &[&old, &new], &["--deltas", "0"]));
    let mut description = machine("full-var", Some(disk(&old)));
    description.reach_out = true;
    let mut host = Host::start(&description);
    assert!(host.status().var.available < 1 << 20, "{:?}", host.status().var);
    let before = host.slots();
    let refused = host.hostctl(&["upgrade", &server.url()]).unwrap_err();
    assert!(refused.contains("/var") && refused.to_lowercase().contains("space"), "{refused}");
    assert_eq!(host.slots(), before);
}
