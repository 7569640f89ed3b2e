//! The update, as a host in the field lives it: real firmware, real boot loader, releases from a web server. This file goes from one version
//! to the next and back with a container and its data; each of the others keeps one promise.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "upgrade/clock.rs"]
mod clock;
mod common;
#[path = "upgrade/engine.rs"]
mod engine;
#[path = "upgrade/host.rs"]
mod host;
#[path = "upgrade/interrupted.rs"]
mod interrupted;
#[path = "upgrade/power_cut.rs"]
mod power_cut;
#[path = "upgrade/rollback.rs"]
mod rollback;
#[path = "upgrade/server.rs"]
mod server;
#[path = "upgrade/space.rs"]
mod space;
#[path = "upgrade/stick.rs"]
mod stick;
#[path = "upgrade/trust.rs"]
mod trust;
#[path = "upgrade/workshop.rs"]
mod workshop;
#[path = "upgrade/write_log.rs"]
mod write_log;

use berth_contract::{
    control::HostState,
    host_config::HostConfig,
    update::{EntryState, Way},
};
use common::{LIMIT, docker, get, machine, pki};
use host::Host;
use server::Server;
use workshop::{Version, Workshop, disk};

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
    let shop = Workshop::open("versions");
    let docker_host = |number| Version { number, recipe: "recipes/docker.toml", ..Version::default() };
    let (a, b) = (shop.build(&docker_host("1")), shop.build(&docker_host("2")));
    let server = Server::start(&shop.release("repo", &[&a], &[]));

    let pki = pki();
    let config = pki.serve(toml::from_str::<HostConfig>(CONTAINER).unwrap());
    let mut description = machine("upgrade", Some(disk(&a)));
    description.host_config = Some(toml::to_string(&config).unwrap());
    description.forwards = vec![(0, 2376), (0, 8080)];
    description.disk_size = Some(8 << 30);
    description.reach_out = true;
    let mut host = Host::start(&description);
    let certificates = host.vm.folder().join("docker");
    pki.write_client(&certificates).unwrap();

    // What is to survive: a volume, a container of the host's, and one that somebody started by hand.
    docker(&host.vm, &certificates, &["run", "--rm", "-v", "notes:/data", "hello", "write", "/data/note", "kept"])
        .unwrap();
    docker(
        &host.vm,
        &certificates,
        &["run", "-d", "--restart", "always", "--name", "by-hand", "hello", "sleep", "100000"],
    )
    .unwrap();

    // Nothing newer is there.
    let said = host.hostctl(&["upgrade", &server.url(), "--check"]).unwrap().join("\n");
    assert!(said.contains('1'), "{said}");
    assert_eq!(host.slots().1.state, EntryState::None);

    // A to B: 2 differs from 1 in a file or two.
    shop.release("repo", &[&b], &[]);
    let check = |host: &mut Host, version: &str| {
        let status = host.status();
        assert_eq!((status.version.as_str(), status.state), (version, HostState::Running), "{:?}", status.problems);
        assert!(get(&host.vm, 8080, "/").unwrap().contains("kept"), "the volume is there, and the container runs");
        let running = docker(&host.vm, &certificates, &["ps", "--format", "{{.Names}}"]).unwrap();
        assert!(running.contains("by-hand") && running.contains("web"), "{running}");
        assert!(docker(&host.vm, &certificates, &["images"]).unwrap().contains("hello"));
    };
    let lines = host.hostctl(&["upgrade", "--json", &server.url()]).unwrap();
    let (way, fetched, written) = interrupted::done(&lines);
    assert_eq!(way, Way::Static);
    assert!(fetched < 200_000 && written < 400_000_000, "{fetched} fetched, {written} written");
    // It is there, and the old one still runs.
    let (running, other) = host.slots();
    assert_eq!((running.state, other.version.unwrap().as_str()), (EntryState::Blessed, "2"));
    assert!(matches!(other.state, EntryState::Trial(counter) if counter.left == 3 && counter.done == 0));
    check(&mut host, "1");
    host.reboot();
    host.wait_for("2", LIMIT * 2);
    check(&mut host, "2");

    // B to A, by rollback; A to B, by rollback of that.
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
