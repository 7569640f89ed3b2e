//! Upgrades in a virtual machine: real firmware, a real boot loader, and a web server that holds the releases.
//!
//! The test in this file upgrades a docker host and rolls it back twice. Containers and their data must survive. Each file in `upgrade/`
//! tests one more promise: power cuts, rollback of a faulty version, trust, space, faults of the web server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "upgrade/clock.rs"]
mod clock;
mod common;
#[path = "upgrade/engine.rs"]
mod engine;
#[path = "upgrade/host.rs"]
mod host;
#[path = "upgrade/power_cut.rs"]
mod power_cut;
#[path = "upgrade/publisher.rs"]
mod publisher;
#[path = "upgrade/rollback.rs"]
mod rollback;
#[path = "upgrade/server.rs"]
mod server;
#[path = "upgrade/server_faults.rs"]
mod server_faults;
#[path = "upgrade/space.rs"]
mod space;
#[path = "upgrade/stick.rs"]
mod stick;
#[path = "upgrade/trust.rs"]
mod trust;
#[path = "upgrade/write_log.rs"]
mod write_log;

use berth_contract::{
    control::HostState,
    host_config::HostConfig,
    update::{EntryState, Way},
};
use common::{LIMIT, docker, get, machine, pki};
use host::Host;
use publisher::{Publisher, Version, disk};
use server::Server;
use std::path::Path;

/// host.toml: a web server in a container. It serves a file of the volume `notes`.
const CONTAINER: &str = r#"
[[container]]
name = "web"
image = "hello"
command = ["serve", "80", "/data/note"]
ports = ["8080:80"]
volumes = ["notes:/data"]
"#;

#[test]
fn containers_and_their_data_survive_an_upgrade_and_two_rollbacks() {
    // Build versions 1 and 2. The release repository has only version 1 at first.
    let publisher = Publisher::new("versions");
    let docker_host = |number| Version { number, recipe: "recipes/docker.toml", ..Version::default() };
    let (version_1, version_2) = (publisher.build(&docker_host("1")), publisher.build(&docker_host("2")));
    let server = Server::start(&publisher.release("repo", &[&version_1], &[]));

    // Start a host with version 1 in slot A. Slot B is empty.
    let pki = pki();
    let config = pki.serve(toml::from_str::<HostConfig>(CONTAINER).unwrap());
    let mut description = machine("upgrade", Some(disk(&version_1)));
    description.host_config = Some(toml::to_string(&config).unwrap());
    description.forwards = vec![(0, 2376), (0, 8080)];
    description.disk_size = Some(4 << 30);
    description.reach_out = true;
    let mut host = Host::start(&description);
    let certificates = host.vm.folder().join("docker");
    pki.write_client(&certificates).unwrap();

    // Three things must survive: the container of host.toml, its volume, and a container that is started by hand.
    let write_note = ["run", "--rm", "-v", "notes:/data", "hello", "write", "/data/note", "kept"];
    docker(&host.vm, &certificates, &write_note).unwrap();
    let start_by_hand = ["run", "-d", "--restart", "always", "--name", "by-hand", "hello", "sleep", "100000"];
    docker(&host.vm, &certificates, &start_by_hand).unwrap();

    // No newer version is released: `upgrade --check` changes nothing.
    let answer = host.hostctl(&["upgrade", &server.url(), "--check"]).unwrap().join("\n");
    assert!(answer.contains('1'), "{answer}");
    assert_eq!(host.slots().1.state, EntryState::None);

    // Release version 2 and install it into slot B. The two versions differ in very few files, so little data is fetched.
    publisher.release("repo", &[&version_2], &[]);
    let lines = host.hostctl(&["upgrade", "--json", &server.url()]).unwrap();
    let (way, fetched, written) = server_faults::done(&lines);
    assert_eq!(way, Way::Static);
    assert!(fetched < 200_000 && written < 400_000_000, "{fetched} fetched, {written} written");

    // Version 1 still runs. Version 2 has a boot entry with three tries.
    let (running, other) = host.slots();
    assert_eq!((running.state, other.version.unwrap().as_str()), (EntryState::Blessed, "2"));
    assert!(matches!(other.state, EntryState::Trial(counter) if counter.left == 3 && counter.done == 0));
    check_running(&mut host, &certificates, "1");

    // Reboot: version 2 starts from slot B, is found healthy, and is blessed.
    reboot_into(&mut host, &certificates, "2");

    // Roll back to version 1 in slot A.
    host.hostctl(&["rollback"]).unwrap();
    reboot_into(&mut host, &certificates, "1");

    // A second rollback returns to version 2 in slot B.
    host.hostctl(&["rollback"]).unwrap();
    reboot_into(&mut host, &certificates, "2");
    let (running, other) = host.slots();
    assert_eq!((running.state, other.state), (EntryState::Blessed, EntryState::Blessed));
}

/// Reboots, waits until `version` runs and is blessed, and checks the containers.
fn reboot_into(host: &mut Host, certificates: &Path, version: &str) {
    host.reboot();
    host.wait_for(version, LIMIT * 2);
    check_running(host, certificates, version);
}

/// Checks that the host runs `version` without problems, with both containers and the content of the volume.
fn check_running(host: &mut Host, certificates: &Path, version: &str) {
    let status = host.status();
    assert_eq!((status.version.as_str(), status.state), (version, HostState::Running), "{:?}", status.problems);
    let page = get(&host.vm, 8080, "/").unwrap();
    assert!(page.contains("kept"), "the container serves the content of its volume: {page}");
    let containers = docker(&host.vm, certificates, &["ps", "--format", "{{.Names}}"]).unwrap();
    assert!(containers.contains("by-hand") && containers.contains("web"), "{containers}");
    let images = docker(&host.vm, certificates, &["images"]).unwrap();
    assert!(images.contains("hello"), "{images}");
}
