//! The files that netd writes for the rest of the host: the resolver's configuration and a status report.

use crate::{lease::Lease, link::Link, rtnetlink::Address};
use berth_contract::{
    control::{InterfaceStatus, NetworkStatus},
    fault::{At, PathError},
    paths,
};
use berth_file::{Flush, replace};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

/// An interface and its lease.
#[derive(Clone, Debug)]
pub struct Configured<'a> {
    /// The link as it was last read.
    pub link: &'a Link,
    /// Kernel index.
    pub index: u32,
    /// The lease in force, if there is one.
    pub lease: Option<&'a Lease>,
    /// Name servers of router advertisements.
    pub servers: Vec<Ipv6Addr>,
    /// Search domains of router advertisements.
    pub domains: Vec<&'a str>,
}

/// Written to resolv.conf as long as there is no IPv4 name server. A resolver asks its own machine, where nothing listens, so it gets an
/// error at once. docker takes over this address. Without any usable IPv4 address in the file, docker gives its containers name servers of
/// its own choice.
const NO_SERVER: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// Every user may read the files.
const MODE: u32 = 0o644;

/// Writes the two files when their content changes. They are on a file system in memory, so they are not flushed.
#[derive(Debug)]
pub struct Publisher {
    resolv_conf: PathBuf,
    status: PathBuf,
    last: Option<(String, NetworkStatus)>,
}

impl Publisher {
    /// Writes into `directory`. The file names are those of [`paths::RESOLV_CONF`] and [`paths::NETWORK_STATUS`].
    ///
    /// # Errors
    /// When the directory cannot be created.
    pub fn new(directory: &Path) -> Result<Self, PathError> {
        let inside = |path: &str| Path::new(path).file_name().map(|name| directory.join(name)).unwrap_or_default();
        fs::create_dir_all(directory).at("create", directory)?;
        let (resolv_conf, status) = (inside(paths::RESOLV_CONF), inside(paths::NETWORK_STATUS));
        Ok(Self { resolv_conf, status, last: None })
    }

    /// Writes the files that have changed. Returns whether the content of one has changed. `settled` is for the status.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn publish(
        &mut self,
        interfaces: &[Configured<'_>],
        addresses: &[Address],
        settled: bool,
    ) -> Result<bool, PathError> {
        let now = (resolv_conf(interfaces), status(interfaces, addresses, settled));
        let old = self.last.as_ref();
        let changed = old != Some(&now);
        if old.is_none_or(|(text, _)| *text != now.0) {
            replace(&self.resolv_conf, now.0.as_bytes(), MODE, Flush::Nothing)?;
        }
        if old.is_none_or(|(_, status)| *status != now.1) {
            let text = serde_json::to_vec(&now.1).map_err(std::io::Error::from);
            replace(&self.status, &text.at("write", &self.status)?, MODE, Flush::Nothing)?;
        }
        self.last = Some(now);
        Ok(changed)
    }
}

/// The interfaces whose name servers are used: those with a carrier. Those without one only if no other interface has servers.
fn in_use<'a>(interfaces: &'a [Configured<'a>]) -> impl Iterator<Item = &'a Configured<'a>> {
    let has_servers = |i: &Configured<'_>| i.lease.is_some_and(|lease| !lease.dns.is_empty()) || !i.servers.is_empty();
    let connected = interfaces.iter().any(|i| i.link.carrier && has_servers(i));
    interfaces.iter().filter(move |i| i.link.carrier || !connected)
}

/// Name servers, each with the name of its interface if its address is valid on that link only.
fn dns<'a>(interfaces: &'a [Configured<'a>]) -> Vec<(IpAddr, Option<&'a str>)> {
    let mut servers = Vec::new();
    for interface in in_use(interfaces) {
        let four = interface.lease.into_iter().flat_map(|lease| &lease.dns).map(|server| (IpAddr::V4(*server), None));
        let zone = |server: &Ipv6Addr| server.is_unicast_link_local().then_some(interface.link.name.as_str());
        let six = interface.servers.iter().map(|server| (IpAddr::V6(*server), zone(server)));
        for server in four.chain(six) {
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
    }
    servers
}

/// resolv.conf(5). glibc's resolver uses the first three servers only; other resolvers may use more.
fn resolv_conf(interfaces: &[Configured<'_>]) -> String {
    let mut text = String::from("# Written by netd.\n");
    let servers = dns(interfaces);
    for (server, zone) in &servers {
        let zone = zone.map(|zone| format!("%{zone}")).unwrap_or_default();
        text += &format!("nameserver {server}{zone}\n");
    }
    if !servers.iter().any(|(server, _)| server.is_ipv4() && !server.is_loopback()) {
        text += &format!("nameserver {NO_SERVER}\n");
    }
    let mut search: Vec<&str> = Vec::new();
    for interface in in_use(interfaces) {
        let leased = interface.lease.into_iter().flat_map(|lease| &lease.search).map(String::as_str);
        for domain in leased.chain(interface.domains.iter().copied()) {
            if !search.contains(&domain) {
                search.push(domain);
            }
        }
    }
    if !search.is_empty() {
        text += &format!("search {}\n", search.join(" "));
    }
    text
}

fn status(interfaces: &[Configured<'_>], addresses: &[Address], settled: bool) -> NetworkStatus {
    let one = |interface: &Configured<'_>| {
        let own = addresses.iter().filter(|a| a.index == interface.index && a.global && !a.unsure);
        let addresses: Vec<String> = own.map(|a| format!("{}/{}", a.ip, a.prefix)).collect();
        let Link { name, carrier, mtu, .. } = interface.link;
        let gateway = interface.lease.filter(|_| *carrier).and_then(Lease::gateway);
        let lifetime = interface.lease.and_then(|lease| lease.lifetime);
        (interface.lease.is_some() || !addresses.is_empty()).then(|| InterfaceStatus {
            name: name.clone(),
            addresses,
            gateway: gateway.map(IpAddr::V4),
            carrier: *carrier,
            mtu: *mtu,
            lease_seconds: lifetime.map(|life| u32::try_from(life.as_secs()).unwrap_or(u32::MAX)),
        })
    };
    NetworkStatus {
        interfaces: interfaces.iter().filter_map(one).collect(),
        dns: dns(interfaces).into_iter().map(|(server, _)| server).collect(),
        settled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{BOOTREPLY, Message, MessageType, code};

    fn lease(dns: &[u8], domain: &str) -> Lease {
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

    fn link(name: &str, carrier: bool) -> Link {
        Link { name: name.to_owned(), mac: [0; 6], up: true, carrier, mtu: 1500 }
    }

    fn address(index: u32, ip: &str, global: bool, unsure: bool) -> Address {
        Address { index, ip: ip.parse().unwrap(), prefix: 64, global, permanent: false, unsure }
    }

    fn configured<'a>(link: &'a Link, index: u32, lease: Option<&'a Lease>) -> Configured<'a> {
        Configured { link, index, lease, servers: Vec::new(), domains: Vec::new() }
    }

    #[test]
    fn the_files_follow_the_leases_and_are_written_only_on_changes() {
        let dir = tempfile::tempdir().unwrap();
        let mut publisher = Publisher::new(&dir.path().join("netd")).unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join("netd").join(name)).unwrap();
        assert!(publisher.publish(&[], &[], false).unwrap());
        assert_eq!(read("resolv.conf"), "# Written by netd.\nnameserver 0.0.0.0\n");

        let (a, b) =
            (lease(&[10, 0, 2, 3, 9, 9, 9, 9], "example.org"), lease(&[9, 9, 9, 9], "lan.example.org example.org"));
        let links = ["eth0", "eth1", "eth2"].map(|name| link(name, true));
        let two =
            [configured(&links[0], 2, Some(&a)), configured(&links[1], 3, Some(&b)), configured(&links[2], 4, None)];
        let addresses = [
            address(2, "10.0.2.15", true, false),
            address(2, "fe80::1", false, false),
            address(2, "2001:db8::1", true, false),
            address(3, "2001:db8::2", true, true),
            address(9, "172.17.0.1", true, false),
        ];
        assert!(publisher.publish(&two, &addresses, true).unwrap());
        assert!(!publisher.publish(&two, &addresses, true).unwrap());
        assert_eq!(
            read("resolv.conf"),
            "# Written by netd.\nnameserver 10.0.2.3\nnameserver 9.9.9.9\nsearch example.org lan.example.org\n"
        );
        let status: NetworkStatus = serde_json::from_str(&read("status.json")).unwrap();
        assert_eq!((status.interfaces.len(), status.settled), (2, true));
        assert_eq!(status.interfaces[0].addresses, ["10.0.2.15/64", "2001:db8::1/64"]);
        assert_eq!((status.interfaces[0].gateway, status.interfaces[0].mtu), (Some([10, 0, 2, 2].into()), 1500));
        assert_eq!((status.interfaces[1].addresses.len(), status.interfaces[1].lease_seconds), (0, Some(600)));
        assert_eq!(fs::read_dir(dir.path().join("netd")).unwrap().count(), 2, "no temporary file is left");
    }

    #[test]
    fn a_link_without_a_carrier_gives_its_gateway_and_its_servers_back() {
        let (a, b) = (lease(&[10, 0, 2, 3], "a.example"), lease(&[10, 1, 2, 3], "b.example"));
        let (up, down) = (link("eth1", true), link("eth0", false));
        let both = [configured(&down, 2, Some(&a)), configured(&up, 3, Some(&b))];
        assert_eq!(resolv_conf(&both), "# Written by netd.\nnameserver 10.1.2.3\nsearch b.example\n");
        let status = status(&both, &[], true);
        let shown: Vec<_> = status.interfaces.iter().map(|one| (one.carrier, one.gateway.is_some())).collect();
        assert_eq!(shown, [(false, false), (true, true)]);
        let alone = resolv_conf(&both[..1]);
        assert!(alone.contains("10.0.2.3"), "the only servers are kept: {alone}");
    }

    #[test]
    fn servers_of_router_advertisements_are_published() {
        let (up, servers) = (link("eth0", true), ["fd00:77::1", "fe80::1"].map(|text| text.parse().unwrap()).to_vec());
        let six = [Configured { servers, domains: vec!["lan.example"], ..configured(&up, 2, None) }];
        assert_eq!(
            resolv_conf(&six),
            "# Written by netd.\nnameserver fd00:77::1\nnameserver fe80::1%eth0\nnameserver 0.0.0.0\nsearch lan.example\n"
        );
        let status = status(&six, &[address(2, "fd00:77::5", true, false)], true);
        assert_eq!(status.dns.iter().map(ToString::to_string).collect::<Vec<_>>(), ["fd00:77::1", "fe80::1"]);
        assert_eq!(status.interfaces[0].addresses, ["fd00:77::5/64"]);
    }
}
