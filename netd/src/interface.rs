//! One managed link: its settings, its DHCP client, and what is applied in the kernel.

use crate::{
    client::Moment,
    dhcp4::{Dhcp4, Event},
    lease::Lease,
    link::Link,
    netlink::Refused,
    plan::Managed,
    reconcile,
    rtnetlink::{self, Rtnetlink},
    wanted::{self, Wanted},
};
use std::{fs, io};

/// MTU of an Ethernet card whose setting was removed.
const ETHERNET_MTU: u32 = 1500;

/// A managed link.
#[derive(Debug)]
pub struct Interface {
    /// The link as it was last read.
    pub link: Link,
    /// Its settings.
    pub settings: Managed,
    index: u32,
    four: Option<Dhcp4>,
    applied: Wanted,
    /// What the kernel has refused at the last try: it is reported once.
    refused: Vec<String>,
}

impl Interface {
    /// Starts to manage a link.
    ///
    /// # Errors
    /// When the packet socket cannot be opened.
    pub fn adopt(index: u32, link: Link, settings: Managed, seed: u64) -> io::Result<Self> {
        set(&link.name, "ipv6", "disable_ipv6", "0");
        // While there is no carrier, the kernel does not use the link's routes, including those that it made itself.
        for family in ["ipv4", "ipv6"] {
            set(&link.name, family, "ignore_routes_with_linkdown", "1");
        }
        // When an address goes, the kernel keeps the others of its network.
        set(&link.name, "ipv4", "promote_secondaries", "1");
        let (applied, refused) = (Wanted::default(), Vec::new());
        let link = Link { carrier: false, ..link };
        let mut interface = Self { link, settings: Managed::default(), index, four: None, applied, refused };
        interface.follow(settings, seed)?;
        if interface.link.up {
            // Without an answer the servers of the next regular advertisement are used.
            let _ = rtnetlink::solicit(index);
        }
        Ok(interface)
    }

    /// Takes new settings. What they do not change goes on.
    ///
    /// # Errors
    /// When the packet socket cannot be opened.
    pub fn follow(&mut self, settings: Managed, seed: u64) -> io::Result<()> {
        let keys = &settings.keys;
        let is_on = |on: bool, word: &'static str| if on { word } else { "0" };
        // Container engines turn forwarding on. The kernel then ignores router advertisements unless `accept_ra` is 2.
        self.set_ipv6("accept_ra", is_on(keys.router_advertisements.unwrap_or(true), "2"));
        self.set_ipv6("use_tempaddr", is_on(keys.privacy.unwrap_or(false), "2"));
        self.set_ipv6("ra_defrtr_metric", &wanted::metric(self.index, keys).to_string());
        if let Some(mac) = self.link.mac.filter(|_| settings.dhcp4) {
            if self.four.is_none() {
                self.four = Some(Dhcp4::new(self.index, mac, seed)?);
                // The next sight of the link starts the client.
                self.link.carrier = false;
            }
        } else {
            self.four = None;
        }
        let had_mtu = self.settings.keys.mtu.is_some();
        self.settings = settings;
        if had_mtu && self.settings.keys.mtu.is_none() && self.link.is_hardware {
            self.settings.keys.mtu = self.lease().is_none_or(|lease| lease.mtu.is_none()).then_some(ETHERNET_MTU);
        }
        Ok(())
    }

    fn set_ipv6(&self, name: &str, value: &str) {
        set(&self.link.name, "ipv6", name, value);
    }

    /// The lease in force.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.four.as_ref().and_then(Dhcp4::lease)
    }

    /// The DHCPv4 client.
    #[must_use]
    pub fn four(&self) -> Option<&Dhcp4> {
        self.four.as_ref()
    }

    /// When to call [`Interface::work`].
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        self.four.as_ref().and_then(Dhcp4::deadline)
    }

    /// Handles the new state of the link.
    pub fn see(&mut self, link: Link, now: Moment, hostname: Option<String>) -> Vec<Event> {
        let had_carrier = std::mem::replace(&mut self.link, link).carrier;
        let Some(four) = &mut self.four else { return Vec::new() };
        let events = match (had_carrier, self.link.carrier) {
            (false, true) => four.carrier_up(now, hostname),
            (true, false) => {
                four.carrier_down();
                Vec::new()
            }
            _ => Vec::new(),
        };
        self.note(events)
    }

    /// Reads all waiting packets, and performs what is due at this time.
    pub fn work(&mut self, now: Moment) -> Vec<Event> {
        let Some(four) = &mut self.four else { return Vec::new() };
        let mut events = four.receive(now);
        events.extend(four.tick(now));
        self.note(events)
    }

    /// A renewed lease gives its address a new lifetime.
    fn note(&mut self, events: Vec<Event>) -> Vec<Event> {
        if events.iter().any(|event| matches!(event, Event::Leased(..))) {
            self.applied.addresses.retain(|address| address.lifetime.is_none());
        }
        events
    }

    /// Brings the kernel to what settings and leases say. Returns what the kernel refuses, except what it has refused before.
    pub fn apply(&mut self, now: Moment, kernel: &mut Rtnetlink) -> Vec<String> {
        let left = self.four.as_ref().and_then(Dhcp4::end).map(|end| end.saturating_sub(now));
        let wanted = Wanted::of(self.index, &self.settings.keys, self.link.carrier, self.lease(), left);
        let mut refused = Vec::new();
        let leased = self.lease().and_then(|lease| lease.mtu);
        if let Some(mtu) = self.settings.keys.mtu.or(leased).filter(|&mtu| mtu != self.link.mtu) {
            match kernel.set_mtu(self.index, mtu) {
                // The next report has it already: an engine that waits for the lease reads it there.
                Ok(()) => self.link.mtu = mtu,
                Err(error) => refused.push(error),
            }
        }
        refused.extend(reconcile::interface(kernel, self.index, &self.applied, &wanted));
        self.applied = wanted;
        if let Some(four) = &mut self.four {
            four.listen();
        }
        self.news(refused)
    }

    /// Removes what netd has set.
    pub fn release(&mut self, kernel: &mut Rtnetlink) {
        // If the link is gone, there is nothing to remove.
        let _ = reconcile::interface(kernel, self.index, &self.applied, &Wanted::default());
    }

    /// What the kernel has refused at the last try.
    #[must_use]
    pub fn refused(&self) -> &[String] {
        &self.refused
    }

    fn news(&mut self, refused: Vec<Refused>) -> Vec<String> {
        let all: Vec<String> = refused.iter().map(ToString::to_string).collect();
        let news = all.iter().filter(|text| !self.refused.contains(text)).cloned().collect();
        self.refused = all;
        news
    }
}

/// Sets a value of the kernel for one link. Without IPv6 its files do not exist; older kernels lack some.
pub fn set(link: &str, family: &str, name: &str, value: &str) {
    let path = format!("/proc/sys/net/{family}/conf/{link}/{name}");
    // A write of the same value may have effects, such as new addresses.
    if fs::read_to_string(&path).is_ok_and(|old| old.trim_end() != value) {
        let _ = fs::write(path, value);
    }
}
