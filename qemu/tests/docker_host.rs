//! The docker host: from power-on to a container that the real docker client runs from outside, through a reboot into the
//! same state, to a clean power-off. One machine, two boots.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use berth_contract::container_state::ContainerState;
use berth_contract::control::{HostState, ServiceState};
use berth_contract::host_config::HostConfig;
use common::{LIMIT, build, docker, get, judge, machine, output, partition, pki};
use std::time::Duration;

const CONTAINERS: &str = r#"
hostname = "node-1"

[[container]]
name = "bridged"
image = "hello"
command = ["serve", "80", "/data/note"]
ports = ["8080:80"]
volumes = ["notes:/data"]
memory = "64MiB"
cpus = 0.5

[[container]]
name = "on-host"
image = "hello"
command = ["serve", "8081"]
network = "host"

[[container]]
name = "alone"
image = "hello"
command = ["serve", "80"]
network = "none"
"#;

#[test]
fn a_docker_host_serves_survives_a_reboot_and_ends_clean() {
    let image = output(&build(), ".raw");
    let pki = pki();
    let config = pki.serve(toml::from_str::<HostConfig>(CONTAINERS).unwrap());
    let mut description = machine("docker-host", Some(image));
    description.host_config = Some(toml::to_string(&config).unwrap());
    description.forwards = vec![(0, 2376), (0, 8080), (0, 8081)];
    description.disk_size = Some(8 << 30);
    // QEMU names a router and a name server only on a network that is open. Nothing in the guest talks to either.
    description.reach_out = true;
    let mut vm = description.start().unwrap();
    let certificates = vm.folder().join("docker");
    pki.write_client(&certificates).unwrap();
    vm.wait_ready(LIMIT).unwrap();

    // The host at a glance.
    let mut control = vm.control(Duration::from_secs(30)).unwrap();
    let status = control.status().unwrap();
    assert_eq!((status.state, status.problems.as_slice()), (HostState::Running, &[][..]));
    assert_eq!((status.hostname.as_str(), status.config.source.as_deref()), ("node-1", Some("fw_cfg")));
    assert!(status.engine.as_ref().is_some_and(|engine| engine.ready));
    assert!(status.var.persistent && status.var.size > 5 << 30, "/var grew to the disk's end: {:?}", status.var);
    let network = status.network.as_ref().unwrap();
    assert!(network.interfaces.iter().any(|one| one.addresses.iter().any(|a| a == "10.0.2.15/24")), "{network:?}");
    assert!(network.interfaces.iter().any(|one| one.gateway.is_some()) && !network.dns.is_empty(), "{network:?}");
    assert_eq!(status.containers.len(), 3);
    assert!(
        status.containers.iter().all(|container| container.state == ContainerState::Running),
        "{:?}",
        status.containers
    );
    let services = control.services().unwrap();
    assert!(services.iter().all(|service| service.state == ServiceState::Ready), "{services:?}");
    let boot = control.boot().unwrap();
    assert!(
        boot.ready_us.is_some() && boot.engine_us.is_some() && boot.phases.iter().all(|phase| phase.error.is_none()),
        "{boot:?}"
    );
    let said = vm.console().text();
    assert!(said.contains("ready after"), "one line on the console says that the host is up");
    let mut log = Vec::new();
    let line = |line: berth_contract::control::LogLine| {
        log.push(line.text);
        Ok::<_, berth_control::ClientError>(())
    };
    control.logs("dockerd", false, line).unwrap();
    assert!(log.iter().any(|line| line.contains("API listen on")), "{log:?}");
    assert!(control.logs("nothing", false, |_| Ok::<_, berth_control::ClientError>(())).is_err());

    // The real docker client from outside.
    let run = docker(&vm, &certificates, &["run", "--rm", "hello"]).unwrap();
    assert!(run.contains("Hello from Berth"), "{run}");
    docker(&vm, &certificates, &["run", "--rm", "-v", "notes:/data", "hello", "write", "/data/note", "kept"]).unwrap();
    let stranger = common::pki();
    let other = vm.folder().join("stranger");
    stranger.write_client(&other).unwrap();
    std::fs::write(other.join("ca.pem"), &pki.ca).unwrap();
    docker(&vm, &other, &["ps"]).expect_err("a client that the authority does not know is refused");

    // Networks and limits.
    assert!(get(&vm, 8080, "/").unwrap().contains("Hello"), "a published port is answered");
    let limits = get(&vm, 8080, "/limits").unwrap();
    assert!(limits.contains("67108864") && limits.contains("50000 100000"), "{limits}");
    let on_host = get(&vm, 8081, "/net").unwrap();
    assert!(on_host.contains("docker0"), "the host's own interfaces: {on_host}");
    let alone = docker(&vm, &certificates, &["exec", "alone", "/hello", "net"]).unwrap();
    assert_eq!(alone.split_whitespace().collect::<Vec<_>>(), ["lo"]);

    // Reboot into the same state.
    let before = vm.console().text().len();
    control.reboot().unwrap();
    // The port serves one client at a time.
    drop(control);
    vm.wait_for_text("ready after", before, LIMIT).unwrap();
    vm.wait_ready(LIMIT).unwrap();
    let again = vm.control(Duration::from_secs(30)).unwrap().status().unwrap();
    assert_eq!(
        (again.state, &again.machine_id, &again.root_hash),
        (HostState::Running, &status.machine_id, &status.root_hash)
    );
    assert!(
        again.containers.iter().all(|container| container.state == ContainerState::Running),
        "{:?}",
        again.containers
    );
    assert!(get(&vm, 8080, "/").unwrap().contains("kept"), "the volume survived");
    assert_eq!(again.var.size, status.var.size);

    // The power button; then what is left on the disk is clean.
    vm.monitor().unwrap().press_power_button().unwrap();
    vm.wait_for_end(LIMIT).unwrap();
    let (flat, var, esp) = (vm.folder().join("flat.raw"), vm.folder().join("var"), vm.folder().join("esp"));
    let layer = vm.folder().join("disk.qcow2");
    judge("qemu-img", &["convert", "-O", "raw", layer.to_str().unwrap(), flat.to_str().unwrap()]).unwrap();
    assert!(judge("sgdisk", &["-v", flat.to_str().unwrap()]).unwrap().contains("No problems found"));
    partition(&flat, 6, &var).unwrap();
    partition(&flat, 1, &esp).unwrap();
    judge("e2fsck", &["-fn", var.to_str().unwrap()]).unwrap();
    let header = judge("dumpe2fs", &["-h", var.to_str().unwrap()]).unwrap();
    let features = header.lines().find(|line| line.starts_with("Filesystem features:")).unwrap();
    assert!(header.contains("Filesystem state:         clean") && !features.contains("needs_recovery"), "{header}");
    judge("fsck.fat", &["-n", esp.to_str().unwrap()]).unwrap();
}
