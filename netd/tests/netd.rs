//! netd with another project's DHCP server, dnsmasq. Each test makes two network namespaces and checks the result with ip(8). Needs
//! root and the programs that ci/setup installs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use kit::{Cable, ip, notified, wait_for};
use rustix::thread::LinkNameSpaceType;
use serde_json::Value;
use std::{
    fs,
    net::UdpSocket,
    os::fd::AsFd,
    path::Path,
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The status without any interface.
const NOTHING: &str = r#"{"interfaces":[],"dns":[],"settled":true,"ntp":[]}"#;

#[test]
fn a_lease_is_applied_and_published() {
    let cable = Cable::new("a");
    cable.server_link("up");
    let server = cable.dnsmasq(&[
        "--dhcp-range=10.77.0.50,10.77.0.50,255.255.255.0,120",
        "--dhcp-option=option:router,10.77.0.254",
        "--dhcp-option=option:dns-server,10.77.0.1,192.0.2.53",
        "--dhcp-option=option:domain-name,lan.example.org",
        "--dhcp-option=option:mtu,1400",
        "--dhcp-option=option:classless-static-route,0.0.0.0/0,10.77.0.1,198.51.100.0/24,10.77.0.2",
    ]);
    let (netd, notify) = cable.netd();
    assert_eq!(notified(&notify, 10), "READY=1\nSTATUS=c0 10.77.0.50/24");
    let addresses = cable.addresses();
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    let address = &addresses[0];
    assert_eq!((&address["local"], &address["prefixlen"]), (&"10.77.0.50".into(), &24.into()));
    assert_eq!(address["broadcast"], "10.77.0.255");
    let life = address["valid_life_time"].as_u64().unwrap();
    assert!((100..=120).contains(&life), "the kernel knows when the lease ends: {life} s");
    let routes = cable.routes();
    for wanted in [
        "default via 10.77.0.1 dev c0 proto dhcp src 10.77.0.50 metric",
        "198.51.100.0/24 via 10.77.0.2 dev c0 proto dhcp src 10.77.0.50 metric",
        "10.77.0.0/24 dev c0 proto kernel scope link src 10.77.0.50 metric",
    ] {
        assert!(routes.iter().any(|route| route.starts_with(wanted)), "{wanted}: {routes:#?}");
    }
    assert_eq!(routes.len(), 3, "option 121 replaces option 3: {routes:#?}");
    assert!(ip(&["-n", &cable.client, "link", "show", "dev", "c0"]).contains(" mtu 1400 "));
    wait_for("status with the address", 5, || cable.file("status.json").contains("10.77.0.50/24"));
    assert_eq!(
        cable.file("resolv.conf"),
        "# Written by netd.\nnameserver 10.77.0.1\nnameserver 192.0.2.53\nsearch lan.example.org\n"
    );
    let status: Value = serde_json::from_str(&cable.file("status.json")).unwrap();
    assert_eq!(status["interfaces"][0]["name"], "c0");
    assert_eq!(status["interfaces"][0]["gateway"], "10.77.0.1");
    assert_eq!(status["interfaces"][0]["lease_seconds"], 120);
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert!(server.said().contains(&format!("client provides name: {}", name.trim())), "{}", server.said());
    assert!(netd.said().contains("c0: 10.77.0.50/24 for 120 s from 10.77.0.1, gateway 10.77.0.1"), "{}", netd.said());
}

/// Cloud providers give /32 addresses with a gateway on the link.
#[test]
fn a_gateway_outside_the_network_is_reached() {
    let cable = Cable::new("g");
    cable.server_link("up");
    let _server = cable.dnsmasq(&[
        "--dhcp-range=10.77.0.51,10.77.0.51,255.255.255.0,120",
        "--dhcp-option-force=option:netmask,255.255.255.255",
        "--dhcp-option=option:router,10.77.0.1",
    ]);
    let (_netd, notify) = cable.netd();
    assert_eq!(notified(&notify, 10), "READY=1\nSTATUS=c0 10.77.0.51/32");
    let routes = cable.routes();
    assert!(routes[0].starts_with("default via 10.77.0.1 dev c0") && routes[0].ends_with("onlink"), "{routes:#?}");
    let knock = "exec 3<>/dev/udp/10.77.0.1/9 && echo >&3";
    ip(&["netns", "exec", &cable.client, "bash", "-c", knock]);
    wait_for("the gateway's hardware address", 5, || {
        ip(&["-n", &cable.client, "neigh", "show", "10.77.0.1"]).contains("lladdr")
    });
}

#[test]
fn a_lease_is_renewed_without_a_gap() {
    let cable = Cable::new("r");
    cable.server_link("up");
    let server = cable.dnsmasq(&[
        "--dhcp-range=10.77.0.52,10.77.0.52,255.255.255.0,120",
        "--dhcp-option=option:router,10.77.0.1",
        "--dhcp-option-force=option:T1,3",
    ]);
    let (netd, notify) = cable.netd();
    notified(&notify, 10);
    assert_eq!(server.count("DHCPACK(s0)"), 1);
    // T1 is at least 10 s.
    wait_for("a second lease", 20, || server.count("DHCPACK(s0) 10.77.0.52") >= 2);
    assert_eq!((server.count("DHCPDISCOVER(s0)"), server.count("DHCPNAK")), (1, 0), "{}", server.said());
    assert!(cable.has_address("10.77.0.52"));
    wait_for("the kernel's lifetime of the address to start again", 5, || {
        cable.addresses()[0]["valid_life_time"].as_u64().unwrap() >= 119
    });
    assert_eq!(netd.count("c0: 10.77.0.52/24"), 1, "a renewal is not logged: {}", netd.said());
}

#[test]
fn in_another_network_the_old_address_is_removed() {
    let cable = Cable::new("n");
    cable.server_link("up");
    let range = |last: u8| format!("--dhcp-range=10.77.{last}.60,10.77.{last}.60,255.255.255.0,120");
    let server = cable.dnsmasq(&["--dhcp-authoritative", &range(0)]);
    let (netd, notify) = cable.netd();
    notified(&notify, 10);
    assert!(cable.has_address("10.77.0.60"));

    drop(server);
    cable.server_link("down");
    wait_for("netd to see that the cable is unplugged", 5, || netd.count("no carrier") == 1);
    assert!(cable.has_address("10.77.0.60"), "the lease is still valid");
    ip(&["-n", &cable.server, "addr", "add", "10.77.1.1/24", "dev", "s0"]);
    ip(&["-n", &cable.server, "addr", "del", "10.77.0.1/24", "dev", "s0"]);
    cable.server_link("up");
    let server = cable.dnsmasq(&["--dhcp-authoritative", &range(1)]);
    wait_for("the new address", 20, || cable.has_address("10.77.1.60"));
    assert!(server.count("DHCPNAK") >= 1, "{}", server.said());
    assert!(!cable.has_address("10.77.0.60"));
    assert!(cable.routes().iter().all(|route| !route.contains("10.77.0.")), "{:?}", cable.routes());
    wait_for("the new status", 5, || cable.file("status.json").contains("10.77.1.60/24"));
    assert!(netd.said().contains("the server refused"), "{}", netd.said());
}

/// Two links to one network: while one is unplugged, the other carries everything.
#[test]
fn routes_go_with_the_carrier_and_come_back_with_it() {
    let cable = Cable::new("c");
    cable.server_link("up");
    let _server = cable.dnsmasq(&[
        "--dhcp-range=10.77.0.63,10.77.0.63,255.255.255.0,120",
        "--dhcp-option=option:router,10.77.0.1",
        "--dhcp-option=option:dns-server,10.77.0.1",
    ]);
    let (netd, notify) = cable.netd();
    notified(&notify, 10);
    let has_default = || cable.routes().iter().any(|route| route.starts_with("default"));
    assert!(has_default(), "{:?}", cable.routes());
    cable.server_link("down");
    wait_for("the default route to go", 5, || !has_default());
    wait_for("the status to show it", 5, || cable.file("status.json").contains(r#""gateway":null,"carrier":false"#));
    let through = Command::new("ip").args(["-n", &cable.client, "route", "get", "10.77.0.9"]).output().unwrap();
    assert!(!through.status.success(), "the route that the kernel made is not used either: {through:?}");
    assert!(cable.has_address("10.77.0.63"), "the lease is kept");
    cable.server_link("up");
    wait_for("the default route to come back", 10, has_default);
    wait_for("the status to show it", 5, || {
        cable.file("status.json").contains(r#""gateway":"10.77.0.1","carrier":true"#)
    });
    assert_eq!(netd.count("cannot"), 0, "{}", netd.said());
}

/// A network with IPv6 only: the kernel makes the address, netd takes the name server from the router's advertisement.
#[test]
fn name_servers_of_router_advertisements_are_published() {
    let cable = Cable::new("v");
    cable.server_link("up");
    ip(&["-n", &cable.server, "addr", "add", "fd00:77::1/64", "dev", "s0", "nodad"]);
    ip(&["netns", "exec", &cable.server, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"]);
    let _server = cable.dnsmasq(&[
        "--enable-ra",
        "--dhcp-range=fd00:77::,ra-only,64,1h",
        "--dhcp-option=option6:dns-server,[fd00:77::1]",
        "--dhcp-option=option6:domain-search,lan.example.org",
    ]);
    let (netd, _notify) = cable.netd();
    wait_for("the server in resolv.conf", 15, || cable.file("resolv.conf").contains("nameserver fd00:77::1\n"));
    wait_for("the status", 15, || {
        let status = cable.file("status.json");
        status.contains(r#""dns":["fd00:77::1"]"#) && status.contains("\"fd00:77:")
    });
    assert!(cable.file("resolv.conf").contains("search lan.example.org"), "{}", cable.file("resolv.conf"));
    drop(netd);
    // A netd that starts while the link is up asks the routers for an advertisement.
    fs::remove_file(cable.dir.path().join("run/resolv.conf")).unwrap();
    let (_again, _notify) = cable.netd_again();
    wait_for("the server after a restart", 15, || cable.file("resolv.conf").contains("nameserver fd00:77::1\n"));
}

/// A machine that was paused, or whose clock drifts, is corrected while it runs.
#[test]
fn the_time_server_is_asked_again_and_again() {
    let cable = Cable::new("t");
    cable.server_link("up");
    let namespace = fs::File::open(format!("/run/netns/{}", cable.server)).unwrap();
    let (told, requests) = mpsc::channel();
    thread::spawn(move || {
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        tell_time(&UdpSocket::bind(("10.77.0.1", 123)).unwrap(), &told);
    });
    let _server = cable.dnsmasq(&[
        "--dhcp-range=10.77.0.64,10.77.0.64,255.255.255.0,120",
        "--dhcp-option=option:ntp-server,10.77.0.1",
    ]);
    let (netd, _notify) = cable.netd();
    for number in 1..=3 {
        requests
            .recv_timeout(Duration::from_secs(10))
            .unwrap_or_else(|_| panic!("no request {number}: {}", netd.said()));
    }
    wait_for("the answer in the log", 5, || netd.count("clock: differed from the time server by 0.0") == 1);
}

/// Answers with the time of this computer, so that netd does not set the clock.
#[expect(clippy::disallowed_methods, reason = "a time server tells the time")]
fn tell_time(socket: &UdpSocket, told: &mpsc::Sender<()>) {
    let mut packet = [0; 48];
    while let Ok((48, client)) = socket.recv_from(&mut packet) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seconds = u32::try_from((now.as_secs() + 2_208_988_800) & 0xffff_ffff).unwrap();
        let part = u32::try_from((u64::from(now.subsec_nanos()) << 32) / 1_000_000_000).unwrap();
        let time = [seconds.to_be_bytes(), part.to_be_bytes()].concat();
        let mut answer = [0; 48];
        (answer[0], answer[1]) = (4 << 3 | 4, 2);
        answer[24..32].copy_from_slice(&packet[40..]);
        answer[32..40].copy_from_slice(&time);
        answer[40..].copy_from_slice(&time);
        if socket.send_to(&answer, client).is_err() || told.send(()).is_err() {
            return;
        }
    }
}

#[test]
fn netd_is_ready_without_a_network_and_manages_a_cable_that_comes_later() {
    let cable = Cable::new("l");
    ip(&["-n", &cable.server, "link", "del", "s0"]);
    let (netd, notify) = cable.netd();
    let start = Instant::now();
    assert_eq!(notified(&notify, 15), "READY=1\nSTATUS=no network yet");
    assert!(start.elapsed() >= Duration::from_secs(9), "{:?}", start.elapsed());
    wait_for("an empty status", 5, || cable.file("status.json") == NOTHING);

    cable.plug();
    cable.server_link("up");
    let _server = cable.dnsmasq(&["--dhcp-range=10.77.0.61,10.77.0.61,255.255.255.0,120"]);
    assert_eq!(notified(&notify, 20), "STATUS=c0 10.77.0.61/24");
    ip(&["-n", &cable.client, "addr", "add", "2001:db8::5/64", "dev", "c0", "nodad"]);
    wait_for("the IPv6 address in the status", 5, || cable.file("status.json").contains("2001:db8::5/64"));
    ip(&["-n", &cable.server, "link", "del", "s0"]);
    wait_for("an empty status", 5, || cable.file("status.json") == NOTHING);
    assert!(netd.said().contains("c0: gone"), "{}", netd.said());
    assert!(Path::new(&format!("/proc/{}/exe", netd.child.id())).exists(), "netd still runs");
}
