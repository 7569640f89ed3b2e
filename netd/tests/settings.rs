//! netd with the settings of host.toml. Each test makes two network namespaces and checks the result with ip(8). Needs root and the
//! programs that ci/setup installs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use kit::{Cable, Process, ip, notified, wait_for};
use serde_json::Value;
use std::{fs, process::Command};

const STATIC: &str = r#"
[[network.link]]
match = { name = "c?" }
addresses = ["10.77.0.10/24", "fd00:77::10/64"]
gateway = ["10.77.0.1", "fd00:77::1"]
routes = [
    { to = "198.51.100.0/24", via = "10.77.0.2", metric = 100 },
    { to = "10.9.0.0/16", via = "192.0.2.1", table = 100 },
]
rules = [{ from = "10.77.0.10", table = 100, priority = 50 }, { mark = 7, table = 300 }]
mtu = 1400
metric = 50
dns = ["10.77.0.53"]
search = ["lan.example"]
router_advertisements = false

[[network.link]]
match = { name = "*" }
addresses = ["10.99.0.1/24"]
"#;

fn routes(cable: &Cable, arguments: &[&str]) -> Vec<(String, String, u64, String)> {
    let text = |route: &Value, key: &str| route[key].as_str().unwrap_or_default().to_owned();
    let all = cable.ip_json(&[arguments, &["route", "show"]].concat());
    let one = |route: &Value| {
        let metric = route["metric"].as_u64().unwrap_or(0);
        (text(route, "dst"), text(route, "gateway"), metric, text(route, "protocol"))
    };
    all.iter().map(one).collect()
}

fn has(routes: &[(String, String, u64, String)], wanted: (&str, &str, u64, &str)) -> bool {
    routes.iter().any(|(to, via, metric, origin)| (to.as_str(), via.as_str(), *metric, origin.as_str()) == wanted)
}

/// Lines of `ip monitor`, which shows every change of the kernel.
fn monitor(cable: &Cable) -> Process {
    let command = format!("echo ready >&2; exec ip -n {} monitor address route rule link >&2", cable.client);
    let monitor = Process::start(Command::new("sh").args(["-c", &command]));
    wait_for("ip monitor", 5, || monitor.said().contains("ready"));
    monitor
}

#[test]
fn static_settings_are_applied_and_a_reload_changes_only_the_difference() {
    let cable = Cable::new("s");
    cable.server_link("up");
    cable.settings(STATIC);
    let (netd, _notify) = cable.netd();
    wait_for("the status with the addresses", 10, || cable.file("status.json").contains("fd00:77::10/64"));
    let link = &cable.ip_json(&["addr", "show", "dev", "c0"])[0];
    assert_eq!(link["mtu"], 1400);
    let lives: Vec<_> = link["addr_info"].as_array().unwrap().iter().filter(|a| a["scope"] == "global").collect();
    assert_eq!(lives.len(), 2, "{lives:?}");
    assert!(lives.iter().all(|a| a["valid_life_time"] == u32::MAX), "{lives:?}");
    let four = routes(&cable, &["-4"]);
    assert!(has(&four, ("default", "10.77.0.1", 50, "static")), "{four:?}");
    assert!(has(&four, ("198.51.100.0/24", "10.77.0.2", 100, "static")), "{four:?}");
    assert!(has(&four, ("10.77.0.0/24", "", 50, "kernel")), "{four:?}");
    assert!(has(&routes(&cable, &["-6"]), ("default", "fd00:77::1", 50, "static")));
    let table = ip(&["-n", &cable.client, "route", "show", "table", "100"]);
    assert!(table.contains("10.9.0.0/16 via 192.0.2.1 dev c0") && table.contains("onlink"), "{table}");
    let rules = ip(&["-n", &cable.client, "rule", "show"]);
    assert!(rules.contains("50:\tfrom 10.77.0.10 lookup 100 proto static"), "{rules}");
    assert!(rules.contains("1000:\tfrom all fwmark 0x7 lookup 300 proto static"), "{rules}");
    let six = ip(&["-n", &cable.client, "-6", "rule", "show"]);
    assert!(six.contains("fwmark 0x7 lookup 300") && !six.contains("lookup 100"), "{six}");
    assert_eq!(cable.file("resolv.conf"), "# Written by netd.\nnameserver 10.77.0.53\nsearch lan.example\n");
    let accept = ip(&["netns", "exec", &cable.client, "cat", "/proc/sys/net/ipv6/conf/c0/accept_ra"]);
    assert_eq!(accept, "0\n");
    let status = cable.status();
    assert_eq!(
        (&status["interfaces"][0]["gateway"], &status["rules"][0]["priority"]),
        (&"10.77.0.1".into(), &50.into())
    );

    // Another program's settings, which netd must leave alone.
    ip(&["-n", &cable.client, "addr", "add", "10.88.0.1/24", "dev", "c0"]);
    ip(&["-n", &cable.client, "route", "add", "203.0.113.0/24", "via", "10.77.0.3"]);
    ip(&["-n", &cable.client, "rule", "add", "from", "10.88.0.1", "lookup", "200", "priority", "60"]);
    let monitor = monitor(&cable);
    let changed = STATIC.replace("via = \"10.77.0.2\"", "via = \"10.77.0.4\"").replace("10.77.0.53", "10.77.0.54");
    cable.settings(&changed.replace("priority = 50", "priority = 51"));
    netd.reload();
    wait_for("the new route", 5, || has(&routes(&cable, &["-4"]), ("198.51.100.0/24", "10.77.0.4", 100, "static")));
    wait_for("the old rule to go", 5, || !ip(&["-n", &cable.client, "rule", "show"]).contains("50:"));
    wait_for("the new name server", 5, || cable.file("resolv.conf").contains("nameserver 10.77.0.54\n"));
    let said = monitor.said();
    assert_eq!(said.matches("198.51.100.0/24").count(), 2, "added and removed: {said}");
    assert!(!said.contains("default") && !said.contains("10.77.0.10/24") && !said.contains("fd00:77"), "{said}");
    assert!(!said.contains("203.0.113.0") && !said.contains("lookup 200") && !said.contains("10.88.0.1"), "{said}");

    // A broken file changes nothing, and the report says so.
    fs::write(cable.dir.path().join("netd.json"), "{\"network\":{\"link\":[{}]}}").unwrap();
    netd.reload();
    wait_for("the fault in the report", 5, || {
        cable.status()["errors"][0].as_str().is_some_and(|e| e.contains("match"))
    });
    assert!(cable.has_address("10.77.0.10"));

    // A new process takes the state over, and removes what the settings do not contain any more.
    cable.settings(
        &STATIC.replace("\"10.77.0.10/24\", ", "").replace("{ to = \"198.51.100.0/24\"", "{ to = \"198.51.101.0/24\""),
    );
    drop(netd);
    assert!(cable.has_address("10.77.0.10"), "without netd the network stays as it is");
    let (netd, _notify) = cable.netd_again();
    wait_for("the old address to go", 10, || !cable.has_address("10.77.0.10"));
    wait_for("the new route", 5, || has(&routes(&cable, &["-4"]), ("198.51.101.0/24", "10.77.0.2", 100, "static")));
    assert!(!has(&routes(&cable, &["-4"]), ("198.51.100.0/24", "10.77.0.2", 100, "static")));
    assert!(cable.has_address("10.88.0.1"));
    assert_eq!(netd.count("cannot"), 0, "{}", netd.said());

    // Without settings: DHCP, and nothing static.
    cable.settings("");
    netd.reload();
    wait_for("the static settings to go", 5, || {
        !routes(&cable, &["-4"]).iter().any(|(.., origin)| origin == "static")
            && !cable.file("status.json").contains("fd00:77::10")
    });
    let _server = cable.dnsmasq(&["--dhcp-range=10.77.0.70,10.77.0.70,255.255.255.0,120"]);
    wait_for("a lease", 20, || cable.has_address("10.77.0.70"));
    // The same address, now static: it has no end any more.
    let lives = || {
        let all = cable.addresses();
        all.iter().find(|a| a["local"] == "10.77.0.70").and_then(|a| a["valid_life_time"].as_u64())
    };
    assert!(lives() <= Some(120), "{:?}", cable.addresses());
    cable.settings("[[network.link]]\nmatch = { name = \"c0\" }\naddresses = [\"10.77.0.70/24\"]");
    netd.reload();
    wait_for("the address without an end", 5, || lives() == Some(u32::MAX.into()));
}

/// Values that the kernel lists in another form. netd must not set them again for ever.
#[test]
fn nothing_is_changed_once_the_settings_are_in_force() {
    let cable = Cable::new("q");
    cable.server_link("up");
    cable.settings(
        r#"
        [[network.link]]
        match = { name = "c0" }
        addresses = ["10.77.0.10/24", "fd00:77::10/64"]
        gateway = ["10.77.0.1", "fd00:77::1"]
        routes = [{ to = "fd00:99::/64", via = "fd00:77::2", metric = 0 }, { to = "10.9.0.0/16", metric = 0 }]
        rules = [{ mark = 0, table = 300 }, { from = "0.0.0.0/0", to = "10.0.0.0/8", table = 301 }]
        metric = 0
        mtu = 1400
        "#,
    );
    let (netd, _notify) = cable.netd();
    let six = || routes(&cable, &["-6"]);
    wait_for("the routes", 10, || has(&six(), ("fd00:99::/64", "fd00:77::2", 1024, "static")));
    assert!(has(&six(), ("default", "fd00:77::1", 1024, "static")), "{:?}", six());
    wait_for("the rules", 5, || ip(&["-n", &cable.client, "rule", "show"]).contains("lookup 301"));
    let tentative = || ip(&["-n", &cable.client, "addr", "show", "dev", "c0", "tentative"]);
    let is_up = || ip(&["-n", &cable.client, "addr", "show", "dev", "c0"]).contains("fe80");
    wait_for("the end of the check for duplicates", 10, || is_up() && !tentative().contains("inet6"));
    let monitor = monitor(&cable);
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(monitor.said().trim(), "ready");

    // Without `mtu` the link has its own again. A card that no table matches is still shown.
    let mtu = || cable.ip_json(&["link", "show", "dev", "c0"])[0]["mtu"].as_u64();
    assert_eq!(mtu(), Some(1400));
    cable.settings("[[network.link]]\nmatch = { name = \"c0\" }\naddresses = [\"10.77.0.10/24\"]");
    netd.reload();
    wait_for("the first MTU", 5, || mtu() == Some(1500));
    cable.settings("[[network.link]]\nmatch = { name = \"other\" }\naddresses = [\"10.77.0.10/24\"]");
    netd.reload();
    wait_for("the address to go", 5, || !cable.has_address("10.77.0.10"));
    wait_for("the card in the report", 5, || {
        let status = cable.status();
        status["links"][0]["name"] == "c0"
            && status["links"][0]["port_of"].is_null()
            && status["interfaces"][0].is_null()
    });
    assert_eq!(netd.count("cannot"), 0, "{}", netd.said());
}

#[test]
fn an_address_that_another_host_has_is_reported_and_used_when_it_is_free() {
    let cable = Cable::new("d");
    cable.server_link("up");
    ip(&["-n", &cable.server, "addr", "add", "fd00:77::10/64", "dev", "s0", "nodad"]);
    cable.settings("[[network.link]]\nmatch = { name = \"c0\" }\naddresses = [\"fd00:77::10/64\"]");
    let (_netd, _notify) = cable.netd();
    let error = "fd00:77::10/64: expected an address of this host only, found another host that has it";
    wait_for("the fault", 10, || cable.status()["errors"][0] == error);
    ip(&["-n", &cable.server, "addr", "del", "fd00:77::10/64", "dev", "s0"]);
    wait_for("the address", 20, || cable.status()["links"][0]["addresses"].to_string().contains("fd00:77::10/64"));
    wait_for("the fault to go", 5, || cable.status()["errors"][0].is_null());
}

/// Two links: the metric says which is preferred, and the other takes over. One of them appears later.
#[test]
fn several_links_have_metrics_and_their_own_name_servers() {
    let cable = Cable::new("m");
    cable.server_link("up");
    cable.settings(
        r#"
        [[network.link]]
        match = { name = "c0" }
        addresses = ["10.77.0.10/24"]
        gateway = ["10.77.0.1"]
        dns = ["10.77.0.53"]
        metric = 200
        [[network.link]]
        match = { name = "c1", mac = "02:00:00:00:00:77" }
        dhcp = "v4"
        metric = 100
        search = ["one.example"]
        [dns]
        options = ["timeout:1"]
        "#,
    );
    let (_netd, notify) = cable.netd();
    assert_eq!(notified(&notify, 8), "READY=1\nSTATUS=c0 10.77.0.10/24", "a static address does not wait");
    assert!(has(&routes(&cable, &["-4"]), ("default", "10.77.0.1", 200, "static")));

    let add = ["link", "add", "s1", "type", "veth", "peer", "name", "c1", "address", "02:00:00:00:00:77"];
    ip(&[&["-n", &cable.server][..], &add, &["netns", &cable.client]].concat());
    ip(&["-n", &cable.server, "link", "add", "bridge0", "type", "bridge"]);
    ip(&["-n", &cable.server, "link", "set", "bridge0", "up"]);
    for port in ["s0", "s1"] {
        ip(&["-n", &cable.server, "link", "set", port, "master", "bridge0", "up"]);
    }
    ip(&["-n", &cable.server, "addr", "add", "10.77.0.1/24", "dev", "bridge0"]);
    let _server = cable.dnsmasq(&[
        "--interface=bridge0",
        "--dhcp-range=10.77.0.71,10.77.0.71,255.255.255.0,120",
        "--dhcp-option=option:router,10.77.0.1",
        "--dhcp-option=option:dns-server,10.77.0.1",
        "--dhcp-option=option:domain-name,leased.example",
    ]);
    wait_for("the second default route", 20, || has(&routes(&cable, &["-4"]), ("default", "10.77.0.1", 100, "dhcp")));
    let first =
        "# Written by netd.\nnameserver 10.77.0.1\nnameserver 10.77.0.53\nsearch one.example\noptions timeout:1\n";
    wait_for("both name servers", 5, || cable.file("resolv.conf") == first);
    let get = || ip(&["-n", &cable.client, "route", "get", "192.0.2.9"]);
    assert!(get().contains("dev c1"), "{}", get());
    ip(&["-n", &cable.server, "link", "set", "s1", "down"]);
    wait_for("the other link to take over", 5, || get().contains("dev c0"));
    wait_for("its name server alone", 5, || !cable.file("resolv.conf").contains("nameserver 10.77.0.1\n"));
}

/// Bridges and VXLANs, which every kernel of a test machine has. `qemu/tests` has the other kinds.
#[test]
fn virtual_links_are_made_changed_and_removed_and_others_are_left_alone() {
    let cable = Cable::new("b");
    cable.server_link("up");
    ip(&["-n", &cable.client, "link", "add", "docker0", "type", "bridge"]);
    ip(&["-n", &cable.client, "link", "add", "veth1", "type", "veth", "peer", "name", "veth2"]);
    ip(&["-n", &cable.client, "link", "set", "veth1", "master", "docker0"]);
    let settings = r#"
        [[network.bridge]]
        name = "br0"
        links = ["c0", "vx5"]
        addresses = ["10.77.0.10/24"]
        forward_delay = 4
        ageing = 60
        mac = "02:00:00:00:00:10"
        [[network.vxlan]]
        name = "vx5"
        id = 5
        local = "10.77.0.10"
        remote = "10.77.0.1"
        port = 4790
        mtu = 1400
        "#;
    cable.settings(settings);
    let (netd, notify) = cable.netd();
    assert_eq!(notified(&notify, 8), "READY=1\nSTATUS=br0 10.77.0.10/24");
    let link = |name: &str| {
        let all = cable.ip_json(&["link", "show"]);
        all.into_iter().find(|link| link["ifname"] == name).unwrap_or_default()
    };
    let (bridge, vxlan) = (link("br0"), link("vx5"));
    let data = &bridge["linkinfo"]["info_data"];
    assert_eq!((&data["forward_delay"], &data["ageing_time"]), (&400.into(), &6000.into()), "{bridge}");
    assert_eq!(bridge["address"], "02:00:00:00:00:10");
    let data = &vxlan["linkinfo"]["info_data"];
    assert_eq!(
        (&data["id"], &data["port"], &data["remote"]),
        (&5.into(), &4790.into(), &"10.77.0.1".into()),
        "{vxlan}"
    );
    assert_eq!((&vxlan["master"], &link("c0")["master"], &vxlan["mtu"]), (&"br0".into(), &"br0".into(), &1400.into()));
    assert_eq!(link("veth1")["master"], "docker0");
    ip(&["netns", "exec", &cable.server, "bash", "-c", "exec 3<>/dev/udp/10.77.0.10/9 && echo >&3"]);
    wait_for("an answer through the bridge", 5, || {
        ip(&["-n", &cable.server, "neigh", "show", "10.77.0.10"]).contains("lladdr 02:00:00:00:00:10")
    });
    let links = cable.status()["links"].as_array().unwrap().clone();
    let kinds: Vec<_> = links.iter().map(|l| (l["name"].as_str().unwrap(), l["kind"].as_str().unwrap())).collect();
    assert!(kinds.contains(&("br0", "bridge")) && kinds.contains(&("vx5", "vxlan")) && kinds.len() == 3, "{kinds:?}");

    // A bridge is changed in place; the VXLAN is not touched.
    let number = |name: &str| link(name)["ifindex"].as_u64().unwrap_or(0);
    let before = (number("br0"), number("vx5"));
    cable.settings(&settings.replace("forward_delay = 4", "forward_delay = 5"));
    netd.reload();
    wait_for("the change", 5, || link("br0")["linkinfo"]["info_data"]["forward_delay"] == 500);
    assert_eq!((number("br0"), number("vx5")), before);
    assert!(cable.ip_json(&["addr", "show", "dev", "br0"])[0]["addr_info"].to_string().contains("10.77.0.10"));
    // A VXLAN is made again. A bridge of another program is not ours, also while it is down.
    cable.settings(&format!("{}\n[[network.bridge]]\nname = \"docker0\"", settings.replace("id = 5", "id = 6")));
    netd.reload();
    wait_for("the new VXLAN", 5, || link("vx5")["linkinfo"]["info_data"]["id"] == 6 && link("vx5")["master"] == "br0");
    assert_ne!(number("vx5"), before.1);
    wait_for("the fault in the report", 5, || cable.file("status.json").contains("docker0: expected no link"));
    assert_eq!(link("veth1")["master"], "docker0");

    // A bridge without `mac` has the address of its card, not the lowest one of its ports.
    cable.settings(
        &settings
            .replace("mac = \"02:00:00:00:00:10\"", "")
            .replace("name = \"br0\"", "name = \"br1\"")
            .replace("id = 5", "id = 5\nmac = \"02:00:00:00:00:01\""),
    );
    netd.reload();
    wait_for("the ports of the new bridge", 5, || link("vx5")["master"] == "br1" && link("c0")["master"] == "br1");
    assert_eq!(
        (&link("br1")["address"], &link("vx5")["address"]),
        (&link("c0")["address"], &"02:00:00:00:00:01".into())
    );

    // What goes out of the settings is removed, also by a new process.
    drop(netd);
    cable.settings("[[network.link]]\nmatch = { name = \"c0\" }\naddresses = [\"10.77.0.11/24\"]");
    let (_netd, _notify) = cable.netd_again();
    wait_for("the links to go", 10, || number("br1") == 0 && number("vx5") == 0);
    wait_for("the address of the former port", 10, || cable.has_address("10.77.0.11"));
    assert_eq!(link("veth1")["master"], "docker0");
}
