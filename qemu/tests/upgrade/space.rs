//! Upgrades that are refused because there is no space, or because a version is still on trial. Nothing is changed.

use crate::{
    host::{Host, booted, small},
    publisher::{Publisher, Version, plain},
    server::Server,
};
use berth_qemu::machine::Machine;
use std::time::Duration;

#[test]
fn an_upgrade_during_a_trial_is_refused() {
    let publisher = Publisher::new("space");
    // A slow health check: version 2 stays on trial for at least 15 s.
    let slow = b"#!/bin/busybox sh\nsleep 15\n".to_vec();
    let old = publisher.build(&plain("1"));
    let middle = publisher.build(&Version { files: vec![("usr/lib/berth/health.d/slow", 0o755, slow)], ..plain("2") });
    let server = Server::start(&publisher.shared_release(&[&old, &middle]));
    let mut host = Host::start(&booted(&small("space", &old)));

    // While version 2 is on trial, `upgrade` and `rollback` are refused: a fallback to version 1 must stay possible.
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    host.reboot();
    let on_trial = |vm: &mut Machine| {
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
fn an_upgrade_with_a_full_var_is_refused_and_changes_nothing() {
    let publisher = Publisher::new("full-var");
    let fill = "exec = [\"/bin/busybox\", \"sh\", \"-c\", \"dd if=/dev/zero of=/var/fill bs=1M; dd if=/dev/zero of=/var/rest bs=4k; sync; true\"]\n\
        ready = \"exit\"\nrestart = \"no\"\nstart_timeout = 300\n";
    let files = vec![("usr/lib/berth/services/fill.toml", 0o644, fill.as_bytes().to_vec())];
    let full = publisher.build(&Version { files, ..plain("1") });
    let server =
        Server::start(&publisher.shared_release(&[&publisher.build(&plain("1")), &publisher.build(&plain("2"))]));
    let mut host = Host::start(&small("full-var", &full));
    assert!(host.status().var.available < 1 << 20, "{:?}", host.status().var);
    let before = host.slots();
    let refused = host.hostctl(&["upgrade", &server.url()]).unwrap_err();
    assert!(refused.contains("/var") && refused.to_lowercase().contains("space"), "{refused}");
    assert_eq!(host.slots(), before);
}
