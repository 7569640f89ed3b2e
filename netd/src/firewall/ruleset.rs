//! The rules as text for `nft -f -`: nft(8). One text is one transaction of the kernel: all of it is in force, or nothing has changed.

use berth_contract::{
    firewall::{FirewallConfig, Opening, Policy, Protocol},
    network_config::{NetworkConfig, Prefix},
};
use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr},
};

/// Port of VXLAN (RFC 7348), if host.toml names none.
const VXLAN_PORT: u16 = 4789;

/// What passes in addition to what always passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What happens to the rest.
    pub policy: Policy,
    /// Ports, with the reason as a comment.
    pub openings: Vec<(Opening, &'static str)>,
    /// Addresses where services of the host listen, with the reason.
    pub listeners: Vec<(SocketAddr, &'static str)>,
    /// Control group whose sockets can be reached.
    pub group: Option<String>,
}

impl Rules {
    /// Adds what `[network]` asks for: the firewall's own table, and the ports of the tunnels that other hosts begin.
    pub fn add_network(&mut self, network: &NetworkConfig) {
        let FirewallConfig { input, allow } = network.firewall.clone().unwrap_or_default();
        self.policy = input;
        self.openings.extend(allow.into_iter().map(|opening| (opening, "host.toml")));
        let udp = |port, from| Opening { port, proto: Protocol::Udp, from };
        let wireguards = network.wireguards.iter().filter_map(|one| one.listen_port);
        self.openings.extend(wireguards.map(|port| (udp(port, Vec::new()), "wireguard")));
        for vxlan in &network.vxlans {
            let other = vxlan.remote.filter(|remote| !remote.is_multicast());
            let from = other.map(|ip| Prefix { ip, length: if ip.is_ipv4() { 32 } else { 128 } });
            self.openings.push((udp(vxlan.port.unwrap_or(VXLAN_PORT), from.into_iter().collect()), "vxlan"));
        }
    }

    /// The text for nft. It replaces the table of an earlier text, and touches no other table.
    #[must_use]
    pub fn text(&self) -> String {
        let policy = match self.policy {
            Policy::Drop => "drop",
            Policy::Accept => "accept",
        };
        // The first line makes the table if there is none, so that it can be deleted.
        let mut text = String::from("table inet berth\ndelete table inet berth\ntable inet berth {\n\tchain input {\n");
        let _ = writeln!(text, "\t\ttype filter hook input priority filter; policy {policy};");
        if self.policy == Policy::Drop {
            for rule in ALWAYS {
                let _ = writeln!(text, "\t\t{rule}");
            }
            if let Some(group) = &self.group {
                let level = group.split('/').count();
                let _ = writeln!(text, "\t\tsocket cgroupv2 level {level} \"{group}\" accept comment \"published ports\"");
            }
            for (address, why) in &self.listeners {
                let to = match address.ip() {
                    ip if ip.is_unspecified() => String::new(),
                    IpAddr::V4(ip) => format!("ip daddr {ip} "),
                    IpAddr::V6(ip) => format!("ip6 daddr {ip} "),
                };
                let _ = writeln!(text, "\t\t{to}tcp dport {} accept comment \"{why}\"", address.port());
            }
            for (opening, why) in &self.openings {
                for from in sources(&opening.from) {
                    let (proto, port) = (opening.proto, opening.port);
                    let _ = writeln!(text, "\t\t{from}{proto} dport {port} accept comment \"{why}\"");
                }
            }
            text.push_str("\t\tcounter comment \"dropped\"\n");
        }
        text.push_str("\t}\n}\n");
        text
    }
}

/// What always passes.
const ALWAYS: [&str; 9] = [
    "ct state established,related accept",
    "ct state invalid drop",
    "iif \"lo\" accept",
    // Without these, a host cannot be found, and its connections do not learn the size of packets (RFC 4890).
    "icmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } accept",
    "icmpv6 type { echo-request, destination-unreachable, packet-too-big, time-exceeded, parameter-problem, \
     nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect, mld-listener-query } accept",
    "ip protocol igmp accept",
    // Answers to requests of DHCP do not belong to a connection: the requests go to all.
    "meta nfproto ipv4 udp sport 67 udp dport 68 accept",
    "meta nfproto ipv6 udp sport 547 udp dport 546 accept",
    // Packets of published ports that the engine sends to a program of its own on this host.
    "ct status dnat accept",
];

/// Matches of the sources, one for each version of IP; an empty one for all sources.
fn sources(from: &[Prefix]) -> Vec<String> {
    if from.is_empty() {
        return vec![String::new()];
    }
    let list = |v4: bool| {
        let some: Vec<String> = from.iter().filter(|one| one.ip.is_ipv4() == v4).map(ToString::to_string).collect();
        (!some.is_empty()).then(|| format!("{} saddr {{ {} }} ", if v4 { "ip" } else { "ip6" }, some.join(", ")))
    };
    [list(true), list(false)].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_opening_is_a_rule_and_the_rest_is_dropped() {
        let network: NetworkConfig = toml::from_str(
            "[firewall]\nallow = [{ port = 9100, from = ['192.0.2.0/24', '2001:db8::/64'] }, { port = 53, proto = 'udp' }]\n\
             [[wireguard]]\nname = 'wg0'\nprivate_key = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='\nlisten_port = 51820\n\
             [[vxlan]]\nname = 'vx0'\nid = 7\nremote = '192.0.2.9'\n",
        )
        .unwrap();
        let mut rules = Rules { group: Some("system/engine".into()), ..Rules::default() };
        rules.listeners = vec![("0.0.0.0:2376".parse().unwrap(), "a"), ("[2001:db8::1]:1".parse().unwrap(), "b")];
        rules.add_network(&network);
        let text = rules.text();
        for rule in [
            "policy drop;",
            "socket cgroupv2 level 2 \"system/engine\" accept comment \"published ports\"",
            "\t\ttcp dport 2376 accept comment \"a\"",
            "ip6 daddr 2001:db8::1 tcp dport 1 accept comment \"b\"",
            "ip saddr { 192.0.2.0/24 } tcp dport 9100 accept comment \"host.toml\"",
            "ip6 saddr { 2001:db8::/64 } tcp dport 9100 accept",
            "\t\tudp dport 53 accept",
            "\t\tudp dport 51820 accept comment \"wireguard\"",
            "ip saddr { 192.0.2.9/32 } udp dport 4789 accept comment \"vxlan\"",
        ] {
            assert!(text.contains(rule), "{rule}: {text}");
        }
        rules.policy = Policy::Accept;
        let open = rules.text();
        assert!(open.contains("policy accept;") && !open.contains("dport"), "{open}");
    }
}
