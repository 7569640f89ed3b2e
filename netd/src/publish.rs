//! The files that netd writes for the rest of the host: the resolver's configuration and a status report.

use crate::{lease::Lease, rtnetlink::Address};
use berth_contract::{
    control::{InterfaceStatus, NetworkStatus},
    fault::{At, PathError},
    paths,
};
use berth_file::{Flush, replace};
use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// An interface and its lease.
#[derive(Clone, Copy, Debug)]
pub struct Configured<'a> {
    /// Kernel name.
    pub name: &'a str,
    /// Kernel index.
    pub index: u32,
    /// The lease in force, if there is one.
    pub lease: Option<&'a Lease>,
}

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

    /// Writes the files that have changed. Returns whether the content of one has changed.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn publish(&mut self, interfaces: &[Configured<'_>], addresses: &[Address]) -> Result<bool, PathError> {
        let now = (resolv_conf(interfaces), status(interfaces, addresses));
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

fn dns(interfaces: &[Configured<'_>]) -> Vec<IpAddr> {
    let mut servers = Vec::new();
    for server in interfaces.iter().filter_map(|i| i.lease).flat_map(|lease| &lease.dns) {
        let server = IpAddr::V4(*server);
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

/// resolv.conf(5). glibc's resolver uses the first three servers only; other resolvers may use more.
fn resolv_conf(interfaces: &[Configured<'_>]) -> String {
    let mut text = String::from("# Written by netd from DHCP.\n");
    for server in dns(interfaces) {
        text += &format!("nameserver {server}\n");
    }
    let mut search: Vec<&str> = Vec::new();
    for domain in interfaces.iter().filter_map(|i| i.lease).flat_map(|lease| &lease.search) {
        if !search.contains(&domain.as_str()) {
            search.push(domain);
        }
    }
    if !search.is_empty() {
        text += &format!("search {}\n", search.join(" "));
    }
    text
}

fn status(interfaces: &[Configured<'_>], addresses: &[Address]) -> NetworkStatus {
    let one = |interface: &Configured<'_>| {
        let own = addresses.iter().filter(|a| a.index == interface.index && a.global && !a.unsure);
        let addresses: Vec<String> = own.map(|a| format!("{}/{}", a.ip, a.prefix)).collect();
        (interface.lease.is_some() || !addresses.is_empty()).then(|| InterfaceStatus {
            name: interface.name.to_owned(),
            addresses,
            gateway: interface.lease.and_then(Lease::gateway).map(IpAddr::V4),
            lease_seconds: interface
                .lease
                .and_then(|lease| lease.lifetime)
                .map(|life| u32::try_from(life.as_secs()).unwrap_or(u32::MAX)),
        })
    };
    NetworkStatus { interfaces: interfaces.iter().filter_map(one).collect(), dns: dns(interfaces) }
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

    #[test]
    fn the_files_follow_the_leases_and_are_written_only_on_changes() {
        let dir = tempfile::tempdir().unwrap();
        let mut publisher = Publisher::new(&dir.path().join("netd")).unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join("netd").join(name)).unwrap();
        assert!(publisher.publish(&[], &[]).unwrap());
        assert_eq!(read("resolv.conf"), "# Written by netd from DHCP.\n");

        let (a, b) =
            (lease(&[10, 0, 2, 3, 9, 9, 9, 9], "example.org"), lease(&[9, 9, 9, 9], "lan.example.org example.org"));
        let two = [("eth0", 2, Some(&a)), ("eth1", 3, Some(&b)), ("eth2", 4, None)]
            .map(|(name, index, lease)| Configured { name, index, lease });
        let address = |index: u32, ip: &str, global, unsure| Address {
            index,
            ip: ip.parse().unwrap(),
            prefix: 64,
            global,
            permanent: false,
            unsure,
        };
        let addresses = [
            address(2, "10.0.2.15", true, false),
            address(2, "fe80::1", false, false),
            address(2, "2001:db8::1", true, false),
            address(3, "2001:db8::2", true, true),
            address(9, "172.17.0.1", true, false),
        ];
        assert!(publisher.publish(&two, &addresses).unwrap());
        assert!(!publisher.publish(&two, &addresses).unwrap());
        assert_eq!(
            read("resolv.conf"),
            "# Written by netd from DHCP.\nnameserver 10.0.2.3\nnameserver 9.9.9.9\nsearch example.org lan.example.org\n"
        );
        let status: NetworkStatus = serde_json::from_str(&read("status.json")).unwrap();
        assert_eq!(status.interfaces.len(), 2);
        assert_eq!(status.interfaces[0].addresses, ["10.0.2.15/64", "2001:db8::1/64"]);
        assert_eq!(status.interfaces[0].gateway, Some([10, 0, 2, 2].into()));
        assert_eq!((status.interfaces[1].addresses.len(), status.interfaces[1].lease_seconds), (0, Some(600)));
        assert_eq!(fs::read_dir(dir.path().join("netd")).unwrap().count(), 2, "no temporary file is left");
    }
}
