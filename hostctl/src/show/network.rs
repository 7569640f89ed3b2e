//! The network as text for people.

use berth_contract::control::{LeaseStatus, LinkStatus, NetworkStatus, RouteStatus, RuleStatus};
use std::net::IpAddr;

/// Links with their addresses and leases, routes, rules, name servers; one fact per line.
#[must_use]
pub fn network(network: &NetworkStatus) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    rows.extend(network.errors.iter().map(|error| ("error", error.clone())));
    for one in &network.links {
        rows.push(("link", link(one)));
        rows.extend(one.addresses.iter().map(|address| ("", format!("address {address}"))));
        rows.extend(one.leases.iter().map(|one| ("", lease(one))));
    }
    rows.extend(network.routes.iter().map(|one| ("route", route(one))));
    rows.extend(network.rules.iter().map(|one| ("rule", rule(one))));
    rows.extend(network.dns.iter().map(|server| ("dns", server.to_string())));
    rows.extend(network.search.iter().map(|domain| ("search", domain.clone())));
    rows.iter().map(|(name, value)| format!("{name:<6}  {value}\n")).collect()
}

fn link(link: &LinkStatus) -> String {
    let carrier = if link.carrier { "carrier" } else { "no carrier" };
    let mut text = format!("{} ({}), {carrier}, MTU {}", link.name, link.kind, link.mtu);
    for part in [&link.mac, &link.driver, &link.path].into_iter().flatten() {
        text += &format!(", {part}");
    }
    if let Some(master) = &link.port_of {
        text += &format!(", port of {master}");
    }
    text
}

fn lease(lease: &LeaseStatus) -> String {
    let what = if lease.addresses.is_empty() { "settings".to_owned() } else { lease.addresses.join(" ") };
    let time = lease.seconds.map_or("without an end".to_owned(), |seconds| format!("for {seconds} s"));
    let mut text = format!("lease {what} by {} from {}, {time}", lease.protocol, lease.server);
    let words = |ips: &[IpAddr]| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let name = lease.hostname.clone().unwrap_or_default();
    let parts = [
        ("dns", words(&lease.dns)),
        ("search", lease.search.join(" ")),
        ("ntp", words(&lease.ntp)),
        ("host name", name),
    ];
    for (word, value) in parts.iter().filter(|(_, value)| !value.is_empty()) {
        text += &format!(", {word} {value}");
    }
    text
}

fn route(route: &RouteStatus) -> String {
    let via = route.via.map(|via| format!(" via {via}")).unwrap_or_default();
    let table = route.table.map(|table| format!(" table {table}")).unwrap_or_default();
    format!("{}{via} on {} metric {}{table} ({})", route.to, route.link, route.metric, route.origin)
}

fn rule(rule: &RuleStatus) -> String {
    let mut text = format!("{}: IPv{}", rule.priority, rule.ip);
    let mark = rule.mark.map(|mark| mark.to_string());
    for (word, value) in [("from", &rule.from), ("to", &rule.to), ("mark", &mark), ("incoming", &rule.incoming)] {
        text += &value.as_ref().map(|value| format!(" {word} {value}")).unwrap_or_default();
    }
    text + &format!(" table {}", rule.table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_has_a_line() {
        let text = r#"{"interfaces":[],"dns":["10.0.2.3"],"settled":true,"search":["lan.example"],
            "links":[{"name":"bond0","kind":"bond","carrier":true,"mac":"02:00:00:00:00:01","mtu":1500,
                "addresses":["10.0.2.15/24"],
                "leases":[{"protocol":"dhcp4","server":"10.0.2.2","addresses":["10.0.2.15/24"],"seconds":600,
                    "dns":["10.0.2.3","10.0.2.4"],"search":["lan.example"],"ntp":["10.0.2.5"],"hostname":"node-9"},
                    {"protocol":"dhcp6","server":"0003"}]},
                {"name":"eth0","kind":"ethernet","carrier":false,"mtu":1500,"driver":"virtio_net","port_of":"bond0"}],
            "routes":[{"to":"0.0.0.0/0","via":"10.0.2.2","link":"bond0","metric":1026,"origin":"dhcp"},
                {"to":"10.9.0.0/16","link":"bond0","metric":5,"table":100,"origin":"static"}],
            "rules":[{"priority":50,"from":"10.0.2.15/32","table":100,"ip":4}],
            "errors":["settings: wrong"]}"#;
        assert_eq!(
            network(&serde_json::from_str(text).unwrap()),
            "error   settings: wrong\n\
             link    bond0 (bond), carrier, MTU 1500, 02:00:00:00:00:01\n\
             \u{20}       address 10.0.2.15/24\n\
             \u{20}       lease 10.0.2.15/24 by dhcp4 from 10.0.2.2, for 600 s, dns 10.0.2.3 10.0.2.4, search lan.example, ntp 10.0.2.5, \
             host name node-9\n\
             \u{20}       lease settings by dhcp6 from 0003, without an end\n\
             link    eth0 (ethernet), no carrier, MTU 1500, virtio_net, port of bond0\n\
             route   0.0.0.0/0 via 10.0.2.2 on bond0 metric 1026 (dhcp)\n\
             route   10.9.0.0/16 on bond0 metric 5 table 100 (static)\n\
             rule    50: IPv4 from 10.0.2.15/32 table 100\n\
             dns     10.0.2.3\n\
             search  lan.example\n"
        );
    }
}
