//! The DHCPv6 client of one link with its socket.

use crate::{
    client::Moment,
    client6::{Action6, Client6, Mode},
    lease_file::{Kept, LeaseFile},
    lease6::Lease6,
    message6::{CLIENT_PORT, Message6, SERVER_PORT},
};
use std::{
    io,
    net::{Ipv6Addr, SocketAddrV6, UdpSocket},
};

/// RFC 8415 §7.1: all servers and relays of the link.
const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// Buffer for a datagram.
const PACKET: usize = 4096;

/// An event of a client. The daemon reports it to the log and the supervisor.
#[derive(Debug)]
pub enum Event6 {
    /// A lease was granted; `true` when it differs in more than its lifetimes.
    Leased(Box<Lease6>, bool),
    /// The lease has expired, or the link is another one now (`true`).
    Lost(bool),
    /// A message could not be sent.
    Unsent(io::Error),
}

/// The client.
#[derive(Debug)]
pub struct Dhcp6 {
    client: Client6,
    index: u32,
    mac: [u8; 6],
    /// The socket, with the link-local address that it is bound to.
    socket: Option<(Ipv6Addr, UdpSocket)>,
    file: LeaseFile,
}

impl Dhcp6 {
    /// A client that waits for a link-local address. A lease of an earlier process goes on.
    #[must_use]
    pub fn new(index: u32, mac: [u8; 6], mode: Mode, seed: u64, file: LeaseFile, now: Moment) -> Self {
        let mut client = Client6::new(mac, mode, seed);
        let kept = file.load(mac).filter(|_| mode == Mode::Stateful);
        let message = kept.and_then(|kept| Some((Message6::parse(&kept.message)?, kept.since())));
        if let Some((message, since)) = message
            && let Some(lease) = Lease6::read(&message, client.iaid()).filter(|lease| !lease.addresses.is_empty())
            && (since..=since.saturating_add(lease.lifetime())).contains(&now)
        {
            client.restore(lease, since);
        }
        Self { client, index, mac, socket: None, file }
    }

    /// What the client asks for.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.client.mode()
    }

    /// The lease in force.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease6> {
        self.client.lease()
    }

    /// When the lease in force was granted.
    #[must_use]
    pub fn since(&self) -> Option<Moment> {
        self.client.since()
    }

    /// When to call [`Dhcp6::work`].
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        self.client.deadline()
    }

    /// The socket that receives packets.
    #[must_use]
    pub fn socket(&self) -> Option<&UdpSocket> {
        self.socket.as_ref().map(|(_, socket)| socket)
    }

    /// The link-local address of the link, if there is a carrier and the address is in use.
    pub fn follow(&mut self, address: Option<Ipv6Addr>, now: Moment) {
        if self.socket.as_ref().map(|(old, _)| *old) != address {
            self.socket = None;
            self.client.down();
            // Without a socket the next change of the link is another try.
            let bind = |ip| UdpSocket::bind(SocketAddrV6::new(ip, CLIENT_PORT, 0, self.index));
            let socket = address.and_then(|ip| Some((ip, bind(ip).ok()?)));
            self.socket = socket.filter(|(_, socket)| socket.set_nonblocking(true).is_ok());
        }
        if self.socket.is_some() {
            self.client.up(now);
        }
    }

    /// Reads all waiting packets, and performs what is due at this time.
    pub fn work(&mut self, now: Moment) -> Vec<Event6> {
        let mut events = Vec::new();
        let mut packet = [0; PACKET];
        while let Some(Ok((length, from))) = self.socket.as_ref().map(|(_, socket)| socket.recv_from(&mut packet)) {
            let message = Message6::parse(&packet[..length]).filter(|_| from.port() == SERVER_PORT);
            if let Some(message) = message {
                let before = self.lease().cloned();
                let actions = self.client.receive(now, &message);
                let leased = actions.iter().any(|action| matches!(action, Action6::Configure(_)));
                if let Some(since) = self.client.since().filter(|_| leased) {
                    self.file.keep(&Kept::new(self.mac, since, message.bytes()));
                }
                self.perform(actions, before.as_ref(), &mut events);
            }
        }
        let before = self.lease().cloned();
        let actions = self.client.tick(now);
        self.perform(actions, before.as_ref(), &mut events);
        events
    }

    fn perform(&self, actions: Vec<Action6>, before: Option<&Lease6>, events: &mut Vec<Event6>) {
        for action in actions {
            match action {
                Action6::Send(message) => {
                    let to = SocketAddrV6::new(SERVERS, SERVER_PORT, 0, self.index);
                    let sent = self.socket().map(|socket| socket.send_to(&message, to));
                    events.extend(sent.and_then(Result::err).map(Event6::Unsent));
                }
                Action6::Configure(lease) => {
                    let is_new = before.is_none_or(|old| !same(old, &lease));
                    events.push(Event6::Leased(lease, is_new));
                }
                Action6::Unconfigure(is_elsewhere) => {
                    self.file.remove();
                    events.push(Event6::Lost(is_elsewhere));
                }
            }
        }
    }
}

/// Whether two leases differ in their lifetimes only.
fn same(old: &Lease6, new: &Lease6) -> bool {
    let addresses = |lease: &Lease6| lease.addresses.iter().map(|address| address.ip).collect::<Vec<_>>();
    (addresses(old), &old.dns, &old.search) == (addresses(new), &new.dns, &new.search)
}
