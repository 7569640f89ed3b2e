//! What netd does with each link, and the next steps to the virtual links of the settings. Pure: settings and links go in, decisions come
//! out.

use crate::{
    link::{Choice, Link},
    virtual_link,
};
use berth_contract::network_config::{Addressing, Dhcp, NetworkConfig, Own, glob};
use netlink_packet_core::Emitable;
use std::collections::BTreeMap;

/// What netd does with a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has addresses.
    Managed(Managed),
    /// It is, or will be, a port of a bond or bridge.
    Port {
        /// Name of the bond or bridge.
        master: String,
        /// MTU by the table that matches the link.
        mtu: Option<u32>,
    },
}

/// How a link gets its addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Managed {
    /// The address keys of its table.
    pub keys: Addressing,
    /// Whether the link is asked for a DHCPv4 lease.
    pub dhcp4: bool,
    /// Whether DHCPv6 is used.
    pub dhcp6: Dhcp6Use,
}

/// When DHCPv6 is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dhcp6Use {
    /// Never.
    #[default]
    No,
    /// As a router advertisement says.
    Announced,
    /// Always.
    Yes,
}

impl Managed {
    fn new(keys: Addressing, can_ask: bool) -> Self {
        let (dhcp4, dhcp6) = match keys.dhcp() {
            _ if !can_ask => (false, Dhcp6Use::No),
            Dhcp::Yes => (true, Dhcp6Use::Announced),
            Dhcp::V4 => (true, Dhcp6Use::No),
            Dhcp::V6 => (false, Dhcp6Use::Yes),
            Dhcp::No => (false, Dhcp6Use::No),
        };
        Self { keys, dhcp4, dhcp6 }
    }
}

/// A step towards the virtual links of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Remove a link.
    Remove {
        /// Its index.
        index: u32,
    },
    /// Make a link.
    Make {
        /// Its table.
        own: Own<'a>,
        /// Index of the link that it needs.
        below: Option<u32>,
        /// Its alias: says with which settings it was made.
        alias: String,
    },
    /// Change a link in place.
    Change {
        /// Its table.
        own: Own<'a>,
        /// Its index.
        index: u32,
        /// Its new alias.
        alias: String,
    },
    /// Make a link a port.
    Attach {
        /// Index of the port.
        port: u32,
        /// Index of the bond or bridge.
        master: u32,
        /// The table of the bond or bridge.
        own: Own<'a>,
        /// The hardware address that the bridge takes first. By itself it changes its address with its ports, and a DHCP server would
        /// take it for another host.
        mac: Option<[u8; 6]>,
    },
    /// Choose the primary port of a bond.
    Primary {
        /// Index of the bond.
        master: u32,
        /// Index of the port; 0 for none.
        port: u32,
    },
    /// Make a link a port of nothing.
    Detach {
        /// Index of the port.
        port: u32,
    },
}

/// The names that the settings mention: links that netd must look at, of whatever kind they are.
pub fn mentions(config: &NetworkConfig, choice: &Choice, name: &str) -> bool {
    let chosen = matches!(choice, Choice::Named(names) if names.iter().any(|chosen| chosen == name));
    let own = |own: Own<'_>| {
        own.name().as_str() == name
            || own.below().is_some_and(|below| below.as_str() == name)
            // A pattern means cards and links of netd, which are always read.
            || own.ports().iter().any(|port| port == name)
    };
    chosen || config.virtual_links().any(own)
}

/// What netd does with each of the links. A link that is not in the answer is left alone.
#[must_use]
pub fn roles(config: &NetworkConfig, choice: &Choice, links: &BTreeMap<u32, Link>) -> BTreeMap<u32, Role> {
    let role = |link: &Link| {
        let table = config
            .links
            .iter()
            .find(|table| table.matches.fits(&link.name, link.mac, link.driver.as_deref(), link.path.as_deref()));
        let own = config.virtual_links().find(|own| own.name().as_str() == link.name);
        if let Some(master) = master_of(config, choice, link) {
            let mtu = match own {
                Some(own) => own.addressing().mtu,
                None => table.filter(|_| choice.has(link)).and_then(|table| table.mtu),
            };
            return Some(Role::Port { master: master.name().to_string(), mtu });
        }
        if let Some(own) = own {
            return link.is_ours.then(|| Role::Managed(Managed::new(own.addressing(), own.is_ethernet())));
        }
        if !choice.has(link) || link.master.is_some() {
            return None;
        }
        let keys = match table {
            Some(table) => table.addressing(),
            None if config.links.is_empty() => Addressing::default(),
            None => return None,
        };
        Some(Role::Managed(Managed::new(keys, link.mac.is_some())))
    };
    links.iter().filter_map(|(index, link)| Some((*index, role(link)?))).collect()
}

/// The bond or bridge that a link must be a port of. A pattern stands for cards and links of netd only: `*` is not docker's links.
fn master_of<'a>(config: &'a NetworkConfig, choice: &Choice, link: &Link) -> Option<Own<'a>> {
    let is_ours = link.is_ours || choice.has(link);
    config
        .virtual_links()
        .find(|own| own.ports().iter().any(|port| *port == link.name || (is_ours && glob(port, &link.name))))
}

/// The steps that can be taken now. The caller reads the links again afterwards, and asks for the next steps, until there are none: a
/// link that another one needs may exist only then. Second: why other steps cannot be taken.
#[must_use]
pub fn steps<'a>(
    config: &'a NetworkConfig,
    choice: &Choice,
    links: &BTreeMap<u32, Link>,
) -> (Vec<Step<'a>>, Vec<String>) {
    let (mut steps, mut waits) = (Vec::new(), Vec::new());
    let find = |name: &str| links.iter().find(|(_, link)| link.name == name).map(|(index, link)| (*index, link));
    for (&index, link) in links.iter().filter(|(_, link)| link.is_ours) {
        if !config.virtual_links().any(|own| own.name().as_str() == link.name) {
            steps.push(Step::Remove { index });
        }
    }
    for own in config.virtual_links() {
        let below = own.below().map(|below| find(below.as_str()).map(|(index, _)| index));
        let Some(below) = below.map_or(Some(None), |found| found.map(Some)) else {
            let name = own.below().map(ToString::to_string).unwrap_or_default();
            waits.push(format!("{}: expected the link {name}, found none", own.name()));
            continue;
        };
        let alias = alias(own, below);
        match find(own.name().as_str()) {
            None => steps.push(Step::Make { own, below, alias }),
            Some((_, link)) if link.is_ours && link.alias == alias => {}
            Some((index, link)) if link.is_ours && own.kind() == "bridge" && same_kind(&link.alias, &alias) => {
                steps.push(Step::Change { own, index, alias });
            }
            // The drivers of bonds and dummy links make a first link when they are loaded, and leave it down.
            Some((index, link)) if link.is_ours || (is_of_driver(own) && !link.is_hardware && !link.up) => {
                steps.push(Step::Remove { index });
            }
            Some(_) => waits.push(format!("{}: expected no link of this name, found one in use", own.name())),
        }
    }
    steps.extend(primaries(config, links));
    for (&port, link) in links {
        let wanted = master_of(config, choice, link);
        let master = wanted.and_then(|own| find(own.name().as_str()).filter(|(_, link)| link.is_ours));
        match (master, wanted) {
            (Some((master, _)), Some(own)) if link.master != Some(master) => {
                let is_first = !links.values().any(|link| link.master == Some(master) && choice.has(link))
                    && !steps
                        .iter()
                        .any(|step| matches!(step, Step::Attach { master: m, mac: Some(_), .. } if *m == master));
                let takes = is_first && choice.has(link) && matches!(own, Own::Bridge(table) if table.mac.is_none());
                steps.push(Step::Attach { port, master, own, mac: link.mac.filter(|_| takes) });
            }
            // Other programs may add ports to a bridge of netd.
            (None, None) if link.is_ours || choice.has(link) => {
                let is_ours = |master| links.get(&master).is_some_and(|master| master.is_ours);
                if link.master.is_some_and(is_ours) {
                    steps.push(Step::Detach { port });
                }
            }
            _ => {}
        }
    }
    (steps, waits)
}

/// Whether the driver of this kind makes a first link by itself. Links of other kinds with a name of the settings are those of another
/// program, also while they are down.
fn is_of_driver(own: Own<'_>) -> bool {
    matches!(own, Own::Bond(_) | Own::Dummy(_))
}

/// The bonds whose primary port is another one than in the settings.
fn primaries<'a>(config: &NetworkConfig, links: &BTreeMap<u32, Link>) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    for bond in &config.bonds {
        let own = links.iter().find(|(_, link)| link.is_ours && link.name == bond.name.as_str());
        let Some((&master, link)) = own else { continue };
        let wanted = bond.primary.as_ref().map(|primary| primary.as_str());
        if link.primary.as_deref() == wanted {
            continue;
        }
        let is_port = |link: &Link| link.master == Some(master) && Some(link.name.as_str()) == wanted;
        let port = links.iter().find(|(_, link)| is_port(link)).map(|(index, _)| *index);
        steps.extend(port.or(wanted.is_none().then_some(0)).map(|port| Step::Primary { master, port }));
    }
    steps
}

/// The kind, and a digest of the message that makes the link (FNV-1a). A link whose alias is another one was made with other settings.
fn alias(own: Own<'_>, below: Option<u32>) -> String {
    let message = virtual_link::message(own, below);
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let digest = bytes.iter().fold(0xcbf2_9ce4_8422_2325, step);
    format!("netd {} {digest:016x}", own.kind())
}

fn same_kind(a: &str, b: &str) -> bool {
    a.rsplit_once(' ').map(|(kind, _)| kind) == b.rsplit_once(' ').map(|(kind, _)| kind)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
