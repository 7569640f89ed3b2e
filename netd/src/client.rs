//! The DHCP client, RFC 2131 §4.4, as a machine that is told the time and what came, and says what to do.
//! It does no I/O; clock and chance come in by hand.

use crate::{
    lease::{Lease, Unusable},
    message::{BOOTREPLY, BOOTREQUEST, Message, MessageType, code},
};
use std::{fmt, net::Ipv4Addr, time::Duration};

/// Time since the machine's start; sleep counts.
pub type Moment = Duration;

/// The first wait for an answer. RFC 2131 §4.1 proposes 4 s for 10 Mbit/s networks, doubled up to 64 s.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(64);
/// RFC 2131 §4.4.5: no more often than once a minute while there is a lease.
const RENEWAL_WAIT: Duration = Duration::from_secs(60);
/// How often a REQUEST is sent before all begins anew.
const REQUESTS: u32 = 4;

/// What is wanted from the server; 121 before 3, as RFC 3442 says.
const PARAMETERS: [u8; 11] = [
    code::CLASSLESS_ROUTES,
    code::SUBNET_MASK,
    code::ROUTER,
    code::DNS,
    code::DOMAIN_NAME,
    code::MTU,
    code::NTP,
    code::LEASE_TIME,
    code::SERVER_ID,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
];

/// What the client wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a message to everybody on the link.
    Broadcast {
        /// Address that it comes from; 0.0.0.0 without one.
        source: Ipv4Addr,
        /// The DHCP message.
        message: Vec<u8>,
    },
    /// Send a message to the server by the usual routes.
    Unicast {
        /// The interface's address.
        source: Ipv4Addr,
        /// The server.
        server: Ipv4Addr,
        /// The DHCP message.
        message: Vec<u8>,
    },
    /// Apply a lease; it may be the one that is applied already, with a new lifetime.
    Configure(Box<Lease>),
    /// Take the last lease's address and routes away.
    Unconfigure(Loss),
    /// Something for the log.
    Note(Note),
}

/// Why a lease ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its time is over.
    Expired,
    /// A server refused it, with its words.
    Refused(Option<String>),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("the lease has expired"),
            Self::Refused(Some(words)) => write!(f, "the server refused: {words}"),
            Self::Refused(None) => f.write_str("the server refused"),
        }
    }
}

/// What somebody who looks for a fault wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Nobody answers; how often that was asked.
    Silence(u32),
    /// An answer without a usable lease.
    Unusable(Unusable),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No carrier.
    Stopped,
    /// INIT and SELECTING.
    Selecting,
    /// REQUESTING this address of this server.
    Requesting {
        address: Ipv4Addr,
        server: Ipv4Addr,
    },
    /// INIT-REBOOT and REBOOTING: the carrier was away, is the lease still good here?
    Rebooting,
    Bound,
    Renewing,
    Rebinding,
}

/// The client of one interface.
#[derive(Debug)]
pub struct Client {
    mac: [u8; 6],
    hostname: Option<String>,
    chance: u64,
    phase: Phase,
    held: Option<Held>,
    xid: u32,
    /// When this exchange began, for `secs`.
    began: Moment,
    /// When its present message was first sent: a lease counts from there (RFC 2131 §4.4.1).
    asked: Moment,
    /// How often its message was sent.
    sent: u32,
    /// How often a server has refused since the last lease.
    refusals: u32,
    /// When the next thing is due.
    due: Option<Moment>,
}

#[derive(Debug)]
struct Held {
    lease: Lease,
    since: Moment,
}

impl Held {
    fn end(&self) -> Option<Moment> {
        self.lease.lifetime.map(|lifetime| self.since + lifetime)
    }
}

impl Client {
    /// A client that waits for a carrier. `seed` makes its transactions differ from other machines'.
    #[must_use]
    pub fn new(mac: [u8; 6], seed: u64) -> Self {
        let chance = seed ^ mac.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        let (phase, zero) = (Phase::Stopped, Duration::ZERO);
        let (held, hostname, due) = (None, None, None);
        Self { mac, hostname, chance, phase, held, xid: 0, began: zero, asked: zero, sent: 0, refusals: 0, due }
    }

    /// The lease in force.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.held.as_ref().map(|held| &held.lease)
    }

    /// When [`Client::tick`] is to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let end = self.held.as_ref().and_then(Held::end);
        [self.due, end].into_iter().flatten().min()
    }

    /// The carrier is there: asks for the old address where there is one, for any otherwise.
    pub fn carrier_up(&mut self, now: Moment, hostname: Option<String>) -> Vec<Action> {
        self.hostname = hostname;
        if self.phase == Phase::Stopped {
            let phase = if self.held.is_some() { Phase::Rebooting } else { Phase::Selecting };
            self.begin(phase, now, now);
        }
        self.tick(now)
    }

    /// The carrier is gone. The lease stays until it ends: the cable may come back.
    pub fn carrier_down(&mut self) {
        (self.phase, self.due) = (Phase::Stopped, None);
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.held.as_ref().and_then(Held::end).is_some_and(|end| now >= end) {
            self.lose(Loss::Expired, &mut actions);
            if self.phase != Phase::Stopped {
                self.begin(Phase::Selecting, now, now);
            }
        }
        if self.due.is_some_and(|due| now >= due) {
            self.advance(now);
            self.send(now, &mut actions);
        }
        actions
    }

    /// A DHCP message has come to the interface. What is not meant for this client, or at this time, is ignored.
    pub fn receive(&mut self, now: Moment, message: &Message) -> Vec<Action> {
        let mut actions = Vec::new();
        if message.op != BOOTREPLY || message.xid != self.xid || message.chaddr != self.mac {
            return actions;
        }
        match (self.phase, message.kind()) {
            (Phase::Selecting, Some(MessageType::Offer)) => match Lease::read(message) {
                Ok(Lease { address, server, .. }) => {
                    // RFC 2131 §4.4.1: the REQUEST has the OFFER's xid and the DISCOVER's beginning.
                    self.phase = Phase::Requesting { address, server };
                    self.sent = 0;
                    self.send(now, &mut actions);
                }
                Err(fault) => actions.push(Action::Note(Note::Unusable(fault))),
            },
            (Phase::Requesting { server, .. }, Some(MessageType::Ack | MessageType::Nak))
                if message.address(code::SERVER_ID).is_some_and(|from| from != server) => {}
            (Phase::Selecting | Phase::Stopped | Phase::Bound, _) => {}
            (_, Some(MessageType::Ack)) => match Lease::read(message) {
                Ok(lease) => self.bind(lease, &mut actions),
                Err(fault) => actions.push(Action::Note(Note::Unusable(fault))),
            },
            (_, Some(MessageType::Nak)) => {
                self.lose(Loss::Refused(message.text(code::MESSAGE)), &mut actions);
                // A first refusal is usual after a move to another network; more of them must not become a storm.
                let wait = if self.refusals == 0 { Duration::ZERO } else { backoff(self.refusals) };
                self.refusals = self.refusals.saturating_add(1);
                self.begin(Phase::Selecting, now, now + wait);
                actions.extend(self.tick(now));
            }
            _ => {}
        }
        actions
    }

    fn lose(&mut self, loss: Loss, actions: &mut Vec<Action>) {
        if self.held.take().is_some() || loss != Loss::Expired {
            actions.push(Action::Unconfigure(loss));
        }
    }

    fn bind(&mut self, lease: Lease, actions: &mut Vec<Action>) {
        let since = self.asked;
        (self.phase, self.refusals, self.due) = (Phase::Bound, 0, lease.lifetime.map(|_| since + lease.renew));
        actions.push(Action::Configure(Box::new(lease.clone())));
        self.held = Some(Held { lease, since });
    }

    /// Begins an exchange whose first message is due at `due`.
    fn begin(&mut self, phase: Phase, now: Moment, due: Moment) {
        let [.., a, b, c, d] = self.random().to_be_bytes();
        (self.phase, self.xid, self.began) = (phase, u32::from_be_bytes([a, b, c, d]), now);
        (self.sent, self.due) = (0, Some(due));
    }

    /// Goes to the phase whose time has come, before its message is sent.
    fn advance(&mut self, now: Moment) {
        let rebind = self.held.as_ref().map(|held| held.since + held.lease.rebind);
        match self.phase {
            Phase::Bound => self.begin(Phase::Renewing, now, now),
            Phase::Renewing if rebind.is_some_and(|rebind| now >= rebind) => self.begin(Phase::Rebinding, now, now),
            Phase::Requesting { .. } | Phase::Rebooting if self.sent >= REQUESTS => {
                self.begin(Phase::Selecting, now, now);
            }
            _ => {}
        }
    }

    /// Sends the phase's message and sets the time of the next.
    fn send(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let mine = self.held.as_ref().map(|held| (held.lease.address, held.lease.server));
        let (source, kind) = match (self.phase, mine) {
            (Phase::Selecting, _) => (Ipv4Addr::UNSPECIFIED, MessageType::Discover),
            (Phase::Renewing | Phase::Rebinding, Some((address, _))) => (address, MessageType::Request),
            _ => (Ipv4Addr::UNSPECIFIED, MessageType::Request),
        };
        let mut message = Message::new(BOOTREQUEST, kind, self.xid, self.mac);
        message.ciaddr = source;
        message.secs = u16::try_from(now.saturating_sub(self.began).as_secs()).unwrap_or(u16::MAX);
        let client = [&[1], &self.mac[..]].concat();
        message = message
            .with(code::CLIENT_ID, client)
            .with(code::PARAMETER_LIST, PARAMETERS)
            .with(code::MAX_SIZE, 1472_u16.to_be_bytes());
        if let Some(name) = &self.hostname {
            message = message.with(code::HOST_NAME, name.as_bytes());
        }
        // RFC 2131 table 4: which REQUEST says what.
        match (self.phase, mine) {
            (Phase::Requesting { address, server }, _) => {
                message =
                    message.with(code::REQUESTED_ADDRESS, address.octets()).with(code::SERVER_ID, server.octets());
            }
            (Phase::Selecting | Phase::Rebooting, Some((address, _))) => {
                message = message.with(code::REQUESTED_ADDRESS, address.octets());
            }
            _ => {}
        }
        let message = message.bytes();
        actions.push(match (self.phase, mine) {
            (Phase::Renewing, Some((_, server))) => Action::Unicast { source, server, message },
            _ => Action::Broadcast { source, message },
        });
        if self.sent == 0 {
            self.asked = now;
        }
        self.sent = self.sent.saturating_add(1);
        self.due = Some(now + self.wait(now));
        if self.phase == Phase::Selecting && self.sent.is_multiple_of(REQUESTS) {
            actions.push(Action::Note(Note::Silence(self.sent)));
        }
    }

    /// How long to wait for an answer to what has just been sent.
    fn wait(&mut self, now: Moment) -> Duration {
        let limit = |held: &Held| match self.phase {
            Phase::Renewing => Some(held.since + held.lease.rebind),
            Phase::Rebinding => held.end(),
            _ => None,
        };
        if let Some(limit) = self.held.as_ref().and_then(limit) {
            // RFC 2131 §4.4.5: half of the time that is left.
            let left = limit.saturating_sub(now);
            return (left / 2).max(RENEWAL_WAIT).min(left);
        }
        let wait = backoff(self.sent - 1);
        // Spread by a quarter either way, so that machines that start together do not ask together.
        let spread = u32::try_from(self.random() % 512).unwrap_or(256);
        wait * 3 / 4 + wait * spread / 1024
    }

    /// splitmix64: chance enough to tell machines and transactions apart.
    fn random(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.chance ^ self.chance >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// The wait after `times` waits before it.
fn backoff(times: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << times.min(6)).min(LONGEST_WAIT)
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
