//! Rules that serde cannot express. A fault is the path of the key, what was expected, and what was found.

use super::{
    Addressing, Dhcp, DnsConfig, NetworkConfig, Own, Prefix, bond,
    fault::{number, unless},
    glob,
};
use crate::config_fault::ConfigFault;
use std::net::IpAddr;

/// IPv4's least MTU, RFC 791; the largest packet of IP.
const MTU: std::ops::RangeInclusive<u32> = 68..=65535;
/// The least MTU with IPv6, RFC 8200.
const MTU_6: u32 = 1280;

/// Networks of one WireGuard peer: one message to the kernel holds no more.
const NETWORKS: usize = 1000;

pub(super) fn network(config: &NetworkConfig) -> Result<(), ConfigFault> {
    for (index, table) in config.links.iter().enumerate() {
        let place = format!("network.link[{index}]");
        let m = &table.matches;
        if m.name.is_none() && m.mac.is_none() && m.driver.is_none() && m.path.is_none() {
            return Err(ConfigFault::of(&format!("{place}.match"), "name, mac, driver or path", "none of them"));
        }
        addressing(&place, &table.addressing())?;
    }
    let mut seen: Vec<(&'static str, usize)> = Vec::new();
    let links: Vec<Own<'_>> = config.virtual_links().collect();
    for (at, link) in links.iter().enumerate() {
        let number = seen.iter().filter(|(kind, _)| *kind == link.kind()).count();
        seen.push((link.kind(), number));
        let place = format!("network.{}[{number}]", link.kind());
        if let Some(other) = links[..at].iter().find(|other| other.name() == link.name()) {
            return Err(ConfigFault::of(
                &format!("{place}.name"),
                "a name of its own",
                format_args!("{}, which a {} has", link.name(), other.kind()),
            ));
        }
        own(&place, *link)?;
        ports(&place, *link, &links[..at])?;
        circle(&place, *link, &links)?;
        let keys = link.addressing();
        if !link.is_ethernet() && keys.dhcp.is_some_and(|dhcp| dhcp != Dhcp::No) {
            return Err(ConfigFault::of(
                &format!("{place}.dhcp"),
                format!("no dhcp on a link of kind {}", link.kind()),
                "another value",
            ));
        }
        addressing(&place, &keys)?;
    }
    Ok(())
}

pub(super) fn dns(config: &DnsConfig) -> Result<(), ConfigFault> {
    domains("dns.search", &config.search)?;
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_:.".contains(&c);
    match config.options.iter().find(|option| option.is_empty() || !option.bytes().all(plain)) {
        Some(option) => Err(ConfigFault::of(
            "dns.options",
            "an option of resolv.conf such as timeout:2",
            format_args!("{option:?}"),
        )),
        None => Ok(()),
    }
}

fn domains(place: &str, names: &[String]) -> Result<(), ConfigFault> {
    let part = |part: &str| {
        (1..=63).contains(&part.len())
            && !part.starts_with('-')
            && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c))
    };
    let wrong = names.iter().find(|name| name.len() > 253 || !name.trim_end_matches('.').split('.').all(part));
    wrong.map_or(Ok(()), |name| Err(ConfigFault::of(place, "domain names", format_args!("{name:?}"))))
}

fn addressing(place: &str, keys: &Addressing) -> Result<(), ConfigFault> {
    let has_six = keys.addresses.iter().any(|address| address.ip.is_ipv6());
    number(place, "mtu", keys.mtu, if has_six { MTU_6..=*MTU.end() } else { MTU })?;
    domains(&format!("{place}.search"), &keys.search)?;
    let unusable = |ip: &&IpAddr| ip.is_unspecified() || ip.is_multicast();
    unless(place, "dns", "addresses of servers", keys.dns.iter().find(unusable))?;
    unless(place, "gateway", "addresses of routers", keys.gateway.iter().find(unusable))?;
    for four in [true, false] {
        let second = keys.gateway.iter().filter(|ip| ip.is_ipv4() == four).nth(1);
        unless(
            place,
            "gateway",
            "one gateway for each of IPv4 and IPv6",
            second.map(|ip| format!("a second one, {ip}")),
        )?;
    }
    for (index, address) in keys.addresses.iter().enumerate() {
        let again = keys.addresses[..index].iter().find(|other| other.ip == address.ip);
        unless(place, &format!("addresses[{index}]"), "each address once", again.map(|_| format!("{address} again")))?;
    }
    for (index, route) in keys.routes.iter().enumerate() {
        let place = format!("{place}.routes[{index}]");
        let family = |ip: &IpAddr| ip.is_ipv4() != route.to.ip.is_ipv4();
        unless(
            &place,
            "via",
            "an address of the family of `to`",
            route.via.filter(|ip| family(ip) || ip.is_unspecified()),
        )?;
        unless(&place, "source", "an address of the family of `to`", route.source.filter(family))?;
        number(&place, "table", route.table, 1..=u32::MAX)?;
    }
    for (index, rule) in keys.rules.iter().enumerate() {
        let place = format!("{place}.rules[{index}]");
        if rule.from.is_none() && rule.to.is_none() && rule.mark.is_none() && rule.incoming.is_none() {
            return Err(ConfigFault::of(&place, "from, to, mark or incoming", "none of them"));
        }
        let family = |to: &Prefix| rule.from.is_some_and(|from| from.ip.is_ipv4() != to.ip.is_ipv4());
        unless(&place, "to", "a network of the family of `from`", rule.to.filter(family))?;
        number(&place, "table", Some(rule.table), 1..=u32::MAX)?;
        number(&place, "priority", rule.priority, 1..=32765)?;
    }
    Ok(())
}

fn own(place: &str, link: Own<'_>) -> Result<(), ConfigFault> {
    unless(place, "name", "a name other than lo", (link.name().as_str() == "lo").then_some("lo"))?;
    match link {
        Own::Vlan(vlan) => number(place, "id", Some(vlan.id.into()), 1..=4094),
        Own::Bond(table) => bond::check(place, table),
        Own::Bridge(bridge) => {
            number(place, "forward_delay", bridge.forward_delay, 2..=30)?;
            number(place, "hello_time", bridge.hello_time, 1..=10)?;
            number(place, "max_age", bridge.max_age, 6..=40)?;
            number(place, "ageing", bridge.ageing, 0..=1_000_000)?;
            number(place, "default_vlan", bridge.default_vlan.map(u32::from), 0..=4094)
        }
        Own::Vxlan(vxlan) => {
            number(place, "id", Some(vxlan.id), 1..=0xff_ffff)?;
            number(place, "port", vxlan.port.map(u32::from), 1..=65535)?;
            let other =
                vxlan.remote.filter(|remote| vxlan.local.is_some_and(|local| local.is_ipv4() != remote.is_ipv4()));
            unless(place, "remote", "an address of the family of `local`", other)?;
            let alone = vxlan.remote.filter(|remote| remote.is_multicast() && vxlan.link.is_none());
            unless(place, "link", "the link of the multicast group", alone.map(|group| format!("none, with {group}")))
        }
        Own::Wireguard(wireguard) => {
            for (index, peer) in wireguard.peers.iter().enumerate() {
                let again = wireguard.peers[..index].iter().any(|other| other.public_key == peer.public_key);
                unless(
                    place,
                    &format!("peers[{index}].public_key"),
                    "each key once",
                    again.then_some("the key of another peer"),
                )?;
                let many = Some(peer.allowed_ips.len()).filter(|&count| count > NETWORKS);
                unless(place, &format!("peers[{index}].allowed_ips"), &format!("{NETWORKS} networks at most"), many)?;
            }
            Ok(())
        }
        Own::Dummy(_) => Ok(()),
    }
}

/// A link is a port of one link at most, and not of itself.
fn ports(place: &str, link: Own<'_>, before: &[Own<'_>]) -> Result<(), ConfigFault> {
    for (index, port) in link.ports().iter().enumerate() {
        let key = format!("links[{index}]");
        unless(place, &key, "the name of another link", glob(port, link.name().as_str()).then_some(port))?;
        unless(place, &key, "the name of a link", port.is_empty().then_some("an empty text"))?;
        let owner = before.iter().find(|other| other.ports().contains(port));
        unless(
            place,
            &key,
            "a port of one link only",
            owner.map(|owner| format!("{port}, a port of {}", owner.name())),
        )?;
    }
    Ok(())
}

/// A link must not be below itself, directly or through other links.
fn circle(place: &str, link: Own<'_>, links: &[Own<'_>]) -> Result<(), ConfigFault> {
    let next = |name: &str| -> Vec<&str> {
        let Some(found) = links.iter().find(|other| other.name().as_str() == name) else { return Vec::new() };
        let ports = links.iter().map(|other| other.name().as_str());
        let ports = ports.filter(|port| found.ports().iter().any(|pattern| glob(pattern, port)));
        found.below().map(|below| below.as_str()).into_iter().chain(ports).collect()
    };
    let start = link.name().as_str();
    let (mut open, mut seen) = (next(start), Vec::new());
    while let Some(name) = open.pop() {
        if name == start {
            return Err(ConfigFault::of(place, "links without a circle", format_args!("{start} below itself")));
        }
        if !seen.contains(&name) {
            seen.push(name);
            open.extend(next(name));
        }
    }
    Ok(())
}
