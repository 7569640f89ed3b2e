//! Which time servers are used: those of host.toml, else those of DHCP, else those of the image.

use berth_contract::time_config::{ServerOrigin, TimeConfig, TimeServer};
use std::net::IpAddr;

/// The servers in use, and where they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// `None` if there is no server.
    pub origin: Option<ServerOrigin>,
    /// The servers, each of them once.
    pub list: Vec<TimeServer>,
}

/// Chooses the servers. Sources of servers are not mixed: somebody who names servers in host.toml does not want those of the network.
#[must_use]
pub fn choose(config: &TimeConfig, dhcp: &[IpAddr], image: &TimeConfig) -> Servers {
    let dhcp: Vec<TimeServer> = dhcp.iter().map(TimeServer::plain).collect();
    let sources =
        [(ServerOrigin::Config, &config.servers), (ServerOrigin::Dhcp, &dhcp), (ServerOrigin::Image, &image.servers)];
    let Some((origin, found)) = sources.into_iter().find(|(_, servers)| !servers.is_empty()) else {
        return Servers::default();
    };
    let mut list: Vec<TimeServer> = Vec::new();
    for server in found {
        if !list.contains(server) {
            list.push(server.clone());
        }
    }
    Servers { origin: Some(origin), list }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_toml_is_before_dhcp_and_dhcp_before_the_image() {
        let config = |names: &[&str]| TimeConfig { servers: names.iter().map(TimeServer::plain).collect() };
        let dhcp: Vec<IpAddr> = vec!["192.0.2.1".parse().unwrap(), "192.0.2.1".parse().unwrap()];
        for (ours, dhcp, image, origin, first) in [
            (config(&["a"]), &dhcp[..], config(&["c"]), Some(ServerOrigin::Config), Some("a")),
            (config(&[]), &dhcp[..], config(&["c"]), Some(ServerOrigin::Dhcp), Some("192.0.2.1")),
            (config(&[]), &[], config(&["c", "c"]), Some(ServerOrigin::Image), Some("c")),
            (config(&[]), &[], config(&[]), None, None),
        ] {
            let found = choose(&ours, dhcp, &image);
            assert_eq!((found.origin, found.list.first().map(|one| one.address.as_str())), (origin, first));
            assert!(found.list.len() <= 1, "a server is asked once: {found:?}");
        }
    }
}
