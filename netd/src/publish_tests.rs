use super::*;
use crate::{
    lease::Lease,
    link::Link,
    message::{BOOTREPLY, Message, MessageType, code},
    resolv_conf::Source,
    rtnetlink::{Address, Origin, Route, route::MAIN},
};
use berth_contract::network_config::{Addressing, DnsConfig, Prefix};
use std::collections::BTreeMap;

fn lease(dns: &[u8], domain: &str) -> Lease {
    let mut ack = Message::new(BOOTREPLY, MessageType::Ack, 1, [0; 6])
        .with(code::SERVER_ID, [10, 0, 2, 2])
        .with(code::LEASE_TIME, 600_u32.to_be_bytes())
        .with(code::SUBNET_MASK, [255, 255, 255, 0])
        .with(code::DNS, dns)
        .with(code::DOMAIN_NAME, domain.as_bytes());
    ack.yiaddr = [10, 0, 2, 15].into();
    Lease::read(&ack).unwrap()
}

fn address(index: u32, ip: &str, global: bool, unsure: bool) -> Address {
    Address { index, ip: ip.parse().unwrap(), prefix: 64, global, unsure, failed: false, ours: false, announced: false }
}

fn gateway(index: u32, via: &str, table: u32) -> Route {
    let to = Prefix::of([0, 0, 0, 0].into(), 0);
    let via = Some(via.parse().unwrap());
    Route { index, to, via, metric: 1024, table, source: None, onlink: false, origin: Origin::Dhcp }
}

#[test]
fn the_files_follow_the_leases_and_are_written_only_on_changes() {
    let dir = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::new(&dir.path().join("netd")).unwrap();
    let read = |name: &str| fs::read_to_string(dir.path().join("netd").join(name)).unwrap();
    let (dns, keys, bare) = (DnsConfig::default(), Addressing::default(), BTreeMap::new());
    let mut facts = Facts {
        sources: Vec::new(),
        bare: &bare,
        kinds: BTreeMap::from([("bond0", "bond")]),
        addresses: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
        dns: &dns,
        settled: false,
        asked_time: true,
        errors: Vec::new(),
    };
    assert!(publisher.publish(&facts).unwrap());
    assert_eq!(read("resolv.conf"), "# Written by netd.\nnameserver 0.0.0.0\n");
    assert_eq!(read("status.json"), r#"{"interfaces":[],"dns":[],"settled":false}"#);

    let (a, b) =
        (lease(&[10, 0, 2, 3, 9, 9, 9, 9], "example.org"), lease(&[9, 9, 9, 9], "lan.example.org example.org"));
    let links = [("eth0", true), ("eth1", true), ("bond0", true), ("eth3", false)];
    let links = links.map(|(name, carrier)| Link { name: name.into(), carrier, mtu: 1500, ..Link::default() });
    let leases = [Some(&a), Some(&b), None, Some(&b)];
    facts.sources = (2..)
        .zip(links.iter().zip(leases))
        .map(|(index, (link, lease))| Source {
            link,
            index,
            keys: &keys,
            lease,
            lease6: None,
            servers: Vec::new(),
            domains: Vec::new(),
        })
        .collect();
    facts.settled = true;
    facts.addresses = vec![
        address(2, "10.0.2.15", true, false),
        address(2, "fe80::1", false, false),
        address(2, "2001:db8::1", true, false),
        address(3, "2001:db8::2", true, true),
        address(9, "172.17.0.1", true, false),
    ];
    facts.routes = vec![gateway(2, "10.0.2.2", MAIN), gateway(3, "10.0.2.9", 100), gateway(5, "10.0.2.4", MAIN)];
    assert!(publisher.publish(&facts).unwrap());
    assert!(!publisher.publish(&facts).unwrap());
    assert_eq!(
        read("resolv.conf"),
        "# Written by netd.\nnameserver 10.0.2.3\nnameserver 9.9.9.9\nsearch example.org lan.example.org\n"
    );
    let status: NetworkStatus = serde_json::from_str(&read("status.json")).unwrap();
    assert_eq!((status.interfaces.len(), status.settled), (3, true));
    assert_eq!(status.interfaces[0].addresses, ["10.0.2.15/64", "2001:db8::1/64"]);
    assert_eq!((status.interfaces[0].gateway, status.interfaces[0].mtu), (Some([10, 0, 2, 2].into()), 1500));
    assert_eq!((status.interfaces[1].addresses.len(), status.interfaces[1].lease_seconds), (0, Some(600)));
    assert_eq!(status.interfaces[1].gateway, None, "a route of another table is not the default one");
    assert_eq!(status.interfaces[2].gateway, None, "without a carrier the gateway is not in use");
    assert_eq!((status.links.len(), &*status.links[2].kind, &*status.links[0].kind), (4, "bond", "ethernet"));
    assert_eq!(status.links[0].leases[0].addresses, ["10.0.2.15/24"]);
    assert_eq!((status.routes.len(), status.routes[1].table), (3, Some(100)));
    assert_eq!(fs::read_dir(dir.path().join("netd")).unwrap().count(), 2, "no temporary file is left");
}
