//! One managed interface: its link, its DHCP client, and the lease that is applied in the kernel.

use crate::sys::packet::PacketSocket;
use crate::{
    client::{Action, Client, Loss, Moment, Note},
    datagram,
    lease::{Lease, Route},
    link::Link,
    message::{CLIENT_PORT, Message, SERVER_PORT},
    rtnetlink::{self, Refused, Rtnetlink},
};
use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, UdpSocket},
};

/// Larger than the metrics that people set by hand. The interface's index is added, so that the order is always the same.
const METRIC: u32 = 1024;
/// Buffer for a packet. The client announces in option 57 that it accepts 1472 bytes.
const PACKET: usize = 2048;

/// A function that sets or removes one route of a lease: interface, lease, route, metric.
type ChangeRoute = fn(&mut Rtnetlink, u32, &Lease, &Route, u32) -> Result<(), Refused>;

/// An event of an interface. The daemon reports it to the log and the supervisor.
#[derive(Debug)]
pub enum Event {
    /// A lease was granted; `true` when its address or routes have changed.
    Leased(Box<Lease>, bool),
    /// The lease has ended.
    Lost(Loss),
    /// A line for the log.
    Note(Note),
    /// The kernel refused a change.
    Refused(Refused),
    /// A message could not be sent.
    Unsent(io::Error),
}

/// A managed interface.
#[derive(Debug)]
pub struct Interface {
    /// The link as it was last read.
    pub link: Link,
    index: u32,
    client: Client,
    packets: PacketSocket,
    /// A UDP socket with the address of the lease: sends renewals and receives their answers.
    unicast: Option<UdpSocket>,
    applied: Option<Lease>,
}

impl Interface {
    /// Starts to manage an interface.
    ///
    /// # Errors
    /// When the packet socket cannot be opened.
    pub fn adopt(index: u32, link: Link, seed: u64) -> io::Result<Self> {
        // Without IPv6 its files do not exist.
        let set = |family: &str, name: &str, value: &str| {
            let _ = fs::write(format!("/proc/sys/net/{family}/conf/{}/{name}", link.name), value);
        };
        // Container engines turn forwarding on. The kernel then ignores router advertisements unless `accept_ra` is 2.
        set("ipv6", "accept_ra", "2");
        // While there is no carrier, the kernel does not use the link's routes, including those that it made itself.
        for family in ["ipv4", "ipv6"] {
            set(family, "ignore_routes_with_linkdown", "1");
        }
        if link.carrier {
            // Without an answer the servers of the next regular advertisement are used.
            let _ = rtnetlink::solicit(index);
        }
        let packets = PacketSocket::open(index, CLIENT_PORT)?;
        let client = Client::new(link.mac, seed);
        Ok(Self { link: Link { carrier: false, ..link }, index, client, packets, unicast: None, applied: None })
    }

    /// The lease in force.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.client.lease()
    }

    /// When to call [`Interface::tick`].
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        self.client.deadline()
    }

    /// The socket that receives packets.
    #[must_use]
    pub fn packets(&self) -> &PacketSocket {
        &self.packets
    }

    /// Handles the new state of the link.
    pub fn see(&mut self, link: Link, now: Moment, hostname: Option<String>, kernel: &mut Rtnetlink) -> Vec<Event> {
        let had_carrier = std::mem::replace(&mut self.link, link).carrier;
        match (had_carrier, self.link.carrier) {
            (false, true) => {
                // The lease is still valid: its routes come back at once, before the server confirms it.
                let mut events = self.routes(kernel, Rtnetlink::put_route);
                let actions = self.client.carrier_up(now, hostname);
                events.extend(self.carry_out(actions, kernel));
                events
            }
            (true, false) => {
                self.client.carrier_down();
                // Another link with a route to the same destination takes over.
                self.routes(kernel, Rtnetlink::remove_route)
            }
            _ => Vec::new(),
        }
    }

    /// Sets or removes all routes of the applied lease.
    fn routes(&self, kernel: &mut Rtnetlink, change: ChangeRoute) -> Vec<Event> {
        let Some(lease) = &self.applied else { return Vec::new() };
        let results = lease.routes_in_order().map(|route| change(kernel, self.index, lease, route, self.metric()));
        results.filter_map(Result::err).map(Event::Refused).collect()
    }

    fn metric(&self) -> u32 {
        METRIC + self.index
    }

    /// Performs the actions that are due at this time.
    pub fn tick(&mut self, now: Moment, kernel: &mut Rtnetlink) -> Vec<Event> {
        let actions = self.client.tick(now);
        self.carry_out(actions, kernel)
    }

    /// Reads all waiting packets.
    pub fn receive(&mut self, now: Moment, kernel: &mut Rtnetlink) -> Vec<Event> {
        let mut events = Vec::new();
        let mut packet = [0; PACKET];
        // Errors other than "no packet" mean that the link went down, which rtnetlink reports as well.
        while let Ok(length) = self.packets.receive(&mut packet) {
            let message = datagram::payload(&packet[..length]).and_then(|payload| Message::parse(payload).ok());
            if let Some(message) = message {
                let actions = self.client.receive(now, &message);
                events.extend(self.carry_out(actions, kernel));
            }
        }
        events
    }

    fn carry_out(&mut self, actions: Vec<Action>, kernel: &mut Rtnetlink) -> Vec<Event> {
        let mut events = Vec::new();
        for action in actions {
            match action {
                Action::Broadcast { source, message } => {
                    let packet = datagram::broadcast(source, &message).ok_or(io::ErrorKind::InvalidData.into());
                    let sent = packet.and_then(|packet| self.packets.broadcast(&packet));
                    events.extend(sent.err().map(Event::Unsent));
                }
                Action::Unicast { source, server, message } => {
                    events.extend(self.send(source, server, &message).err().map(Event::Unsent));
                }
                Action::Configure(lease) => {
                    self.configure(&lease, kernel, &mut events);
                    let is_new = self.applied.as_ref().is_none_or(|old| !same(old, &lease));
                    self.applied = Some((*lease).clone());
                    events.push(Event::Leased(lease, is_new));
                }
                Action::Unconfigure(loss) => {
                    if let Some(old) = self.applied.take() {
                        self.unicast = None;
                        events.extend(
                            kernel.remove_address(self.index, old.address, old.prefix).err().map(Event::Refused),
                        );
                    }
                    events.push(Event::Lost(loss));
                }
                Action::Note(note) => events.push(Event::Note(note)),
            }
        }
        events
    }

    fn send(&self, source: Ipv4Addr, server: Ipv4Addr, message: &[u8]) -> io::Result<()> {
        let port = |ip| (ip, SERVER_PORT);
        match &self.unicast {
            Some(socket) => socket.send_to(message, port(server)).map(drop),
            None => bind(source)?.send_to(message, port(server)).map(drop),
        }
    }

    fn configure(&mut self, lease: &Lease, kernel: &mut Rtnetlink, events: &mut Vec<Event>) {
        let (index, metric) = (self.index, self.metric());
        let mut keep = |result: Result<(), Refused>| events.extend(result.err().map(Event::Refused));
        // Remove the addresses of earlier leases, including those of an earlier netd process. Addresses that were set by hand are
        // permanent: they stay.
        match kernel.addresses() {
            Ok(addresses) => {
                for old in addresses.iter().filter(|a| a.index == index && !a.permanent) {
                    match old.ip {
                        IpAddr::V4(ip) if (ip, old.prefix) != (lease.address, lease.prefix) => {
                            keep(kernel.remove_address(index, ip, old.prefix));
                        }
                        _ => {}
                    }
                }
            }
            Err(error) => keep(Err(error)),
        }
        if let Some(mtu) = lease.mtu.filter(|&mtu| mtu != self.link.mtu) {
            let set = kernel.set_mtu(index, mtu);
            if set.is_ok() {
                // The next report has it already: an engine that waits for the lease reads it there.
                self.link.mtu = mtu;
            }
            keep(set);
        }
        keep(kernel.put_address(index, lease, metric));
        if let Some(old) = self.applied.as_ref().filter(|old| old.address == lease.address) {
            for route in old.routes.iter().filter(|route| !lease.routes.contains(route)) {
                keep(kernel.remove_route(index, old, route, metric));
            }
        }
        for route in lease.routes_in_order() {
            keep(kernel.put_route(index, lease, route, metric));
        }
        if self.applied.as_ref().is_none_or(|old| old.address != lease.address) {
            // Without this socket the kernel answers late messages with "port unreachable", which does no harm.
            self.unicast = bind(lease.address).ok();
        }
    }
}

fn bind(address: Ipv4Addr) -> io::Result<UdpSocket> {
    UdpSocket::bind((address, CLIENT_PORT))
}

/// Whether two leases differ in their lifetime only.
fn same(old: &Lease, new: &Lease) -> bool {
    (old.address, old.prefix, &old.routes, &old.dns) == (new.address, new.prefix, &new.routes, &new.dns)
}
