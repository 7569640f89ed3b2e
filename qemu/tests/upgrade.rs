//! The update with real firmware, a real boot loader, and releases from a web server. This file goes from one version to the next and back
//! with a container and its data. Each of the other files is about one promise.
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

const CONTAINER: &str = r#"
[[container]]
name = "web"
image = "hello"
command = ["serve", "80", "/data/note"]
ports = ["8080:80"]
volumes = ["notes:/data"]
"#;

#[test]
fn from_version_to_version_and_back_with_a_container_and_its_data() {
    let publisher = Publisher::new("versions");
    let docker_host = |number| Version { number, recipe: "recipes/docker.toml", ..Version::default() };
    let (a, b) = (publisher.build(&docker_host("1")), publisher.build(&docker_host("2")));
    let server = Server::start(&publisher.release("repo", &[&a], &[]));

    let pki = pki();
    let config = pki.serve(toml::from_str::<HostConfig>(CONTAINER).unwrap());
    let mut description = machine("upgrade", Some(disk(&a)));
    description.host_config = Some(toml::to_string(&config).unwrap());
    description.forwards = vec![(0, 2376), (0, 8080)];
    description.disk_size = Some(4 << 30);
    description.reach_out = true;
    let mut host = Host::start(&description);
    let certificates = host.vm.folder().join("docker");
    pki.write_client(&certificates).unwrap();

    // These have to survive: a volume, a container of host.toml, and a container that was started by hand.
    docker(&host.vm, &certificates, &["run", "--rm", "-v", "notes:/data", "hello", "write", "/data/note", "kept"])
        .unwrap();
    docker(
        &host.vm,
        &certificates,
        &["run", "-d", "--restart", "always", "--name", "by-hand", "hello", "sleep", "100000"],
    )
    .unwrap();

    // There is nothing newer.
    let said = host.hostctl(&["upgrade", &server.url(), "--check"]).unwrap().join("\n");
    assert!(said.contains('1'), "{said}");
    assert_eq!(host.slots().1.state, EntryState::None);

    // From A to B. Version 2 differs from 1 in a file or two.
    publisher.release("repo", &[&b], &[]);
    let check = |host: &mut Host, version: &str| {
        let status = host.status();
        assert_eq!((status.version.as_str(), status.state), (version, HostState::Running), "{:?}", status.problems);
        assert!(
            get(&host.vm, 8080, "/").unwrap().contains("kept"),
            "the volume has its content, and the container runs"
        );
        let running = docker(&host.vm, &certificates, &["ps", "--format", "{{.Names}}"]).unwrap();
        assert!(running.contains("by-hand") && running.contains("web"), "{running}");
        assert!(docker(&host.vm, &certificates, &["images"]).unwrap().contains("hello"));
    };
    let lines = host.hostctl(&["upgrade", "--json", &server.url()]).unwrap();
    let (way, fetched, written) = server_faults::done(&lines);
    assert_eq!(way, Way::Static);
    assert!(fetched < 200_000 && written < 400_000_000, "{fetched} fetched, {written} written");
    // The new version is there, and the old one still runs.
    let (running, other) = host.slots();
    assert_eq!((running.state, other.version.unwrap().as_str()), (EntryState::Blessed, "2"));
    assert!(matches!(other.state, EntryState::Trial(counter) if counter.left == 3 && counter.done == 0));
    check(&mut host, "1");
    host.reboot();
    host.wait_for("2", LIMIT * 2);
    check(&mut host, "2");

    // From B to A by rollback, and from A to B by another rollback.
    host.hostctl(&["rollback"]).unwrap();
    host.reboot();
    host.wait_for("1", LIMIT * 2);
    check(&mut host, "1");
    host.hostctl(&["rollback"]).unwrap();
    host.reboot();
    host.wait_for("2", LIMIT * 2);
    check(&mut host, "2");
    let (running, other) = host.slots();
    assert_eq!((running.state, other.state), (EntryState::Blessed, EntryState::Blessed));
}
