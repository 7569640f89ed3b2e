//! The addresses, routes and rules of a link: settings and leases go in, the kernel's form comes out.

use crate::{
    lease::Lease,
    lease6::{FOREVER, Lease6},
    rtnetlink::{Origin, Route, Rule, address::NewAddress, route::MAIN},
};
use berth_contract::network_config::{AddressWithPrefix, Addressing, Prefix};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// Larger than the metrics that people set by hand. The interface's index is added, so that the order is always the same.
const METRIC: u32 = 1024;
/// Priority of a rule that has none.
const PRIORITY: u32 = 1000;

/// The addresses and routes of a link.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The addresses.
    pub addresses: Vec<NewAddress>,
    /// The routes, those without a gateway first: a gateway of another route may be reached through one of them.
    pub routes: Vec<Route>,
    /// What the kernel has made of router advertisements must go.
    pub without_routers: bool,
}

/// The leases of a link.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leases<'a> {
    /// The DHCPv4 lease.
    pub four: Option<&'a Lease>,
    /// The rest of its lifetime; `None` if it does not end.
    pub left: Option<Duration>,
    /// The DHCPv6 lease.
    pub six: Option<&'a Lease6>,
    /// The time since it was granted.
    pub age: Duration,
}

/// The metric of a route to this network. The kernel takes 0 for its default in IPv6 and lists the default: a 0 would be set again for ever.
fn for_family(to: Prefix, metric: u32) -> u32 {
    if metric == 0 && to.ip.is_ipv6() { METRIC } else { metric }
}

/// The metric of the link's routes.
#[must_use]
pub fn metric(index: u32, keys: &Addressing) -> u32 {
    keys.metric.unwrap_or(METRIC + index)
}

impl Wanted {
    /// What the link with this index needs. Without a carrier it has no routes, so that another link takes over.
    #[must_use]
    pub fn of(index: u32, keys: &Addressing, carrier: bool, leases: &Leases<'_>) -> Self {
        let metric = metric(index, keys);
        let addresses = addresses(keys, metric, leases);
        let lease = leases.four;
        let mut routes: Vec<Route> = Vec::new();
        if carrier {
            let table = routes_of(index, keys, metric);
            let leased = lease.into_iter().flat_map(|lease| lease.routes.iter().map(move |route| (lease, route)));
            let leased = leased.map(|(lease, route)| Route {
                index,
                to: Prefix::of(route.target.into(), route.prefix),
                via: route.gateway.map(IpAddr::V4),
                metric,
                table: MAIN,
                source: Some(lease.address.into()),
                onlink: false,
                origin: Origin::Dhcp,
            });
            // A static route replaces a leased one to the same destination.
            let is_free = |route: &Route| {
                !table
                    .iter()
                    .any(|other| (other.to, other.metric, other.table) == (route.to, route.metric, route.table))
            };
            routes.extend(leased.filter(is_free));
            routes.extend(table);
        }
        for route in &mut routes {
            route.onlink = route.via.is_some_and(|via| !is_near(via, &addresses));
        }
        routes.sort_by_key(|route| route.via.is_some());
        Self { addresses, routes, without_routers: keys.router_advertisements == Some(false) }
    }
}

fn addresses(keys: &Addressing, metric: u32, leases: &Leases<'_>) -> Vec<NewAddress> {
    let lasting =
        |address: &AddressWithPrefix| NewAddress { ip: address.ip, prefix: address.prefix, lifetime: None, metric };
    let four = leases.four.map(|lease| NewAddress {
        ip: lease.address.into(),
        prefix: lease.prefix,
        lifetime: leases.left.map(|left| (left, left)),
        metric,
    });
    let left = |time: Duration| if time == FOREVER { FOREVER } else { time.saturating_sub(leases.age) };
    let six = leases.six.into_iter().flat_map(|lease| &lease.addresses);
    // The kernel refuses an address that has ended.
    let six = six.filter(|address| left(address.valid).as_secs() > 0).map(|address| NewAddress {
        ip: address.ip.into(),
        // The network is known by router advertisements only.
        prefix: 128,
        lifetime: Some((left(address.preferred), left(address.valid))),
        metric,
    });
    let mut all: Vec<NewAddress> = keys.addresses.iter().map(lasting).collect();
    for new in four.into_iter().chain(six) {
        if !all.iter().any(|old| old.ip == new.ip) {
            all.push(new);
        }
    }
    all
}

/// Whether the kernel knows how to reach a gateway. Cloud providers give /32 addresses with a gateway outside of that network: then the
/// kernel must be told that the gateway is on the link.
fn is_near(gateway: IpAddr, addresses: &[NewAddress]) -> bool {
    let link_local = matches!(gateway, IpAddr::V6(ip) if ip.is_unicast_link_local());
    link_local || addresses.iter().any(|address| Prefix::of(address.ip, address.prefix).contains(gateway))
}

fn routes_of(index: u32, keys: &Addressing, metric: u32) -> Vec<Route> {
    let gateway = |via: &IpAddr| {
        let everything: IpAddr =
            if via.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let to = Prefix::of(everything, 0);
        let metric = for_family(to, metric);
        Route { index, to, via: Some(*via), metric, table: MAIN, source: None, onlink: false, origin: Origin::Static }
    };
    let route = |route: &berth_contract::network_config::Route| Route {
        index,
        to: route.to,
        via: route.via,
        metric: for_family(route.to, route.metric.unwrap_or(metric)),
        table: route.table.unwrap_or(MAIN),
        source: route.source,
        onlink: false,
        origin: Origin::Static,
    };
    let mut routes: Vec<Route> = Vec::new();
    for new in keys.gateway.iter().map(gateway).chain(keys.routes.iter().map(route)) {
        if !routes.iter().any(|old| old.same(&new)) {
            routes.push(new);
        }
    }
    routes
}

/// The policy rules of a link. A rule without a network is for IPv4 and IPv6.
#[must_use]
pub fn rules(keys: &Addressing) -> Vec<Rule> {
    let mut rules = Vec::new();
    for rule in &keys.rules {
        let family = rule.from.or(rule.to).map(|network| network.ip.is_ipv4());
        for is_four in [true, false].into_iter().filter(|four| family.is_none_or(|family| family == *four)) {
            // A network of length 0 is everything, which the kernel does not list.
            let part = |network: Option<Prefix>| network.filter(|network| network.length > 0);
            rules.push(Rule {
                is_four,
                priority: rule.priority.unwrap_or(PRIORITY),
                from: part(rule.from),
                to: part(rule.to),
                mark: rule.mark,
                incoming: rule.incoming.as_ref().map(ToString::to_string),
                table: rule.table,
            });
        }
    }
    rules
}
