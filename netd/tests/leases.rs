//! Leases of netd with the DHCP servers of several projects: dnsmasq, udhcpd (busybox), Kea, and the router advertisements of radvd. Each
//! test makes two network namespaces. Needs root and the programs that ci/setup installs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use kit::{Cable, Process, ip, notified, wait_for};
use std::{fs, process::Command};

/// Starts a program in the server's namespace.
fn serve(cable: &Cable, program: &[&str]) -> Process {
    Process::start(
        Command::new("ip")
            .args(["netns", "exec", &cable.server])
            .args(program)
            .env("KEA_PIDFILE_DIR", cable.dir.path())
            .env("KEA_LOCKFILE_DIR", "none"),
    )
}

/// Lines of `ip monitor`, which shows every change of the client's addresses.
fn monitor(cable: &Cable) -> Process {
    let command = format!("echo ready >&2; exec ip -n {} monitor address >&2", cable.client);
    let monitor = Process::start(Command::new("sh").args(["-c", &command]));
    wait_for("ip monitor", 5, || monitor.said().contains("ready"));
    monitor
}

fn write(cable: &Cable, name: &str, text: &str) -> String {
    let path = cable.dir.path().join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The server's end gets an IPv6 address and waits until its link-local address can be used.
fn with_six(cable: &Cable) {
    cable.server_link("up");
    ip(&["-n", &cable.client, "link", "set", "c0", "up"]);
    ip(&["-n", &cable.server, "addr", "add", "fd00:77::1/64", "dev", "s0", "nodad"]);
    ip(&["netns", "exec", &cable.server, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"]);
    wait_for("a link-local address", 10, || {
        let text = ip(&["-n", &cable.server, "-6", "addr", "show", "dev", "s0", "scope", "link"]);
        text.contains("fe80") && !text.contains("tentative")
    });
}

fn six(cable: &Cable) -> String {
    ip(&["-n", &cable.client, "-6", "addr", "show", "dev", "c0", "scope", "global"])
}

#[test]
fn a_lease_is_kept_over_a_restart_and_its_settings_are_used() {
    let cable = Cable::new("k");
    cable.server_link("up");
    let server = cable.dnsmasq(&[
        "--dhcp-range=10.77.0.81,10.77.0.81,255.255.255.0,120",
        "--dhcp-option=option:router,10.77.0.1",
        "--dhcp-option=option:domain-name,own.example",
        "--dhcp-option=option:domain-search,one.example,two.example",
        "--dhcp-option-force=12,node-9",
    ]);
    let (netd, notify) = cable.netd();
    notified(&notify, 10);
    wait_for("the search domains", 5, || cable.file("resolv.conf").contains("search one.example two.example\n"));
    assert_eq!(cable.status()["links"][0]["leases"][0]["hostname"], "node-9");
    let monitor = monitor(&cable);
    drop(netd);
    let (netd, notify) = cable.netd_again();
    assert_eq!(notified(&notify, 10), "READY=1\nSTATUS=c0 10.77.0.81/24");
    assert_eq!((server.count("DHCPDISCOVER(s0)"), server.count("DHCPACK(s0)")), (1, 2), "{}", server.said());
    assert!(!monitor.said().contains("Deleted"), "{}", monitor.said());

    // In another network the kept lease is refused, and a new one is taken.
    drop((netd, server));
    ip(&["-n", &cable.server, "addr", "add", "10.77.1.1/24", "dev", "s0"]);
    ip(&["-n", &cable.server, "addr", "del", "10.77.0.1/24", "dev", "s0"]);
    let server = cable.dnsmasq(&["--dhcp-authoritative", "--dhcp-range=10.77.1.81,10.77.1.81,255.255.255.0,120"]);
    let (_netd, _notify) = cable.netd_again();
    wait_for("the new address", 20, || cable.has_address("10.77.1.81") && !cable.has_address("10.77.0.81"));
    assert!(server.count("DHCPNAK") >= 1, "{}", server.said());
}

#[test]
fn a_lease_of_udhcpd_is_used() {
    let cable = Cable::new("u");
    cable.server_link("up");
    let leases = write(&cable, "udhcpd.leases", "");
    let pid = cable.dir.path().join("udhcpd.pid").display().to_string();
    let text = format!(
        "start 10.77.0.82\nend 10.77.0.82\ninterface s0\nmax_leases 1\nlease_file {leases}\npidfile {pid}\n\
         option subnet 255.255.255.0\noption router 10.77.0.1\noption dns 10.77.0.1\noption lease 120\n\
         option staticroutes 198.51.100.0/24 10.77.0.2, 0.0.0.0/0 10.77.0.1\noption search lan.example corp.example\n\
         option mtu 1400\n"
    );
    let _server = serve(&cable, &["udhcpd", "-f", &write(&cable, "udhcpd.conf", &text)]);
    let (_netd, notify) = cable.netd();
    assert_eq!(notified(&notify, 15), "READY=1\nSTATUS=c0 10.77.0.82/24");
    let routes = cable.routes();
    assert!(routes.iter().any(|route| route.starts_with("198.51.100.0/24 via 10.77.0.2")), "{routes:?}");
    assert!(routes.iter().any(|route| route.starts_with("default via 10.77.0.1")), "{routes:?}");
    wait_for("the search domains", 5, || cable.file("resolv.conf").contains("search lan.example corp.example\n"));
    assert_eq!(cable.ip_json(&["link", "show", "dev", "c0"])[0]["mtu"], 1400);
}

/// A router says that addresses come from a server (M). The lease is renewed, and kept over a restart.
#[test]
fn addresses_of_dhcpv6_are_used_if_a_router_says_so() {
    let cable = Cable::new("x");
    with_six(&cable);
    cable.settings("[[network.link]]\nmatch = { name = \"c0\" }");
    let server = cable.dnsmasq(&[
        "--enable-ra",
        "--dhcp-range=fd00:77::83,fd00:77::83,64,120",
        "--dhcp-option=option6:dns-server,[fd00:77::1]",
        "--dhcp-option=option6:domain-search,six.example",
    ]);
    let (netd, _notify) = cable.netd();
    wait_for("the address", 20, || six(&cable).contains("fd00:77::83/128"));
    assert!(!six(&cable).contains("forever"), "{}", six(&cable));
    wait_for("the name server", 5, || cable.file("resolv.conf").contains("nameserver fd00:77::1\n"));
    assert!(cable.file("resolv.conf").contains("search six.example\n"));
    let lease = cable.status()["links"][0]["leases"][0].clone();
    assert_eq!((&lease["protocol"], &lease["addresses"][0]), (&"dhcp6".into(), &"fd00:77::83/128".into()));
    let monitor = monitor(&cable);
    drop(netd);
    let (netd, _notify) = cable.netd_again();
    wait_for("CONFIRM", 15, || server.count("DHCPCONFIRM(s0)") >= 1);
    wait_for("the status", 5, || cable.file("status.json").contains("fd00:77::83/128"));
    assert!(!monitor.said().contains("Deleted"), "{}", monitor.said());
    // T1 is half of 120 s; the server is not asked for another address meanwhile.
    assert_eq!(server.count("DHCPSOLICIT(s0)"), 1, "{}", server.said());
    // A second router does not know of DHCPv6. Its advertisements do not end the lease.
    let radvd =
        "interface s0 { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; prefix fd00:79::/64 { }; };\n";
    let (radvd, pid) = (write(&cable, "radvd.conf", radvd), cable.dir.path().join("radvd.pid").display().to_string());
    let _radvd = serve(&cable, &["radvd", "-n", "-m", "stderr", "-C", &radvd, "-p", &pid]);
    wait_for("the second router", 20, || six(&cable).contains("fd00:79:"));
    assert!(six(&cable).contains("fd00:77::83/128") && !monitor.said().contains("Deleted"), "{}", monitor.said());
    // Without DHCPv6 in the settings the address goes.
    cable.settings("[[network.link]]\nmatch = { name = \"c0\" }\ndhcp = \"v4\"");
    netd.reload();
    wait_for("the address to go", 5, || !six(&cable).contains("fd00:77::83"));
}

/// radvd announces a network of its own (SLAAC), a search domain and "other settings" (O), which Kea gives. With `dhcp = "v6"` Kea gives
/// an address as well.
#[test]
fn settings_of_dhcpv6_and_of_routers_are_used_together() {
    let cable = Cable::new("y");
    with_six(&cable);
    cable.settings("[[network.link]]\nmatch = { name = \"c0\" }");
    let radvd = "interface s0 { AdvSendAdvert on; AdvOtherConfigFlag on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4;\n\
                 prefix fd00:78::/64 { }; DNSSL dnssl.example { }; };\n";
    let radvd = write(&cable, "radvd.conf", radvd);
    let pid = cable.dir.path().join("radvd.pid").display().to_string();
    let kea = r#"{"Dhcp6": {"interfaces-config": {"interfaces": ["s0"]}, "data-directory": "FOLDER",
        "server-id": {"type": "LL", "htype": 1, "identifier": "020000000009", "persist": false},
        "lease-database": {"type": "memfile", "persist": false},
        "valid-lifetime": 400, "preferred-lifetime": 300, "renew-timer": 100, "rebind-timer": 200,
        "option-data": [{"name": "dns-servers", "data": "fd00:77::53"}, {"name": "domain-search", "data": "kea.example"}],
        "subnet6": [{"subnet": "fd00:77::/64", "interface": "s0", "pools": [{"pool": "fd00:77::84-fd00:77::84"}]}]}}"#;
    let _kea = serve(
        &cable,
        &["kea-dhcp6", "-c", &write(&cable, "kea.json", &kea.replace("FOLDER", cable.dir.path().to_str().unwrap()))],
    );
    let _radvd = serve(&cable, &["radvd", "-n", "-m", "stderr", "-C", &radvd, "-p", &pid]);
    let (netd, _notify) = cable.netd();
    wait_for("SLAAC", 20, || six(&cable).contains("fd00:78:"));
    let text = || cable.file("resolv.conf");
    wait_for("both sources", 20, || {
        text().contains("nameserver fd00:77::53\n") && text().contains("search kea.example dnssl.example\n")
    });
    assert!(!six(&cable).contains("fd00:77::84"), "{}", six(&cable));
    assert!(!six(&cable).contains("temporary"), "privacy addresses are off: {}", six(&cable));
    assert!(ip(&["-n", &cable.client, "-6", "route"]).contains("default via fe80"));

    cable.settings("[[network.link]]\nmatch = { name = \"c0\" }\ndhcp = \"v6\"\nprivacy = true");
    netd.reload();
    wait_for("the address", 20, || six(&cable).contains("fd00:77::84/128"));
    wait_for("the lease in the report", 5, || cable.status()["links"][0]["leases"][0]["seconds"] == 400);

    cable.settings("[[network.link]]\nmatch = { name = \"c0\" }\nrouter_advertisements = false\ndhcp = \"v6\"");
    netd.reload();
    wait_for("the settings of routers to go", 5, || {
        let has_route = ip(&["-n", &cable.client, "-6", "route"]).contains("default via fe80");
        !has_route && !six(&cable).contains("fd00:78:") && !text().contains("dnssl.example")
    });
    assert!(six(&cable).contains("fd00:77::84/128") && text().contains("kea.example"), "{}", text());
    assert_eq!(netd.count("cannot"), 0, "{}", netd.said());
}
