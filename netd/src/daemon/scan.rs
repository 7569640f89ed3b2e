//! Links that appear, change and disappear.

use super::{Daemon, now, seed};
use crate::{
    interface::{Interface, Sight},
    link::Link,
    plan::{self, Dhcp6Use, Role},
    reconcile,
    report::Bare,
    rtnetlink::link::RaFlags,
    shape::{Shaped, shape},
    wanted, wireguard,
};
use berth_contract::fault::Failure;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

impl Daemon<'_> {
    /// Reads all links again, makes the virtual ones, and starts or stops managing links.
    pub(super) fn scan(&mut self) -> Result<(), Failure> {
        let choice = &self.options.choice;
        let Shaped { links, mut errors, waits } = shape(&mut self.kernel, &self.settings.network, choice)?;
        let local = self.local_addresses()?;
        let mut roles = plan::roles(&self.settings.network, choice, &links);
        let still = |index: &u32, old: &mut Interface| {
            let is_managed = matches!(roles.get(index), Some(Role::Managed(_)));
            // A client of DHCP has the hardware address in its messages. A bond or bridge takes the address of a port.
            let has_client = old.four().is_some() || old.six().is_some();
            let same = |link: &Link| link.name == old.link.name && (!has_client || link.mac == old.link.mac);
            is_managed && links.get(index).is_some_and(same)
        };
        let gone: Vec<_> = self.interfaces.extract_if(.., |index, old| !still(index, old)).collect();
        for (index, mut interface) in gone {
            if links.contains_key(&index) {
                interface.release(&mut self.kernel);
            }
            self.say(&interface.link.name, "gone");
        }
        errors.extend(self.set_keys(&links));
        self.bare.clear();
        for (index, link) in links {
            match roles.remove(&index) {
                Some(Role::Managed(settings)) => self.manage(index, link, settings, local.get(&index).copied())?,
                Some(Role::Port { master, mtu }) => {
                    // A link that a bond is to take as its port must stay down until then.
                    if !link.up && link.master.is_some() {
                        errors.extend(self.kernel.set_up(index).err().map(|error| error.to_string()));
                    }
                    if let Some(mtu) = mtu.filter(|&mtu| mtu != link.mtu) {
                        errors.extend(self.kernel.set_mtu(index, mtu).err().map(|error| error.to_string()));
                    }
                    self.bare.insert(index, Bare { link, master: Some(master) });
                }
                None if choice.has(&link) => _ = self.bare.insert(index, Bare { link, master: None }),
                None => {}
            }
        }
        let keys = self.interfaces.values().map(|interface| &interface.settings.keys);
        let rules: Vec<_> = keys.flat_map(wanted::rules).collect();
        errors.extend(reconcile::rules(&mut self.kernel, &rules).iter().map(ToString::to_string));
        let refused = errors.len();
        errors.extend(waits);
        for error in errors.iter().filter(|error| !self.errors.contains(error)) {
            // If the log cannot be written, the error has nowhere else to go.
            let _ = writeln!(self.log, "{error}");
        }
        self.pace.count(refused > 0, now());
        self.errors = errors;
        Ok(())
    }

    /// Sets keys and peers of the WireGuard links that are new or have new settings. Returns what the kernel refuses.
    fn set_keys(&mut self, links: &BTreeMap<u32, Link>) -> Vec<String> {
        let mut refused = Vec::new();
        self.keys.retain(|index, _| links.contains_key(index));
        for table in &self.settings.network.wireguards {
            let found = links.iter().find(|(_, link)| link.is_ours && link.name == table.name.as_str());
            let Some((&index, _)) = found.filter(|(index, _)| self.keys.get(index) != Some(table)) else { continue };
            match wireguard::configure(table, self.keys.get(&index)) {
                Ok(()) => _ = self.keys.insert(index, table.clone()),
                Err(error) => refused.push(error.to_string()),
            }
        }
        refused
    }

    /// The link-local addresses in use, by interface.
    fn local_addresses(&mut self) -> Result<BTreeMap<u32, Ipv6Addr>, Failure> {
        let addresses = self.kernel.addresses()?.into_iter().filter(|address| !address.unsure);
        let local = addresses.filter_map(|address| match address.ip {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => Some((address.index, ip)),
            _ => None,
        });
        Ok(local.collect())
    }

    /// Starts to manage a link, or handles its new state and its new settings.
    fn manage(
        &mut self,
        index: u32,
        link: Link,
        settings: plan::Managed,
        local: Option<Ipv6Addr>,
    ) -> Result<(), Failure> {
        let name = link.name.clone();
        if !link.up {
            let up = self.kernel.set_up(index);
            self.log_error(&name, up);
        }
        let followed = match self.interfaces.get_mut(&index) {
            None => Interface::adopt(index, link.clone(), settings, &self.options.directory, seed()?, now())
                .map(|interface| _ = self.interfaces.insert(index, interface)),
            Some(interface) if interface.settings != settings => interface.follow(settings, seed()?, now()),
            Some(_) => Ok(()),
        };
        if let Err(error) = followed {
            self.say(&name, format_args!("cannot be managed: {error}"));
        }
        let Some(interface) = self.interfaces.get_mut(&index) else { return Ok(()) };
        let news =
            (interface.link.carrier != link.carrier).then_some(if link.carrier { "carrier" } else { "no carrier" });
        let asks = interface.settings.dhcp6 == Dhcp6Use::Announced;
        let router = if asks { self.kernel.ra_flags(index) } else { RaFlags::default() };
        let sight = Sight { link, router, local, hostname: hostname(), seed: seed()? };
        let events = interface.see(sight, now());
        let refused = interface.apply(now(), &mut self.kernel);
        news.into_iter().for_each(|word| self.say(&name, word));
        refused.iter().for_each(|error| self.say(&name, error));
        events.into_iter().try_for_each(|event| self.handle(index, event))
    }
}

/// The host name; `None` if the kernel has only a default name.
fn hostname() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    (!["", "(none)", "localhost"].contains(&name.as_str())).then_some(name)
}
