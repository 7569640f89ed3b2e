//! The report on the network for init and hostctl.

use crate::{
    lease::Lease,
    lease6::{FOREVER, Lease6},
    link::Link,
    resolv_conf::{self, Source},
    rtnetlink::{Address, Origin, Route, Rule, route::MAIN},
};
use berth_contract::{
    control::{InterfaceStatus, LeaseStatus, LinkStatus, NetworkStatus, RouteStatus, RuleStatus},
    network_config::{DnsConfig, Mac},
};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// A host may have very many routes; the report must stay small.
const MOST_ROUTES: usize = 500;

/// A link without addresses of its own: a port, or a card that no table matches.
#[derive(Clone, Debug)]
pub struct Bare {
    /// The link as it was last read.
    pub link: Link,
    /// Name of the bond or bridge of the settings that it is, or will be, a port of.
    pub master: Option<String>,
}

/// What the report is made of.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Managed links.
    pub sources: Vec<Source<'a>>,
    /// Links without addresses of their own, by index.
    pub bare: &'a BTreeMap<u32, Bare>,
    /// Kinds of virtual links, by name.
    pub kinds: BTreeMap<&'a str, &'static str>,
    /// The kernel's addresses.
    pub addresses: Vec<Address>,
    /// The kernel's routes.
    pub routes: Vec<Route>,
    /// The kernel's rules of netd.
    pub rules: Vec<Rule>,
    /// `[dns]`.
    pub dns: &'a DnsConfig,
    /// See [`NetworkStatus::settled`].
    pub settled: bool,
    /// Whether the time servers have been asked, or there are none: see [`NetworkStatus::ntp`].
    pub asked_time: bool,
    /// See [`NetworkStatus::errors`].
    pub errors: Vec<String>,
}

/// The report.
#[must_use]
pub fn status(facts: &Facts<'_>) -> NetworkStatus {
    let names: BTreeMap<u32, &str> = facts.sources.iter().map(|source| (source.index, &*source.link.name)).collect();
    let routes = facts.routes.iter().filter_map(|route| Some(route_status(route, names.get(&route.index)?)));
    let managed = facts.sources.iter().map(|source| {
        let leases = source.lease.map(lease_status).into_iter().chain(source.lease6.map(lease6_status)).collect();
        link_status(facts, source.index, source.link, None, leases)
    });
    let bare = facts.bare.iter();
    let bare = bare.map(|(index, bare)| link_status(facts, *index, &bare.link, bare.master.as_deref(), Vec::new()));
    NetworkStatus {
        interfaces: facts.sources.iter().filter_map(|source| interface_status(facts, source)).collect(),
        dns: resolv_conf::servers(&facts.sources, facts.dns).into_iter().map(|(server, _)| server).collect(),
        settled: facts.settled,
        ntp: (facts.settled && facts.asked_time).then(|| time_servers(facts)),
        search: resolv_conf::search(&facts.sources, facts.dns),
        links: managed.chain(bare).collect(),
        routes: routes.take(MOST_ROUTES).collect(),
        rules: facts.rules.iter().map(rule_status).collect(),
        errors: facts.errors.clone(),
    }
}

fn time_servers(facts: &Facts<'_>) -> Vec<IpAddr> {
    let mut servers = Vec::new();
    for server in facts.sources.iter().filter_map(|source| source.lease).flat_map(|lease| &lease.ntp) {
        if !servers.contains(&IpAddr::V4(*server)) {
            servers.push(IpAddr::V4(*server));
        }
    }
    servers
}

fn interface_status(facts: &Facts<'_>, source: &Source<'_>) -> Option<InterfaceStatus> {
    let own = facts.addresses.iter().filter(|a| a.index == source.index && a.global && !a.unsure);
    let addresses: Vec<String> = own.map(|a| format!("{}/{}", a.ip, a.prefix)).collect();
    let Link { name, carrier, mtu, .. } = source.link;
    let default = |route: &&Route| route.index == source.index && route.to.length == 0 && route.table == MAIN;
    // IPv4 comes first.
    let defaults = facts.routes.iter().filter(default).filter_map(|route| route.via);
    let gateway = defaults.min_by_key(IpAddr::is_ipv6).filter(|_| *carrier);
    (source.lease.is_some() || !addresses.is_empty()).then(|| InterfaceStatus {
        name: name.clone(),
        addresses,
        gateway,
        carrier: *carrier,
        mtu: *mtu,
        lease_seconds: source.lease.and_then(|lease| lease.lifetime).map(seconds),
    })
}

fn link_status(
    facts: &Facts<'_>,
    index: u32,
    link: &Link,
    master: Option<&str>,
    leases: Vec<LeaseStatus>,
) -> LinkStatus {
    let own = facts.addresses.iter().filter(|a| a.index == index && !a.unsure);
    LinkStatus {
        name: link.name.clone(),
        kind: (*facts.kinds.get(link.name.as_str()).unwrap_or(&"ethernet")).to_owned(),
        carrier: link.carrier,
        mac: link.mac.map(|mac| Mac(mac).to_string()),
        mtu: link.mtu,
        driver: link.driver.clone(),
        path: link.path.clone(),
        port_of: master.map(str::to_owned),
        addresses: own.map(|a| format!("{}/{}", a.ip, a.prefix)).collect(),
        leases,
    }
}

fn lease_status(lease: &Lease) -> LeaseStatus {
    LeaseStatus {
        protocol: "dhcp4".to_owned(),
        server: lease.server.to_string(),
        addresses: vec![format!("{}/{}", lease.address, lease.prefix)],
        seconds: lease.lifetime.map(seconds),
        dns: lease.dns.iter().copied().map(IpAddr::V4).collect(),
        search: lease.search.clone(),
        ntp: lease.ntp.iter().copied().map(IpAddr::V4).collect(),
        hostname: lease.hostname.clone(),
    }
}

fn lease6_status(lease: &Lease6) -> LeaseStatus {
    let life = Some(lease.lifetime()).filter(|life| *life != FOREVER);
    LeaseStatus {
        protocol: "dhcp6".to_owned(),
        server: lease.server.iter().map(|byte| format!("{byte:02x}")).collect(),
        addresses: lease.addresses.iter().map(|address| format!("{}/128", address.ip)).collect(),
        seconds: life.map(seconds),
        dns: lease.dns.iter().copied().map(IpAddr::V6).collect(),
        search: lease.search.clone(),
        ..LeaseStatus::default()
    }
}

fn route_status(route: &Route, link: &str) -> RouteStatus {
    let origin = match route.origin {
        Origin::Static => "static",
        Origin::Dhcp => "dhcp",
        Origin::Kernel => "kernel",
        Origin::Ra => "ra",
        Origin::Other => "other",
    };
    RouteStatus {
        to: route.to.to_string(),
        via: route.via,
        link: link.to_owned(),
        metric: route.metric,
        table: Some(route.table).filter(|&table| table != MAIN),
        origin: origin.to_owned(),
    }
}

fn rule_status(rule: &Rule) -> RuleStatus {
    RuleStatus {
        priority: rule.priority,
        from: rule.from.map(|from| from.to_string()),
        to: rule.to.map(|to| to.to_string()),
        mark: rule.mark,
        incoming: rule.incoming.clone(),
        table: rule.table,
        ip: if rule.is_four { 4 } else { 6 },
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}
