//! The docker host from power-on to power-off. The docker client starts containers over the network, all processes are confined as
//! documented, a desk reaches the host with hostctl, a reboot keeps all state, and the disks are clean after power-off. One machine boots twice.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "docker_host/confined.rs"]
mod confined;
#[path = "docker_host/remote.rs"]
mod remote;

use berth_contract::container_state::ContainerState;
use berth_contract::control::{HostState, ServiceState};
use berth_contract::host_config::HostConfig;
use common::{LIMIT, build, docker, get, machine, output, partition, pki, sectors, tool};
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

/// Runs hostctl on the host.
fn hostctl(control: &mut berth_control::Client, words: &[&str]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let mut lines = Vec::new();
    let take = |line: berth_contract::control::LogLine| {
        lines.push(line.text);
        Ok::<_, berth_control::ClientError>(())
    };
    control.run(&words, take).unwrap();
    lines
}

#[test]
fn a_docker_host_runs_containers_keeps_them_over_a_reboot_and_powers_off_clean() {
    let image = output(&build(), ".raw");
    let pki = pki();
    let desk = remote::Desk::new();
    let mut config = pki.serve(toml::from_str::<HostConfig>(CONTAINERS).unwrap());
    config.remote = Some(desk.config());
    let mut description = machine("docker-host", Some(image));
    description.host_config = Some(toml::to_string(&config).unwrap());
    description.forwards = vec![(0, 2376), (0, 8080), (0, 8081), remote::FORWARD];
    description.disk_size = Some(4 << 30);
    // Open the network only because QEMU's DHCP server otherwise sends no router and no name server. The guest uses neither.
    description.reach_out = true;
    let mut vm = description.start().unwrap();
    let certificates = vm.folder().join("docker");
    pki.write_client(&certificates).unwrap();
    vm.wait_ready(LIMIT).unwrap();

    // The status, services and boot times that the host reports.
    let mut control = vm.control(Duration::from_secs(30)).unwrap();
    let status = control.status().unwrap();
    assert_eq!((status.state, status.problems.as_slice()), (HostState::Running, &[][..]));
    assert_eq!((status.hostname.as_str(), status.config.source.as_deref()), ("node-1", Some("fw_cfg")));
    assert!(status.engine.as_ref().is_some_and(|engine| engine.ready));
    assert!(status.var.persistent && status.var.size > 3 << 29, "/var grew to the disk's end: {:?}", status.var);
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
    assert!(said.contains("ready after"), "the console has no line that the host is ready: {said}");
    let mut log = Vec::new();
    let line = |line: berth_contract::control::LogLine| {
        log.push(line.text);
        Ok::<_, berth_control::ClientError>(())
    };
    control.logs("dockerd", false, line).unwrap();
    assert!(log.iter().any(|line| line.contains("API listen on")), "{log:?}");
    assert!(control.logs("nothing", false, |_| Ok::<_, berth_control::ClientError>(())).is_err());

    // The docker client connects to the guest's TLS listener.
    let run = docker(&vm, &certificates, &["run", "--rm", "hello"]).unwrap();
    assert!(run.contains("Hello from Berth"), "{run}");
    docker(&vm, &certificates, &["run", "--rm", "-v", "notes:/data", "hello", "write", "/data/note", "kept"]).unwrap();
    let stranger = common::pki();
    let other = vm.folder().join("stranger");
    stranger.write_client(&other).unwrap();
    std::fs::write(other.join("ca.pem"), &pki.ca).unwrap();
    docker(&vm, &other, &["ps"]).expect_err("a client with a certificate of another authority must be refused");

    // The output of a container that has ended, and stored lines of services.
    docker(&vm, &certificates, &["run", "--name", "said", "hello"]).unwrap();
    let said = hostctl(&mut control, &["logs", "container:said"]);
    assert!(said.iter().any(|line| line.starts_with("20") && line.contains("Hello from Berth")), "{said:?}");
    docker(&vm, &certificates, &["rm", "said"]).unwrap();
    let stored = hostctl(&mut control, &["logs", "--since", "1h", "dockerd"]);
    assert!(stored.iter().any(|line| line.contains(" dockerd: ") && line.contains("API listen on")), "{stored:?}");

    // Container networks and resource limits.
    assert!(get(&vm, 8080, "/").unwrap().contains("Hello"), "a published port is answered");
    let limits = get(&vm, 8080, "/limits").unwrap();
    assert!(limits.contains("67108864") && limits.contains("50000 100000"), "{limits}");
    let on_host = get(&vm, 8081, "/net").unwrap();
    assert!(on_host.contains("docker0"), "the host's own interfaces: {on_host}");
    let alone = docker(&vm, &certificates, &["exec", "alone", "/hello", "net"]).unwrap();
    assert_eq!(alone.split_whitespace().collect::<Vec<_>>(), ["lo"]);

    confined::check(&vm, &certificates);
    desk.check(&vm, &mut control);

    // A reboot keeps the machine id, the containers and the volume.
    let before = vm.console().text().len();
    desk.reboot();
    // Close the connection: the control port serves one client at a time.
    drop(control);
    vm.wait_for_text("ready after", before, LIMIT).unwrap();
    vm.wait_ready(LIMIT).unwrap();
    desk.wait();
    let mut control = vm.control(Duration::from_secs(30)).unwrap();
    let again = control.status().unwrap();
    let before = hostctl(&mut control, &["logs", "--boot", "-1", "init"]);
    for word in ["going down: hostctl reboot", "dockerd stopped", "netd stopped"] {
        assert!(before.iter().any(|line| line.contains(word)), "the end of the shutdown is stored: {word}: {before:?}");
    }
    drop(control);
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

    // Press the power button. After the shutdown the disk must be clean.
    vm.monitor().unwrap().press_power_button().unwrap();
    vm.wait_for_end(LIMIT).unwrap();
    let (flat, esp, layer) = (vm.folder().join("flat.raw"), vm.folder().join("esp"), vm.folder().join("disk.qcow2"));
    tool("qemu-img", &["convert", "-O", "raw", layer.to_str().unwrap(), flat.to_str().unwrap()]).unwrap();
    assert!(tool("sgdisk", &["-v", flat.to_str().unwrap()]).unwrap().contains("No problems found"));
    partition(&flat, 1, &esp).unwrap();
    let var = format!("{}?offset={}", flat.display(), sectors(&flat, 6).unwrap().0 * 512);
    tool("e2fsck", &["-fn", &var]).unwrap();
    let header = tool("dumpe2fs", &["-h", &var]).unwrap();
    let features = header.lines().find(|line| line.starts_with("Filesystem features:")).unwrap();
    assert!(header.contains("Filesystem state:         clean") && !features.contains("needs_recovery"), "{header}");
    tool("fsck.fat", &["-n", esp.to_str().unwrap()]).unwrap();
}
