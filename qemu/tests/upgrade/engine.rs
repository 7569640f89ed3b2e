//! Rollback from a new version whose engine never answers.

use crate::{
    common::{machine, root, tool},
    host::Host,
    publisher::{Publisher, Version, disk},
    rollback::is_back,
    server::Server,
};
use berth_qemu::machine::{Description, Serial};

#[test]
fn a_version_whose_engine_never_answers_is_rolled_back() {
    let publisher = Publisher::new("engine");
    let docker = |number| Version { number, recipe: "recipes/docker.toml", ..Version::default() };
    // This service replaces dockerd. It listens, but not on the engine's socket.
    let service = "exec = [\"/usr/bin/containerd\", \"--address\", \"/run/other.sock\", \"--root\", \"/run/other\", \"--state\", \"/run/other-state\"]\n\
        ready = { socket = \"/run/docker.sock\" }\nneeds = [\"containerd\"]\nstart_timeout = 20\n";
    let good = publisher.build(&docker("1"));
    let bad = publisher.build(&Version {
        lines: "[health]\nlimit = 50",
        files: vec![("usr/lib/berth/services/dockerd.toml", 0o644, service.into())],
        ..docker("2")
    });
    let server = Server::start(&publisher.shared_release(&[&good, &bad]));
    let mut description = machine("engine", Some(disk(&good)));
    (description.disk_size, description.reach_out) = (Some(4 << 30), true);
    description.kept = Some(publisher.path("state"));
    let mut host = Host::start(&description);
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    host.poweroff();

    // Other tests use all three tries of a version. To save time, this test renames the boot entry so that only the last try is left.
    let (layer, raw) = (publisher.path("state/disk.qcow2"), publisher.path("last-try.raw"));
    tool("qemu-img", &["convert", "-O", "raw", layer.to_str().unwrap(), raw.to_str().unwrap()]).unwrap();
    let esp = format!("{}@@1M", raw.display());
    tool("mren", &["-i", &esp, "::EFI/Linux/berth-docker_2+3.efi", "berth-docker_2+1-2.efi"]).unwrap();
    let serial = Serial::File(root().join("target/vm-logs/engine-2.log"));
    let description = Description { image: Some(raw), kept: None, serial, ..description };
    let mut host = Host { vm: description.start().unwrap() };
    let why = is_back(&mut host, &server);
    assert!(why.contains("dockerd"), "{why}");
}
