//! The DHCP client, RFC 2131 §4.4, as a state machine: the time and received messages go in, actions come out. It does no I/O;
//! the clock and the seed of its random numbers are arguments.

use crate::{
    lease::{Lease, Unusable},
    message::{BOOTREPLY, BOOTREQUEST, Message, MessageType, code},
};
use std::{fmt, net::Ipv4Addr, time::Duration};

/// Time since the host's start, including time in suspend.
pub type Moment = Duration;

/// The first time limit for an answer. RFC 2131 §4.1 proposes 4 s for 10 Mbit/s networks, doubled up to 64 s.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(64);
/// RFC 2131 §4.4.5: no more often than once a minute while there is a lease.
const RENEWAL_WAIT: Duration = Duration::from_secs(60);
/// Number of REQUESTs without an answer before the client starts again with DISCOVER.
const REQUESTS: u32 = 4;

/// The options that the client asks for. 121 comes before 3, as RFC 3442 requires.
const PARAMETERS: [u8; 14] = [
    code::CLASSLESS_ROUTES,
    code::MICROSOFT_ROUTES,
    code::SUBNET_MASK,
    code::ROUTER,
    code::DNS,
    code::HOST_NAME,
    code::DOMAIN_NAME,
    code::DOMAIN_SEARCH,
    code::MTU,
    code::NTP,
    code::LEASE_TIME,
    code::SERVER_ID,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
];

/// An action that the client asks for. The caller performs the actions in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Broadcast a message on the link.
    Broadcast {
        /// Source address; 0.0.0.0 while the interface has none.
        source: Ipv4Addr,
        /// The DHCP message.
        message: Vec<u8>,
    },
    /// Send a message to the server over the kernel's routes.
    Unicast {
        /// The interface's address.
        source: Ipv4Addr,
        /// The server.
        server: Ipv4Addr,
        /// The DHCP message.
        message: Vec<u8>,
    },
    /// Apply a lease. It may be the applied lease with a new lifetime.
    Configure(Box<Lease>),
    /// Remove the address and the routes of the applied lease.
    Unconfigure(Loss),
    /// Write a line to the log.
    Note(Note),
}

/// Why a lease ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its lifetime has passed.
    Expired,
    /// A server refused it, with the server's message.
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

/// A line for the log, for diagnosis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// No server has answered this number of DISCOVERs.
    Silence(u32),
    /// A server has answered without a usable lease.
    Unusable(Unusable),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No carrier.
    Stopped,
    /// INIT and SELECTING.
    Selecting,
    /// REQUESTING: asks this server for this address.
    Requesting {
        address: Ipv4Addr,
        server: Ipv4Addr,
    },
    /// INIT-REBOOT and REBOOTING: the carrier is back, and the client asks whether its lease is still valid.
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
    random_state: u64,
    state: State,
    held: Option<Held>,
    xid: u32,
    /// Start of this exchange, for the field `secs`.
    began: Moment,
    /// When the current message was first sent: the lifetime of a lease starts there (RFC 2131 §4.4.1).
    asked: Moment,
    /// How often the current message was sent.
    sent: u32,
    /// Number of refusals since the last lease.
    refusals: u32,
    /// When the next message is due.
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
    /// A client that waits for a carrier. Different seeds give different transaction ids.
    #[must_use]
    pub fn new(mac: [u8; 6], seed: u64) -> Self {
        let random_state = seed ^ mac.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        let (state, zero) = (State::Stopped, Duration::ZERO);
        let (held, hostname, due) = (None, None, None);
        Self { mac, hostname, random_state, state, held, xid: 0, began: zero, asked: zero, sent: 0, refusals: 0, due }
    }

    /// The lease in force.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.held.as_ref().map(|held| &held.lease)
    }

    /// When the lease in force began.
    #[must_use]
    pub fn since(&self) -> Option<Moment> {
        self.held.as_ref().map(|held| held.since)
    }

    /// Takes over a lease of an earlier process. When the carrier comes, the server is asked whether the lease is still valid (INIT-REBOOT).
    pub fn restore(&mut self, lease: Lease, since: Moment) {
        self.held = Some(Held { lease, since });
    }

    /// When the lease in force ends. `None` if there is none, or it does not end.
    #[must_use]
    pub fn end(&self) -> Option<Moment> {
        self.held.as_ref().and_then(Held::end)
    }

    /// When to call [`Client::tick`].
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let end = self.held.as_ref().and_then(Held::end);
        [self.due, end].into_iter().flatten().min()
    }

    /// The link has a carrier. Asks for the address of the held lease, or for any address.
    pub fn carrier_up(&mut self, now: Moment, hostname: Option<String>) -> Vec<Action> {
        self.hostname = hostname;
        if self.state == State::Stopped {
            let state = if self.held.is_some() { State::Rebooting } else { State::Selecting };
            self.begin(state, now, now);
        }
        self.tick(now)
    }

    /// The link has lost its carrier. The lease is kept until it expires, because the cable may be plugged in again.
    pub fn carrier_down(&mut self) {
        (self.state, self.due) = (State::Stopped, None);
    }

    /// Returns the actions that are due at this time.
    pub fn tick(&mut self, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.held.as_ref().and_then(Held::end).is_some_and(|end| now >= end) {
            self.lose(Loss::Expired, &mut actions);
            if self.state != State::Stopped {
                self.begin(State::Selecting, now, now);
            }
        }
        if self.due.is_some_and(|due| now >= due) {
            self.advance(now);
            self.send(now, &mut actions);
        }
        actions
    }

    /// Handles a DHCP message. Ignores a message for another client, and a message that does not fit the state.
    pub fn receive(&mut self, now: Moment, message: &Message) -> Vec<Action> {
        let mut actions = Vec::new();
        if message.op != BOOTREPLY || message.xid != self.xid || message.chaddr != self.mac {
            return actions;
        }
        match (self.state, message.kind()) {
            (State::Selecting, Some(MessageType::Offer)) => match Lease::read(message) {
                Ok(Lease { address, server, .. }) => {
                    // RFC 2131 §4.4.1: the REQUEST has the xid of the OFFER and the `secs` of the DISCOVER.
                    self.state = State::Requesting { address, server };
                    self.sent = 0;
                    self.send(now, &mut actions);
                }
                Err(fault) => actions.push(Action::Note(Note::Unusable(fault))),
            },
            (State::Requesting { server, .. }, Some(MessageType::Ack | MessageType::Nak))
                if message.address(code::SERVER_ID).is_some_and(|from| from != server) => {}
            (State::Selecting | State::Stopped | State::Bound, _) => {}
            (_, Some(MessageType::Ack)) => match Lease::read(message) {
                Ok(lease) => self.bind(lease, &mut actions),
                Err(fault) => actions.push(Action::Note(Note::Unusable(fault))),
            },
            (_, Some(MessageType::Nak)) => {
                self.lose(Loss::Refused(message.text(code::MESSAGE)), &mut actions);
                // One refusal is normal after a move to another network. Further refusals are followed by a wait, which limits the traffic.
                let wait = if self.refusals == 0 { Duration::ZERO } else { backoff(self.refusals) };
                self.refusals = self.refusals.saturating_add(1);
                self.begin(State::Selecting, now, now + wait);
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
        (self.state, self.refusals, self.due) = (State::Bound, 0, lease.lifetime.map(|_| since + lease.renew));
        actions.push(Action::Configure(Box::new(lease.clone())));
        self.held = Some(Held { lease, since });
    }

    /// Starts an exchange whose first message is due at `due`.
    fn begin(&mut self, state: State, now: Moment, due: Moment) {
        let [.., a, b, c, d] = self.random().to_be_bytes();
        (self.state, self.xid, self.began) = (state, u32::from_be_bytes([a, b, c, d]), now);
        (self.sent, self.due) = (0, Some(due));
    }

    /// Changes the state when its time is over. The caller then sends the message of the new state.
    fn advance(&mut self, now: Moment) {
        let rebind = self.held.as_ref().map(|held| held.since + held.lease.rebind);
        match self.state {
            State::Bound => self.begin(State::Renewing, now, now),
            State::Renewing if rebind.is_some_and(|rebind| now >= rebind) => self.begin(State::Rebinding, now, now),
            State::Requesting { .. } | State::Rebooting if self.sent >= REQUESTS => {
                self.begin(State::Selecting, now, now);
            }
            _ => {}
        }
    }

    /// Sends the message of the state and sets the time of the next message.
    fn send(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let mine = self.held.as_ref().map(|held| (held.lease.address, held.lease.server));
        let (source, kind) = match (self.state, mine) {
            (State::Selecting, _) => (Ipv4Addr::UNSPECIFIED, MessageType::Discover),
            (State::Renewing | State::Rebinding, Some((address, _))) => (address, MessageType::Request),
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
        // RFC 2131 table 4: the options of each REQUEST.
        match (self.state, mine) {
            (State::Requesting { address, server }, _) => {
                message =
                    message.with(code::REQUESTED_ADDRESS, address.octets()).with(code::SERVER_ID, server.octets());
            }
            (State::Selecting | State::Rebooting, Some((address, _))) => {
                message = message.with(code::REQUESTED_ADDRESS, address.octets());
            }
            _ => {}
        }
        let message = message.bytes();
        actions.push(match (self.state, mine) {
            (State::Renewing, Some((_, server))) => Action::Unicast { source, server, message },
            _ => Action::Broadcast { source, message },
        });
        if self.sent == 0 {
            self.asked = now;
        }
        self.sent = self.sent.saturating_add(1);
        self.due = Some(now + self.wait(now));
        if self.state == State::Selecting && self.sent.is_multiple_of(REQUESTS) {
            actions.push(Action::Note(Note::Silence(self.sent)));
        }
    }

    /// How long to wait for an answer to the message just sent.
    fn wait(&mut self, now: Moment) -> Duration {
        let limit = |held: &Held| match self.state {
            State::Renewing => Some(held.since + held.lease.rebind),
            State::Rebinding => held.end(),
            _ => None,
        };
        if let Some(limit) = self.held.as_ref().and_then(limit) {
            // RFC 2131 §4.4.5: half of the remaining time.
            let left = limit.saturating_sub(now);
            return (left / 2).max(RENEWAL_WAIT).min(left);
        }
        let wait = backoff(self.sent - 1);
        // Vary the wait by up to a quarter, so that hosts that start together do not send together.
        let spread = u32::try_from(self.random() % 512).unwrap_or(256);
        wait * 3 / 4 + wait * spread / 1024
    }

    /// splitmix64: random enough for transaction ids and waits.
    fn random(&mut self) -> u64 {
        self.random_state = self.random_state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random_state ^ self.random_state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// The wait after `times` earlier waits.
fn backoff(times: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << times.min(6)).min(LONGEST_WAIT)
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
