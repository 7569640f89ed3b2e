use super::*;
use crate::daemon;
use berth_contract::control::InterfaceStatus;
use serde_json::json;

fn status(addresses: &[&str], dns: &[&str]) -> NetworkStatus {
    let interface = InterfaceStatus {
        name: "eth0".into(),
        addresses: addresses.iter().map(|&text| text.to_owned()).collect(),
        gateway: None,
        carrier: true,
        mtu: 1500,
        lease_seconds: None,
    };
    let dns = dns.iter().map(|text| text.parse().unwrap()).collect();
    NetworkStatus { interfaces: vec![interface], dns, settled: true, ..NetworkStatus::default() }
}

#[test]
fn the_time_without_name_servers_ends_with_the_first_one() {
    let s = Duration::from_secs;
    let mut history = History::new();
    assert_eq!(history.learn(&NetworkStatus::default(), s(1)), None);
    let news = |from, to| Some((s(from), s(to)));
    let first = history.learn(&status(&["fd00::5/64"], &["fd00::1"]), s(20)).unwrap();
    assert_eq!(first, News { without_servers: news(0, 20), has_address: true });
    // A container without IPv6 could not use that server.
    let second = history.learn(&status(&["fd00::5/64", "10.0.0.5/24"], &["fd00::1", "10.0.0.1"]), s(30)).unwrap();
    assert_eq!(second, News { without_servers: news(0, 30), has_address: true });
    assert_eq!(history.learn(&status(&["fd00::5/64", "10.0.0.5/24"], &["10.0.0.1"]), s(40)), None);
    // netd is started again: it has no lease for a moment.
    assert_eq!(history.learn(&status(&[], &[]), s(50)), None);
    let third = history.learn(&status(&["10.0.0.5/24"], &["10.0.0.1"]), s(51)).unwrap();
    assert_eq!(third, News { without_servers: news(50, 51), has_address: true });
}

#[test]
fn the_start_of_a_process_is_read_from_its_stat() {
    let stat = "12 (a) b (c) S 1 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 1234 4096 100 18446744073709551615 1";
    assert_eq!(parse_start(stat), Some(Duration::from_millis(12_340)));
    assert!(start_of(std::process::id().into()).is_some_and(|at| at <= crate::network::now() + SLACK));
    assert_eq!(parse_start("12 (short) S 1"), None);
}

#[test]
fn containers_that_missed_the_network_are_repaired_and_others_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (docker, shared) = daemon::daemon(dir.path());
    let body = |policy: &str, network: &str, pid: u64, error: &str| {
        let host = json!({ "RestartPolicy": { "Name": policy }, "NetworkMode": network });
        json!({ "HostConfig": host, "Pid": pid, "Error": error, "Labels": {} })
    };
    // A process with the number N was started N seconds after the host.
    let declared = |mut body: serde_json::Value| {
        body["Labels"][berth_contract::container::LABEL] = json!("x");
        body
    };
    for (name, body, state) in [
        ("early", body("always", "bridge", 8, ""), "running"),
        ("a-sidecar", body("unless-stopped", "container:early", 9, ""), "running"),
        ("late", body("always", "bridge", 40, ""), "running"),
        ("by-hand", body("no", "bridge", 8, ""), "running"),
        ("lonely", body("always", "none", 8, ""), "running"),
        ("no-port", body("unless-stopped", "bridge", 0, "cannot assign requested address"), "exited 128"),
        ("stopped", body("unless-stopped", "bridge", 0, ""), "exited 0"),
        ("task", declared(body("on-failure", "bridge", 8, "")), "running"),
        ("once", declared(body("no", "bridge", 8, "")), "running"),
    ] {
        shared.lock().unwrap().containers.insert(name.into(), (body, state.into()));
    }
    let spec = |text: &str| -> ContainerSpec { toml::from_str(text).unwrap() };
    let declared = [
        spec("name = 'task'\nimage = 'x'\nrestart = 'on-failure'"),
        spec("name = 'once'\nimage = 'x'\nrestart = 'no'"),
    ];
    // Started in time, or with name servers of its own.
    for (name, text) in [("early", "# ExtServers: [host(0.0.0.0)]\n"), ("served", "nameserver 10.0.0.0\n")] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut body = body("always", "bridge", 8, "");
        body["ResolvConfPath"] = json!(path);
        shared.lock().unwrap().containers.insert(name.into(), (body, "running".into()));
    }
    let s = Duration::from_secs;
    let news = News { without_servers: Some((s(0), s(20))), has_address: true };
    let said = repair(&*docker, &news, &declared, |pid| Some(s(pid))).unwrap();
    let mut changes = std::mem::take(&mut shared.lock().unwrap().changes);
    assert_eq!(changes.pop().unwrap(), "POST /containers/a-sidecar/restart", "after the one whose network it uses");
    changes.sort();
    let wanted = ["early/restart", "no-port/start", "task/restart"];
    assert_eq!(changes, wanted.map(|one| format!("POST /containers/{one}")));
    assert_eq!(said.len(), 4, "{said:?}");
    let news = News { without_servers: None, has_address: true };
    repair(&*docker, &news, &declared, |pid| Some(s(pid))).unwrap();
    assert_eq!(shared.lock().unwrap().changes, [""; 0], "the port's container runs now");
}
