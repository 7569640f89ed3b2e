//! The DHCPv4 client of one link with its sockets.

use crate::{
    client::{Action, Client, Loss, Moment, Note},
    datagram,
    lease::Lease,
    lease_file::{Kept, LeaseFile},
    message::{CLIENT_PORT, Message, SERVER_PORT},
    sys::packet::PacketSocket,
};
use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
};

/// Buffer for a packet. The client announces in option 57 that it accepts 1472 bytes.
const PACKET: usize = 2048;

/// An event of a client. The daemon reports it to the log and the supervisor.
#[derive(Debug)]
pub enum Event {
    /// A lease was granted; `true` when its address or routes have changed.
    Leased(Box<Lease>, bool),
    /// The lease has ended.
    Lost(Loss),
    /// A line for the log.
    Note(Note),
    /// A message could not be sent.
    Unsent(io::Error),
}

/// The client.
#[derive(Debug)]
pub struct Dhcp4 {
    client: Client,
    packets: PacketSocket,
    /// A UDP socket with the address of the lease: sends renewals and receives their answers.
    unicast: Option<(Ipv4Addr, UdpSocket)>,
    mac: [u8; 6],
    file: LeaseFile,
}

impl Dhcp4 {
    /// A client that waits for a carrier. A lease of an earlier process goes on: its server is asked whether it is still valid.
    ///
    /// # Errors
    /// When the packet socket cannot be opened.
    pub fn new(index: u32, mac: [u8; 6], seed: u64, file: LeaseFile, now: Moment) -> io::Result<Self> {
        let mut client = Client::new(mac, seed);
        let kept = file.load(mac).filter(|kept| kept.since() <= now);
        let lease = kept.and_then(|kept| Some((Lease::read(&Message::parse(&kept.message).ok()?).ok()?, kept.since())));
        if let Some((lease, since)) =
            lease.filter(|(lease, since)| lease.lifetime.is_none_or(|life| now < *since + life))
        {
            client.restore(lease, since);
        }
        Ok(Self { client, packets: PacketSocket::open(index, CLIENT_PORT)?, unicast: None, mac, file })
    }

    /// The lease in force.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.client.lease()
    }

    /// When the lease in force ends. `None` if there is none, or it does not end.
    #[must_use]
    pub fn end(&self) -> Option<Moment> {
        self.client.end()
    }

    /// When to call [`Dhcp4::tick`].
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        self.client.deadline()
    }

    /// The socket that receives packets.
    #[must_use]
    pub fn packets(&self) -> &PacketSocket {
        &self.packets
    }

    /// The link has a carrier.
    pub fn carrier_up(&mut self, now: Moment, hostname: Option<String>) -> Vec<Event> {
        let before = self.lease().cloned();
        let actions = self.client.carrier_up(now, hostname);
        self.perform(actions, before)
    }

    /// The link has lost its carrier.
    pub fn carrier_down(&mut self) {
        self.client.carrier_down();
    }

    /// Performs what is due at this time.
    pub fn tick(&mut self, now: Moment) -> Vec<Event> {
        let before = self.lease().cloned();
        let actions = self.client.tick(now);
        self.perform(actions, before)
    }

    /// Reads all waiting packets.
    pub fn receive(&mut self, now: Moment) -> Vec<Event> {
        let mut events = Vec::new();
        let mut packet = [0; PACKET];
        // Errors other than "no packet" mean that the link went down, which rtnetlink reports as well.
        while let Ok(length) = self.packets.receive(&mut packet) {
            let message = datagram::payload(&packet[..length]).and_then(|payload| Message::parse(payload).ok());
            if let Some(message) = message {
                let before = self.lease().cloned();
                let actions = self.client.receive(now, &message);
                let leased = actions.iter().any(|action| matches!(action, Action::Configure(_)));
                if let Some(since) = self.client.since().filter(|_| leased) {
                    self.file.keep(&Kept::new(self.mac, since, message.bytes()));
                }
                events.extend(self.perform(actions, before));
            }
        }
        events
    }

    /// Opens the UDP socket with the address of the lease. The kernel must have the address.
    pub fn listen(&mut self) {
        let address = self.lease().map(|lease| lease.address);
        if self.unicast.as_ref().map(|(address, _)| *address) != address {
            // Without this socket the kernel answers late messages with "port unreachable", which does no harm.
            self.unicast = address.and_then(|address| Some((address, bind(address).ok()?)));
        }
    }

    fn perform(&mut self, actions: Vec<Action>, before: Option<Lease>) -> Vec<Event> {
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
                    let is_new = before.as_ref().is_none_or(|old| !same(old, &lease));
                    events.push(Event::Leased(lease, is_new));
                }
                Action::Unconfigure(loss) => {
                    self.file.remove();
                    events.push(Event::Lost(loss));
                }
                Action::Note(note) => events.push(Event::Note(note)),
            }
        }
        events
    }

    fn send(&self, source: Ipv4Addr, server: Ipv4Addr, message: &[u8]) -> io::Result<()> {
        let to = (server, SERVER_PORT);
        match &self.unicast {
            Some((_, socket)) => socket.send_to(message, to).map(drop),
            None => bind(source)?.send_to(message, to).map(drop),
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
