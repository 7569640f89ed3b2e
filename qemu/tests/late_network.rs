//! A docker host that starts with a clock of 2001 and without a network, which comes later. Containers end up as if it had been there
//! first. One machine boots twice; at the second boot the network is there first.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "late_network/site.rs"]
mod site;

use anyhow::Result;
use berth_contract::{
    container_state::ContainerState, control::StatusReport, host_config::HostConfig, time_config::ServerOrigin,
};
use berth_qemu::machine::{Machine, Wire};
use common::{LIMIT, build, docker_at, get_at, machine, output, pki, tool};
use site::{HERE, MACHINE, Site, TAP};
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const CONTAINERS: &str = r#"
[[container]]
name = "names"
image = "hello"
command = ["serve", "80"]
required = false

[[container]]
name = "own-address"
image = "hello"
command = ["serve", "80"]
ports = ["10.78.0.100:8080:80"]
required = false
"#;
/// How long the machine is paused.
const PAUSE: Duration = Duration::from_secs(20);
/// Nodes that load their module when they are opened, of the modules of the cloud kernel.
const NODES: [&str; 6] = ["net/tun", "fuse", "loop-control", "vhost-net", "vhost-vsock", "vfio/vfio"];

#[test]
fn a_network_that_comes_after_the_engine_is_as_good_as_one_that_was_there_first() {
    let mut site = Site::new();
    let pki = pki();
    let config = pki.serve(toml::from_str::<HostConfig>(CONTAINERS).unwrap());
    let mut description = machine("late-network", Some(output(&build(), ".raw")));
    description.host_config = Some(toml::to_string(&config).unwrap());
    description.wire = Some(Wire { namespace: site.namespace.clone(), tap: TAP.to_owned() });
    description.clock = Some("2001-01-01T00:00:00".to_owned());
    let mut vm = description.start().unwrap();
    vm.monitor().unwrap().ask("set_link net0 off").unwrap();
    let certificates = vm.folder().join("docker");
    pki.write_client(&certificates).unwrap();
    let port = site.forward(2376).unwrap();
    let docker = |words: &[&str]| docker_at(port, &certificates, words);

    vm.wait_ready(LIMIT).unwrap();
    let state = |status: &StatusReport, name: &str| {
        status.containers.iter().find(|one| one.name == name).map(|one| one.state.clone())
    };
    let status = status_of(&vm);
    assert!(status.network.as_ref().is_some_and(|network| network.dns.is_empty()), "{:?}", status.network);
    assert_eq!(state(&status, "own-address"), Some(ContainerState::Failed), "its address does not exist yet");
    assert!(vm.console().text().contains("clock: expected"), "{}", vm.console().text());

    let folder = vm.folder().to_owned();
    site.open(&folder);
    vm.monitor().unwrap().ask("set_link net0 on").unwrap();
    vm.wait_until("the container on the host's own address", LIMIT, |vm| {
        state(&status_of(vm), "own-address") == Some(ContainerState::Running)
    })
    .unwrap();
    assert!(get_at(site.forward(8080).unwrap(), "/").unwrap().contains("Hello"));
    let resolver = |name: &str| docker(&["exec", name, "/hello", "cat", "/etc/resolv.conf"]).unwrap();
    for name in ["names", "own-address"] {
        let text = resolver(name);
        assert!(text.contains(&format!("nameserver {HERE}\n")) && !text.contains("8.8"), "{name}: {text}");
    }
    // The time server was asked: a clock of the image's date would refuse the client's certificate.
    assert!(docker(&["info", "--format", "{{.SystemTime}}"]).is_ok());
    the_clock_follows_the_server(&mut vm, &docker);
    nodes_load_their_modules(&docker);
    programs_of_the_engine_are_there(&docker, &folder);

    let before = vm.console().text().len();
    vm.control(Duration::from_secs(30)).unwrap().reboot().unwrap();
    vm.wait_for_text("ready after", before, LIMIT).unwrap();
    vm.wait_ready(LIMIT).unwrap();
    assert!(resolver("names").contains(HERE));
    // The kernel has written the hardware clock, which was at 2001.
    let text = vm.console().text();
    assert!(!text[before..].contains("clock: expected"), "{}", &text[before..]);
    // DHCP says MTU 1400.
    assert_eq!(docker(&["exec", "names", "/hello", "cat", "/sys/class/net/eth0/mtu"]).unwrap().trim(), "1400");
    let status = status_of(&vm);
    let addresses = &status.network.as_ref().unwrap().interfaces[0].addresses;
    assert!(addresses.contains(&format!("{MACHINE}/24")), "{addresses:?}");
}

fn status_of(vm: &Machine) -> StatusReport {
    vm.control(Duration::from_secs(30)).unwrap().status().unwrap()
}

/// ntpd-rs follows chrony, and corrects the clock of a machine that was paused.
fn the_clock_follows_the_server(vm: &mut Machine, docker: &impl Fn(&[&str]) -> Result<String>) {
    let time = |vm: &Machine| status_of(vm).time.unwrap_or_default();
    vm.wait_until("the clock to follow the server", LIMIT, |vm| time(vm).synchronised).unwrap();
    let found = time(vm);
    assert_eq!((found.origin, found.stratum), (Some(ServerOrigin::Dhcp), Some(6)), "{found:?}");
    assert_eq!(found.source, Some(format!("{HERE}:123")));

    vm.monitor().unwrap().ask("stop").unwrap();
    // The machine's clock stands still, so that it is behind afterwards.
    thread::sleep(PAUSE);
    vm.monitor().unwrap().ask("cont").unwrap();
    assert!(!is_right(docker), "the machine was paused");
    vm.wait_until("the clock to be right again", LIMIT, |_| is_right(docker)).unwrap();
}

/// Whether the machine's clock is that of this computer, within a few seconds.
#[expect(clippy::disallowed_methods, reason = "the machine's clock is compared with this computer's")]
fn is_right(docker: &impl Fn(&[&str]) -> Result<String>) -> bool {
    let told = docker(&["info", "--format", "{{.SystemTime}}"]).unwrap();
    let seconds = tool("date", &["-d", told.trim(), "+%s"]).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().abs_diff(seconds.trim().parse().unwrap()) < PAUSE.as_secs() / 2
}

fn nodes_load_their_modules(docker: &impl Fn(&[&str]) -> Result<String>) {
    let devices = NODES.map(|name| format!("--device=/dev/{name}"));
    let mut words = vec!["run", "--rm"];
    words.extend(devices.iter().map(String::as_str));
    words.push("hello");
    docker(&words).unwrap();
    // A tun device without an interface cannot be read: EBADFD, 77. Without its module the error would be ENODEV.
    let error =
        docker(&["run", "--rm", "--device=/dev/net/tun", "hello", "cat", "/dev/net/tun"]).unwrap_err().to_string();
    assert!(error.contains("os error 77"), "{error}");
}

fn programs_of_the_engine_are_there(docker: &impl Fn(&[&str]) -> Result<String>, folder: &Path) {
    let top = docker(&["top", "names"]).unwrap();
    assert!(top.contains("/hello serve 80"), "{top}");
    let context = folder.join("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("inside"), "unpacked").unwrap();
    let path = |name: &str| context.join(name).display().to_string();
    tool("tar", &["-C", &path(""), "-cJf", &path("x.tar.xz"), "inside"]).unwrap();
    fs::write(context.join("Dockerfile"), "FROM hello\nADD x.tar.xz /added/\n").unwrap();
    docker(&["build", "-q", "-t", "added", &path("")]).unwrap();
    assert_eq!(docker(&["run", "--rm", "added", "cat", "/added/inside"]).unwrap(), "unpacked");
}
