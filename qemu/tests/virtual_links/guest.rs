//! The guest's part: the test program itself runs as PID 1 of a virtual machine. It loads modules, starts netd, and asks ip(8), wg(8) and
//! the kernel what netd has made. If it panics, the kernel panics.

use crate::common::initrd::MODULES;
use rustix::{
    mount::{MountFlags, mount},
    process::{Pid, Signal, kill_process},
    system::{RebootCommand, finit_module, reboot},
};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::Write,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

/// Modules of the links, and the cable's.
pub(crate) const WANTED: [&str; 7] = ["veth", "bonding", "8021q", "bridge", "dummy", "wireguard", "vxlan"];
/// The last line of the console.
pub(crate) const END: &str = "virtual links: end\n";
/// The file that netd reads.
const SETTINGS: &str = "/run/netd.json";

/// Keys that `wg genkey` and `wg pubkey` printed.
const PRIVATE: &str = "eE6WDE+sZmffhgW4dCVNaWivU42i0eWZbISCIKAmblU=";
const PUBLIC: &str = "Mc0vz4OEz6L3ReKag5o9bIFVZRPS9BRIVnME3xGGSzo=";
const PEER: &str = "tGYDny2RMT2Jl89loSXSX+BhzD8qdwZPRDgrvi1AvyU=";
const SHARED: &str = "mfvnz8rdLDZQUo1DRJZMTUHKtnZQZbKYxcP+ZpwF4B4=";

/// Each mode of a bond with keys of its own, and words that the kernel then shows.
const MODES: [(&str, &[&str]); 8] = [
    ("mode = 'balance-rr'", &["load balancing (round-robin)", "MII Polling Interval (ms): 100"]),
    ("mode = 'active-backup'\nprimary = 'e1'\nfail_over_mac = 'active'", &["fault-tolerance", "Primary Slave: e1"]),
    // The primary port is changed in place.
    ("mode = 'active-backup'\nprimary = 'e0'\nfail_over_mac = 'active'", &["fault-tolerance", "Primary Slave: e0"]),
    ("mode = 'balance-xor'\nhash_policy = 'layer2+3'", &["(xor)", "layer2+3"]),
    ("mode = 'broadcast'\narp_interval = 500\narp_targets = ['10.1.0.9']", &["(broadcast)", "10.1.0.9"]),
    ("mode = '802.3ad'\nad_select = 'bandwidth'\nlacp_rate = 'fast'", &["802.3ad", "LACP rate: fast", "bandwidth"]),
    ("mode = 'balance-tlb'\nmiimon = 50\nup_delay = 100", &["transmit load", "(ms): 50", "Up Delay (ms): 100"]),
    ("mode = 'balance-alb'", &["adaptive load"]),
];

/// The files of the settings, in their order, as host.toml.
pub(crate) fn settings() -> Vec<(String, String)> {
    let mut all = vec![("/1.json".to_owned(), everything(10, 25)), ("/2.json".to_owned(), everything(11, 30))];
    all.push(("/3.json".to_owned(), with_many_networks()));
    for (number, (keys, _)) in MODES.iter().enumerate() {
        let text =
            format!("[[network.bond]]\nname = 'bond0'\nlinks = ['e0', 'e1']\naddresses = ['10.1.0.1/24']\n{keys}");
        all.push((format!("/mode{number}.json"), text));
    }
    all.push(("/none.json".to_owned(), String::new()));
    all
}

fn everything(vlan: u16, keepalive: u16) -> String {
    format!(
        "[[network.bond]]
        name = 'bond0'
        links = ['e*']
        mode = '802.3ad'
        hash_policy = 'layer3+4'
        min_links = 1
        addresses = ['10.1.0.1/24']
        mtu = 1400
        [[network.vlan]]
        name = 'vlan10'
        id = {vlan}
        link = 'bond0'
        addresses = ['10.2.0.1/24']
        gateway = ['10.2.0.254']
        [[network.dummy]]
        name = 'dummy0'
        addresses = ['10.3.0.1/32', 'fd00:3::1/128']
        [[network.vxlan]]
        name = 'vx0'
        id = 77
        local = 'fd00:3::1'
        remote = 'fd00:3::2'
        [[network.bridge]]
        name = 'br0'
        links = ['vx0']
        vlan_filtering = true
        default_vlan = 7
        addresses = ['10.5.0.1/24']
        [[network.wireguard]]
        name = 'wg0'
        private_key = '{PRIVATE}'
        listen_port = 51820
        addresses = ['10.4.0.1/24']
        routes = [{{ to = '10.40.0.0/16' }}]
        [[network.wireguard.peers]]
        public_key = '{PEER}'
        preshared_key = '{SHARED}'
        endpoint = '10.3.0.9:51821'
        allowed_ips = ['10.4.0.2/32', '10.40.0.0/16', 'fd00::/16']
        keepalive = {keepalive}
        "
    )
}

/// The peer has as many networks as the settings allow; ports and endpoint are left to the kernel.
fn with_many_networks() -> String {
    let networks: Vec<_> = (0..1000).map(|number| format!("'fd00:{number:x}::/32'")).collect();
    let old = "'10.4.0.2/32', '10.40.0.0/16', 'fd00::/16'";
    let kept = |line: &&str| !line.contains("listen_port") && !line.contains("endpoint");
    let text = everything(11, 30).replace(old, &networks.join(", "));
    text.lines().filter(kept).map(|line| format!("{line}\n")).collect()
}

/// Runs all checks and powers the machine off. Does not return.
pub(crate) fn main() {
    for (kind, path) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        mount(kind, path, kind, MountFlags::empty(), None).unwrap();
    }
    for path in fs::read_to_string(MODULES).unwrap().lines() {
        finit_module(File::open(path).unwrap(), c"", 0).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    for number in ["0", "1"] {
        ip(&["link", "add", &format!("e{number}"), "type", "veth", "peer", "name", &format!("f{number}")]);
        ip(&["link", "set", &format!("f{number}"), "up"]);
    }
    fs::copy("/1.json", SETTINGS).unwrap();
    let arguments = ["--directory", "/run/netd", "--settings", SETTINGS, "--interface", "e0", "--interface", "e1"];
    let mut netd = Command::new("/netd").args(arguments).spawn().unwrap();
    all_kinds();
    a_change(&netd);
    all_modes(&netd);
    reload(&netd, "/none.json");
    wait_for("the links to go", || link("bond0").is_null());
    netd.kill().unwrap();
    netd.wait().unwrap();
    std::io::stderr().write_all(END.as_bytes()).unwrap();
    reboot(RebootCommand::PowerOff).unwrap();
}

fn all_kinds() {
    wait_for("all links", || {
        ip(&["route"]).contains("default via 10.2.0.254 dev vlan10") && link("vx0")["master"] == "br0"
    });
    wait_for("the ports", || link("e0")["master"] == "bond0" && link("e1")["master"] == "bond0");
    let data = |name: &str, key: &str| link(name)["linkinfo"]["info_data"][key].clone();
    assert_eq!(data("bond0", "mode"), "802.3ad");
    assert_eq!((data("bond0", "xmit_hash_policy"), data("bond0", "min_links")), ("layer3+4".into(), 1.into()));
    assert_eq!((link("bond0")["mtu"].clone(), link("e1")["mtu"].clone()), (1400.into(), 1400.into()));
    assert_eq!((data("vlan10", "id"), link("vlan10")["link"].clone()), (10.into(), "bond0".into()));
    assert_eq!((data("br0", "vlan_filtering"), data("br0", "vlan_default_pvid")), (1.into(), 7.into()));
    assert_eq!((data("vx0", "id"), data("vx0", "remote6")), (77.into(), "fd00:3::2".into()));
    let addresses = ip(&["-br", "addr", "show", "dev", "dummy0"]);
    assert!(addresses.contains("10.3.0.1/32") && addresses.contains("fd00:3::1/128"), "{addresses}");
    assert!(ip(&["route"]).contains("10.40.0.0/16 dev wg0 proto static scope link"));
    let wg = run("/wg", &["show", "wg0", "dump"]);
    assert!(wg.starts_with(&format!("{PRIVATE}\t{PUBLIC}\t51820\toff\n{PEER}\t{SHARED}\t10.3.0.9:51821\t")), "{wg}");
    assert!(wg.contains("10.4.0.2/32,10.40.0.0/16,fd00::/16") && wg.trim_end().ends_with("\t25"), "{wg}");
}

/// The VLAN is made again, the WireGuard link is changed, and the others are not touched.
fn a_change(netd: &Child) {
    let numbers = || ["bond0", "br0", "dummy0", "wg0", "vx0"].map(|name| link(name)["ifindex"].clone());
    let before = numbers();
    reload(netd, "/2.json");
    wait_for("the new VLAN", || link("vlan10")["linkinfo"]["info_data"]["id"] == 11);
    wait_for("the new peer", || run("/wg", &["show", "wg0", "persistent-keepalive"]).trim_end().ends_with("\t30"));
    wait_for("the VLAN's address", || ip(&["addr", "show", "dev", "vlan10"]).contains("10.2.0.1/24"));
    assert_eq!(numbers(), before);
    reload(netd, "/3.json");
    wait_for("1000 networks", || run("/wg", &["show", "wg0", "allowed-ips"]).matches("/32").count() == 1000);
    let wg = run("/wg", &["show", "wg0", "dump"]);
    assert!(!wg.contains("\t51820\t") && wg.contains(&format!("{PEER}\t{SHARED}\t(none)\t")), "{}", &wg[..300]);
    assert_eq!(numbers(), before);
}

fn all_modes(netd: &Child) {
    for (number, (keys, words)) in MODES.iter().enumerate() {
        reload(netd, &format!("/mode{number}.json"));
        let shown = || fs::read_to_string("/proc/net/bonding/bond0").unwrap_or_default();
        let is_there = || {
            let text = shown();
            words.iter().all(|word| text.contains(word)) && text.matches("Slave Interface: e").count() == 2
        };
        wait_for(keys, is_there);
        wait_for("its address", || ip(&["addr", "show", "dev", "bond0"]).contains("10.1.0.1/24"));
    }
    assert!(link("vlan10").is_null() && link("wg0").is_null() && link("br0").is_null());
}

fn reload(netd: &Child, settings: &str) {
    fs::copy(settings, SETTINGS).unwrap();
    kill_process(Pid::from_child(netd), Signal::HUP).unwrap();
}

/// What ip(8) says about a link; null if it does not exist.
fn link(name: &str) -> Value {
    let all: Value = serde_json::from_str(&ip(&["-j", "-d", "link", "show"])).unwrap();
    all.as_array().unwrap().iter().find(|link| link["ifname"] == name).cloned().unwrap_or_default()
}

fn ip(arguments: &[&str]) -> String {
    run("/ip", arguments)
}

/// The output of a program. Empty if it fails: a link may be gone.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !condition() {
        let state = || ip(&["-br", "addr"]) + &fs::read_to_string("/run/netd/status.json").unwrap_or_default();
        assert!(Instant::now() < end, "not within 60 s: {what}\n{}", state());
        thread::sleep(Duration::from_millis(100));
    }
}
