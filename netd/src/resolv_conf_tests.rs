use super::*;
use crate::message::{BOOTREPLY, Message, MessageType, code};

pub(crate) fn lease(dns: &[u8], domain: &str) -> Lease {
    let mut ack = Message::new(BOOTREPLY, MessageType::Ack, 1, [0; 6])
        .with(code::SERVER_ID, [10, 0, 2, 2])
        .with(code::LEASE_TIME, 600_u32.to_be_bytes())
        .with(code::SUBNET_MASK, [255, 255, 255, 0])
        .with(code::ROUTER, [10, 0, 2, 2])
        .with(code::DNS, dns)
        .with(code::DOMAIN_NAME, domain.as_bytes());
    ack.yiaddr = [10, 0, 2, 15].into();
    Lease::read(&ack).unwrap()
}

pub(crate) fn link(name: &str, carrier: bool) -> Link {
    Link { name: name.to_owned(), up: true, carrier, mtu: 1500, ..Link::default() }
}

pub(crate) fn source<'a>(link: &'a Link, index: u32, keys: &'a Addressing, lease: Option<&'a Lease>) -> Source<'a> {
    Source { link, index, keys, lease, lease6: None, servers: Vec::new(), domains: Vec::new() }
}

#[test]
fn a_link_without_a_carrier_gives_its_servers_back() {
    let keys = Addressing::default();
    let (a, b) = (lease(&[10, 0, 2, 3], "a.example"), lease(&[10, 1, 2, 3], "b.example"));
    let (up, down) = (link("eth1", true), link("eth0", false));
    let both = [source(&down, 2, &keys, Some(&a)), source(&up, 3, &keys, Some(&b))];
    let dns = DnsConfig::default();
    assert_eq!(text(&both, &dns), "# Written by netd.\nnameserver 10.1.2.3\nsearch b.example\n");
    let alone = text(&both[..1], &dns);
    assert!(alone.contains("10.0.2.3"), "the only servers are kept: {alone}");
}

#[test]
fn servers_of_router_advertisements_are_used() {
    let (keys, up) = (Addressing::default(), link("eth0", true));
    let servers = ["fd00:77::1", "fe80::1"].map(|text| text.parse().unwrap()).to_vec();
    let six = [Source { servers, domains: vec!["lan.example"], ..source(&up, 2, &keys, None) }];
    assert_eq!(
        text(&six, &DnsConfig::default()),
        "# Written by netd.\nnameserver fd00:77::1\nnameserver fe80::1%eth0\nnameserver 0.0.0.0\nsearch lan.example\n"
    );
}

#[test]
fn settings_replace_leases_and_the_lowest_metric_comes_first() {
    let near = Addressing { metric: Some(5), dns: vec!["192.0.2.53".parse().unwrap()], ..Addressing::default() };
    let far = Addressing { search: vec!["set.example".to_owned()], ..Addressing::default() };
    let leased = lease(&[10, 0, 2, 3], "leased.example");
    let links = ["eth0", "eth1"].map(|name| link(name, true));
    let both = [source(&links[0], 2, &far, Some(&leased)), source(&links[1], 3, &near, Some(&leased))];
    assert_eq!(
        text(&both, &DnsConfig::default()),
        "# Written by netd.\nnameserver 192.0.2.53\nnameserver 10.0.2.3\nsearch leased.example set.example\n"
    );
    let dns = DnsConfig {
        servers: vec!["9.9.9.9".parse().unwrap()],
        search: vec!["all.example".to_owned()],
        options: vec!["edns0".to_owned(), "timeout:2".to_owned()],
    };
    assert_eq!(
        text(&both, &dns),
        "# Written by netd.\nnameserver 9.9.9.9\nsearch all.example\noptions edns0 timeout:2\n"
    );
}
