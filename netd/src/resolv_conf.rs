//! The name servers and search domains in use, and the text of resolv.conf(5).

use crate::{lease::Lease, lease6::Lease6, link::Link};
use berth_contract::network_config::{Addressing, DnsConfig};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A link and what is known about its name servers.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// The link as it was last read.
    pub link: &'a Link,
    /// Kernel index.
    pub index: u32,
    /// Its settings.
    pub keys: &'a Addressing,
    /// The lease in force, if there is one.
    pub lease: Option<&'a Lease>,
    /// The DHCPv6 lease in force.
    pub lease6: Option<&'a Lease6>,
    /// Name servers of router advertisements.
    pub servers: Vec<Ipv6Addr>,
    /// Search domains of router advertisements.
    pub domains: Vec<&'a str>,
}

/// A name server, with the name of its interface if its address is valid on that link only.
pub type Server<'a> = (IpAddr, Option<&'a str>);

/// Written to resolv.conf as long as there is no IPv4 name server. A resolver asks its own machine, where nothing listens, so it gets an
/// error at once. docker takes over this address. Without any usable IPv4 address in the file, docker gives its containers name servers of
/// its own choice.
const NO_SERVER: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

impl<'a> Source<'a> {
    /// Settings replace what lease and routers say.
    fn servers(&self) -> Vec<Server<'a>> {
        let name = self.link.name.as_str();
        let zone = |server: IpAddr| {
            let is_local = matches!(server, IpAddr::V6(ip) if ip.is_unicast_link_local());
            (server, is_local.then_some(name))
        };
        if !self.keys.dns.is_empty() {
            return self.keys.dns.iter().copied().map(zone).collect();
        }
        let four = self.lease.into_iter().flat_map(|lease| &lease.dns).map(|server| IpAddr::V4(*server));
        let six = self.lease6.into_iter().flat_map(|lease| lease.dns.iter().copied());
        let six = six.chain(self.servers.iter().copied()).map(IpAddr::V6);
        four.chain(six).map(zone).collect()
    }

    fn search(&self) -> Vec<&'a str> {
        if !self.keys.search.is_empty() {
            return self.keys.search.iter().map(String::as_str).collect();
        }
        let leased = self.lease.into_iter().flat_map(|lease| &lease.search).map(String::as_str);
        let six = self.lease6.into_iter().flat_map(|lease| &lease.search).map(String::as_str);
        leased.chain(six).chain(self.domains.iter().copied()).collect()
    }
}

/// The links whose name servers are used, those with the lowest metric first: links with a carrier. Those without one only if no other
/// link has servers.
fn in_use<'a, 'b>(sources: &'b [Source<'a>]) -> Vec<&'b Source<'a>> {
    let connected = sources.iter().any(|source| source.link.carrier && !source.servers().is_empty());
    let mut used: Vec<_> = sources.iter().filter(|source| source.link.carrier || !connected).collect();
    used.sort_by_key(|source| crate::wanted::metric(source.index, source.keys));
    used
}

/// The name servers in use. Those of `[dns]` replace all others.
#[must_use]
pub fn servers<'a>(sources: &[Source<'a>], dns: &DnsConfig) -> Vec<Server<'a>> {
    if !dns.servers.is_empty() {
        return dns.servers.iter().map(|server| (*server, None)).collect();
    }
    let mut servers = Vec::new();
    for server in in_use(sources).into_iter().flat_map(Source::servers) {
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

/// The search domains in use. Those of `[dns]` replace all others.
#[must_use]
pub fn search(sources: &[Source<'_>], dns: &DnsConfig) -> Vec<String> {
    let found = in_use(sources).into_iter().flat_map(Source::search).map(str::to_owned);
    let all: Vec<String> = if dns.search.is_empty() { found.collect() } else { dns.search.clone() };
    let mut domains: Vec<String> = Vec::new();
    for domain in all {
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    domains
}

/// The text. glibc's resolver uses the first three servers only; other resolvers may use more.
#[must_use]
pub fn text(sources: &[Source<'_>], dns: &DnsConfig) -> String {
    let mut text = String::from("# Written by netd.\n");
    let servers = servers(sources, dns);
    for (server, zone) in &servers {
        let zone = zone.map(|zone| format!("%{zone}")).unwrap_or_default();
        text += &format!("nameserver {server}{zone}\n");
    }
    if !servers.iter().any(|(server, _)| server.is_ipv4() && !server.is_loopback()) {
        text += &format!("nameserver {NO_SERVER}\n");
    }
    let search = search(sources, dns);
    if !search.is_empty() {
        text += &format!("search {}\n", search.join(" "));
    }
    if !dns.options.is_empty() {
        text += &format!("options {}\n", dns.options.join(" "));
    }
    text
}

#[cfg(test)]
#[path = "resolv_conf_tests.rs"]
mod tests;
