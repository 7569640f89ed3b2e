//! Upgrades in a virtual machine: real firmware, a real boot loader, and a web server that holds the releases.
//!
//! The test in this file upgrades a docker host and rolls it back twice. Containers and their data must survive. Each file in `upgrade/`
//! tests one more promise: power cuts, rollback of a faulty version, space, a web server that stops. What needs no boot (trust, refusals, the
//! ways to fetch) is tested in a folder: `hostctl/tests/host`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "upgrade/clock.rs"]
mod clock;
mod common;
#[path = "upgrade/damage.rs"]
mod damage;
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
#[path = "upgrade/write_log.rs"]
mod write_log;

use berth_contract::{
    control::HostState,
    host_config::HostConfig,
    update::{EntryState, SlotReport, Way},
};
use common::{LIMIT, docker, get, machine, pki};
use host::Host;
use publisher::{Publisher, Version, disk};
use server::Server;
use std::path::{Path, PathBuf};

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
    let version = |number| Version { number, recipe: "recipes/docker.toml", ..Version::default() };
    let (version_1, version_2) = (publisher.build(&version("1")), publisher.build(&version("2")));
    let server = Server::start(&publisher.release("repo", &[&version_1], &[]));

    // Start a host with version 1 in slot A. Slot B is empty.
    let mut host = DockerHost::start(&version_1);

    // Three things must survive: the container of host.toml, its volume, and a container that is started by hand.
    host.docker(&["run", "--rm", "-v", "notes:/data", "hello", "write", "/data/note", "kept"]);
    host.docker(&["run", "-d", "--restart", "always", "--name", "by-hand", "hello", "sleep", "100000"]);

    // No newer version is released: `upgrade --check` changes nothing.
    let answer = host.hostctl(&["upgrade", &server.url(), "--check"]).join("\n");
    assert!(answer.contains('1'), "{answer}");
    assert_eq!(host.slots().1.state, EntryState::None);

    // Release version 2 and install it into slot B. The versions differ in very few files, so the static delta is small.
    publisher.release("repo", &[&version_2], &[]);
    let lines = host.hostctl(&["upgrade", "--json", &server.url()]);
    let (way, fetched, written) = server_faults::upgrade_result(&lines);
    assert_eq!(way, Way::Static);
    assert!(fetched < 200_000 && written < 400_000_000, "{fetched} bytes fetched, {written} bytes written");

    // Version 1 still runs. Version 2 has a boot entry with three tries.
    let (running, other) = host.slots();
    assert_eq!((running.state, other.version.unwrap().as_str()), (EntryState::Blessed, "2"));
    assert!(matches!(other.state, EntryState::Trial(counter) if counter.left == 3 && counter.done == 0));
    host.check_running("1");

    // Reboot: version 2 starts from slot B, is found healthy, and is blessed.
    host.reboot_into("2");

    // Roll back to version 1 in slot A.
    host.hostctl(&["rollback"]);
    host.reboot_into("1");

    // A second rollback returns to version 2 in slot B.
    host.hostctl(&["rollback"]);
    host.reboot_into("2");
    let (running, other) = host.slots();
    assert_eq!((running.state, other.state), (EntryState::Blessed, EntryState::Blessed));
}

/// A host that runs docker. The docker client of this computer uses it over TLS.
struct DockerHost {
    host: Host,
    /// Folder with the certificates of the docker client.
    certificates: PathBuf,
}

impl DockerHost {
    /// Boots the disk of `build`, with the container of host.toml.
    fn start(build: &Path) -> Self {
        let pki = pki();
        let config = pki.serve(toml::from_str::<HostConfig>(CONTAINER).unwrap());
        let mut description = machine("upgrade", Some(disk(build)));
        description.host_config = Some(toml::to_string(&config).unwrap());
        // 2376 is docker with TLS, 8080 is the web server in the container.
        description.forwards = vec![(0, 2376), (0, 8080)];
        description.disk_size = Some(4 << 30);
        // The host fetches releases from a web server on this computer.
        description.reach_out = true;
        let host = Host::start(&description);
        let certificates = host.vm.folder().join("docker");
        pki.write_client(&certificates).unwrap();
        Self { host, certificates }
    }

    /// Runs the docker client on this computer. Returns its output.
    fn docker(&self, arguments: &[&str]) -> String {
        docker(&self.host.vm, &self.certificates, arguments).unwrap()
    }

    /// Runs hostctl on the host. Returns the lines of its output.
    fn hostctl(&mut self, arguments: &[&str]) -> Vec<String> {
        self.host.hostctl(arguments).unwrap()
    }

    /// The running slot and the other slot.
    fn slots(&mut self) -> (SlotReport, SlotReport) {
        self.host.slots()
    }

    /// Reboots, waits until `version` runs and is blessed, and checks the containers.
    fn reboot_into(&mut self, version: &str) {
        self.host.reboot();
        self.host.wait_for(version, LIMIT * 2);
        self.check_running(version);
    }

    /// Checks that the host runs `version` without problems, with both containers and the content of the volume.
    fn check_running(&mut self, version: &str) {
        let status = self.host.status();
        assert_eq!((status.version.as_str(), status.state), (version, HostState::Running), "{:?}", status.problems);
        let page = get(&self.host.vm, 8080, "/").unwrap();
        assert!(page.contains("kept"), "expected the content of the volume from the container, found {page}");
        let containers = self.docker(&["ps", "--format", "{{.Names}}"]);
        assert!(containers.contains("by-hand") && containers.contains("web"), "{containers}");
        assert!(self.docker(&["images"]).contains("hello"), "the image of the containers must not be lost");
    }
}
