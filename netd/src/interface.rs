//! One managed link: its settings, its DHCP client, and what is applied in the kernel.

use crate::{
    client::Moment,
    client6::Mode,
    dhcp4::{self, Dhcp4},
    dhcp6::{Dhcp6, Event6},
    lease::Lease,
    lease_file::LeaseFile,
    lease6::Lease6,
    link::Link,
    netlink::Refused,
    plan::{Dhcp6Use, Managed},
    reconcile,
    rtnetlink::{self, Rtnetlink, address::NewAddress, link::RaFlags},
    wanted::{self, Leases, Wanted},
};
use std::{
    fs, io,
    net::Ipv6Addr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Time between two tries to use an address that another host has.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// An event of one of the clients.
#[derive(Debug)]
pub enum Event {
    /// Of the DHCPv4 client.
    Four(dhcp4::Event),
    /// Of the DHCPv6 client.
    Six(Event6),
}

/// The state of a link when it is looked at.
#[derive(Debug)]
pub struct Sight {
    /// The link.
    pub link: Link,
    /// What the last router advertisement said.
    pub router: RaFlags,
    /// Its link-local address, if it is in use.
    pub local: Option<Ipv6Addr>,
    /// The host name, for servers.
    pub hostname: Option<String>,
    /// For the random numbers of a new client.
    pub seed: u64,
}

/// A managed link.
#[derive(Debug)]
pub struct Interface {
    /// The link as it was last read.
    pub link: Link,
    /// Its settings.
    pub settings: Managed,
    index: u32,
    /// Directory of the lease files.
    directory: PathBuf,
    four: Option<Dhcp4>,
    six: Option<Dhcp6>,
    applied: Wanted,
    /// The MTU that the link had before netd set one.
    first_mtu: Option<u32>,
    /// The setting has gone: the link gets its first MTU again.
    restores_mtu: bool,
    /// When an address that another host has is tried again.
    again: Option<Moment>,
    /// What the kernel has refused at the last try: it is reported once.
    refused: Vec<String>,
}

impl Interface {
    /// Starts to manage a link.
    ///
    /// # Errors
    /// When the packet socket cannot be opened.
    pub fn adopt(
        index: u32,
        link: Link,
        settings: Managed,
        directory: &Path,
        seed: u64,
        now: Moment,
    ) -> io::Result<Self> {
        set(&link.name, "ipv6", "disable_ipv6", "0");
        // While there is no carrier, the kernel does not use the link's routes, including those that it made itself.
        for family in ["ipv4", "ipv6"] {
            set(&link.name, family, "ignore_routes_with_linkdown", "1");
        }
        // When an address goes, the kernel keeps the others of its network.
        set(&link.name, "ipv4", "promote_secondaries", "1");
        let (applied, refused) = (Wanted::default(), Vec::new());
        let link = Link { carrier: false, ..link };
        let mut interface = Self {
            link,
            settings: Managed::default(),
            index,
            directory: directory.to_owned(),
            four: None,
            six: None,
            applied,
            first_mtu: None,
            restores_mtu: false,
            again: None,
            refused,
        };
        interface.follow(settings, seed, now)?;
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
    pub fn follow(&mut self, settings: Managed, seed: u64, now: Moment) -> io::Result<()> {
        let keys = &settings.keys;
        let is_on = |on: bool, word: &'static str| if on { word } else { "0" };
        // Container engines turn forwarding on. The kernel then ignores router advertisements unless `accept_ra` is 2.
        self.set_ipv6("accept_ra", is_on(keys.router_advertisements.unwrap_or(true), "2"));
        self.set_ipv6("use_tempaddr", is_on(keys.privacy.unwrap_or(false), "2"));
        self.set_ipv6(
            "ra_defrtr_metric", // The kernel refuses 0.
            &wanted::metric(self.index, keys).max(1).to_string(),
        );
        if let Some(mac) = self.link.mac.filter(|_| settings.dhcp4) {
            if self.four.is_none() {
                let file = LeaseFile::new(&self.directory, &self.link.name, "dhcp4");
                self.four = Some(Dhcp4::new(self.index, mac, seed, file, now)?);
                // The next sight of the link starts the client.
                self.link.carrier = false;
            }
        } else {
            self.four = None;
        }
        self.restores_mtu |= self.settings.keys.mtu.is_some();
        self.settings = settings;
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

    /// The DHCPv6 lease in force.
    #[must_use]
    pub fn lease6(&self) -> Option<&Lease6> {
        self.six.as_ref().and_then(Dhcp6::lease)
    }

    /// The DHCPv6 client.
    #[must_use]
    pub fn six(&self) -> Option<&Dhcp6> {
        self.six.as_ref()
    }

    /// The DHCPv4 client.
    #[must_use]
    pub fn four(&self) -> Option<&Dhcp4> {
        self.four.as_ref()
    }

    /// When to call [`Interface::work`].
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let four = self.four.as_ref().and_then(Dhcp4::deadline);
        [four, self.six.as_ref().and_then(Dhcp6::deadline)].into_iter().flatten().min()
    }

    /// Handles the new state of the link.
    pub fn see(&mut self, sight: Sight, now: Moment) -> Vec<Event> {
        self.follow_router(&sight, now);
        let Sight { link, local, hostname, .. } = sight;
        let had_carrier = std::mem::replace(&mut self.link, link).carrier;
        if let Some(six) = &mut self.six {
            six.follow(local.filter(|_| self.link.carrier), now);
        }
        let Some(four) = &mut self.four else { return Vec::new() };
        let events = match (had_carrier, self.link.carrier) {
            (false, true) => four.carrier_up(now, hostname),
            (true, false) => {
                four.carrier_down();
                Vec::new()
            }
            _ => Vec::new(),
        };
        self.note(events.into_iter().map(Event::Four).collect())
    }

    /// Starts or stops DHCPv6, as settings and routers say.
    fn follow_router(&mut self, sight: &Sight, now: Moment) {
        let mode = match self.settings.dhcp6 {
            Dhcp6Use::No => None,
            Dhcp6Use::Yes => Some(Mode::Stateful),
            // RFC 2462 §5.5.3: an advertisement without M does not end the use of a lease. There may be a second router, without DHCPv6.
            Dhcp6Use::Announced
                if sight.router.managed || self.lease6().is_some_and(|lease| !lease.addresses.is_empty()) =>
            {
                Some(Mode::Stateful)
            }
            Dhcp6Use::Announced => sight.router.other.then_some(Mode::Stateless),
        };
        if self.six.as_ref().map(Dhcp6::mode) != mode {
            let file = LeaseFile::new(&self.directory, &self.link.name, "dhcp6");
            let new = |(mode, mac)| Dhcp6::new(self.index, mac, mode, sight.seed, file, now);
            self.six = mode.zip(self.link.mac).map(new);
        }
    }

    /// Reads all waiting packets, and performs what is due at this time.
    pub fn work(&mut self, now: Moment) -> Vec<Event> {
        let mut events = Vec::new();
        if let Some(four) = &mut self.four {
            events.extend(four.receive(now).into_iter().map(Event::Four));
            events.extend(four.tick(now).into_iter().map(Event::Four));
        }
        if let Some(six) = &mut self.six {
            events.extend(six.work(now).into_iter().map(Event::Six));
        }
        self.note(events)
    }

    /// A renewed lease gives its addresses a new lifetime.
    fn note(&mut self, events: Vec<Event>) -> Vec<Event> {
        let renews =
            |event: &Event| matches!(event, Event::Four(dhcp4::Event::Leased(..)) | Event::Six(Event6::Leased(..)));
        if events.iter().any(renews) {
            self.applied.addresses.retain(|address| address.lifetime.is_none());
        }
        events
    }

    fn leases(&self, now: Moment) -> Leases<'_> {
        let left = self.four.as_ref().and_then(Dhcp4::end).map(|end| end.saturating_sub(now));
        let age = self.six.as_ref().and_then(Dhcp6::since).map(|since| now.saturating_sub(since));
        Leases { four: self.lease(), left, six: self.lease6(), age: age.unwrap_or_default() }
    }

    /// Brings the kernel to what settings and leases say. Returns what the kernel refuses, except what it has refused before.
    pub fn apply(&mut self, now: Moment, kernel: &mut Rtnetlink) -> Vec<String> {
        let wanted = Wanted::of(self.index, &self.settings.keys, self.link.carrier, &self.leases(now));
        let mut refused = Vec::new();
        refused.extend(self.apply_mtu(kernel).err());
        refused.extend(reconcile::interface(kernel, self.index, &self.applied, &wanted));
        self.applied = wanted;
        if let Some(four) = &mut self.four {
            four.listen();
        }
        let mut all: Vec<String> = refused.iter().map(ToString::to_string).collect();
        all.extend(self.try_again(now, kernel));
        self.news(all)
    }

    fn apply_mtu(&mut self, kernel: &mut Rtnetlink) -> Result<(), Refused> {
        let restored = if std::mem::take(&mut self.restores_mtu) { self.first_mtu } else { None };
        let leased = self.lease().and_then(|lease| lease.mtu);
        let wanted = self.settings.keys.mtu.or(leased).or(restored).filter(|&mtu| mtu != self.link.mtu);
        let Some(mtu) = wanted else { return Ok(()) };
        kernel.set_mtu(self.index, mtu)?;
        self.first_mtu.get_or_insert(self.link.mtu);
        // The next report has it already: an engine that waits for the lease reads it there.
        self.link.mtu = mtu;
        Ok(())
    }

    /// The addresses that another host has, as faults. From time to time each is set again, which makes the kernel ask again.
    fn try_again(&mut self, now: Moment, kernel: &mut Rtnetlink) -> Vec<String> {
        let failed = reconcile::failed(kernel, self.index, &self.applied);
        match self.again {
            _ if failed.is_empty() => self.again = None,
            Some(again) if now < again => {}
            Some(_) => {
                failed.iter().for_each(|address| _ = reconcile::again(kernel, self.index, address));
                self.again = Some(now + TRY_AGAIN);
            }
            None => self.again = Some(now + TRY_AGAIN),
        }
        let fault = |address: &NewAddress| {
            format!(
                "{}/{}: expected an address of this host only, found another host that has it",
                address.ip, address.prefix
            )
        };
        failed.iter().map(fault).collect()
    }

    /// When to look at the link again.
    #[must_use]
    pub fn again(&self) -> Option<Moment> {
        self.again
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

    fn news(&mut self, all: Vec<String>) -> Vec<String> {
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
