//! The DHCPv6 client, RFC 8415 §18.2, as a state machine: the time and received messages go in, actions come out. It does no I/O; the
//! clock and the seed of its random numbers are arguments.

use crate::{
    client::Moment,
    lease6::{FOREVER, Lease6},
    message6::{Kind, Message6, Options, code},
};
use std::time::Duration;

/// The options that the client asks for.
const PARAMETERS: [u16; 5] = [code::DNS, code::DOMAINS, code::SOL_MAX_RT, code::INF_MAX_RT, code::REFRESH_TIME];
/// RFC 8415 §7.6: number of REQUESTs without an answer before the client starts again.
const REQUESTS: u32 = 10;
/// How long a CONFIRM may last. Without an answer the lease is used.
const CONFIRM_FOR: Duration = Duration::from_secs(10);
/// RFC 8415 §21.23: limits of the time after which settings are asked for again, and its default, in seconds.
const REFRESH: std::ops::RangeInclusive<u32> = 600..=604_800;
const REFRESH_DEFAULT: u32 = 86_400;
/// RFC 8415 §21.24: limits of what a server may set as the longest wait, in seconds.
const MAX_RT: std::ops::RangeInclusive<u32> = 60..=86_400;
/// RFC 8415 §21.13: status codes.
const NO_BINDING: u16 = 3;
const NOT_ON_LINK: u16 = 4;

/// What the client asks servers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Addresses and settings.
    Stateful,
    /// Settings only.
    Stateless,
}

/// An action that the client asks for. The caller performs the actions in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action6 {
    /// Send a message to all servers of the link.
    Send(Vec<u8>),
    /// Apply a lease. It may be the applied lease with a new lifetime.
    Configure(Box<Lease6>),
    /// Remove the addresses and settings of the applied lease: it has expired, or the link is another one now (`true`).
    Unconfigure(bool),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// No carrier, or no link-local address yet.
    Stopped,
    /// Collects offers until the first wait is over; then the first one is taken.
    Soliciting,
    /// Asks this server for what it has offered.
    Requesting(Box<Lease6>),
    /// The carrier is back, and the client asks whether its addresses still belong to the link.
    Confirming,
    Bound,
    Renewing,
    Rebinding,
    /// Asks for settings.
    Informing,
    /// Has settings.
    Informed,
}

/// The client of one interface.
#[derive(Debug)]
pub struct Client6 {
    mac: [u8; 6],
    mode: Mode,
    random_state: u64,
    state: State,
    held: Option<(Lease6, Moment)>,
    /// The best offer so far and its preference.
    offer: Option<(Lease6, u8)>,
    xid: u32,
    /// Start of this exchange.
    began: Moment,
    /// The last wait.
    wait: Duration,
    /// How often the current message was sent.
    sent: u32,
    /// Longest waits, which servers may change.
    longest: Duration,
    due: Option<Moment>,
}

impl Client6 {
    /// A client that waits for a link. Different seeds give different transaction ids.
    #[must_use]
    pub fn new(mac: [u8; 6], mode: Mode, seed: u64) -> Self {
        let (zero, longest) = (Duration::ZERO, Duration::from_secs(3600));
        let random_state = seed ^ mac.iter().fold(6, |all, byte| all << 8 | u64::from(*byte));
        let (state, held, offer, due) = (State::Stopped, None, None, None);
        Self { mac, mode, random_state, state, held, offer, xid: 0, began: zero, wait: zero, sent: 0, longest, due }
    }

    /// What the client asks for.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The lease in force.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease6> {
        self.held.as_ref().map(|(lease, _)| lease)
    }

    /// When the lease in force was granted.
    #[must_use]
    pub fn since(&self) -> Option<Moment> {
        self.held.as_ref().map(|(_, since)| *since)
    }

    /// Takes over a lease of an earlier process.
    pub fn restore(&mut self, lease: Lease6, since: Moment) {
        self.held = Some((lease, since));
    }

    /// The number of this client's group of addresses.
    #[must_use]
    pub fn iaid(&self) -> u32 {
        let [.., a, b, c, d] = self.mac;
        u32::from_be_bytes([a, b, c, d])
    }

    /// When to call [`Client6::tick`].
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        [self.due, self.end()].into_iter().flatten().min()
    }

    fn end(&self) -> Option<Moment> {
        let (lease, since) = self.held.as_ref()?;
        let life = lease.lifetime();
        (life != FOREVER).then(|| *since + life)
    }

    /// The link has a carrier and a link-local address.
    pub fn up(&mut self, now: Moment) {
        if self.state != State::Stopped {
            return;
        }
        // RFC 8415 §18.2.1: hosts that start together must not send together.
        let delay = Duration::from_millis(self.random() % 1000);
        match (self.mode, &self.held) {
            (Mode::Stateless, _) => self.begin(State::Informing, now, now + delay),
            (Mode::Stateful, Some(_)) => self.begin(State::Confirming, now, now + delay),
            (Mode::Stateful, None) => self.begin(State::Soliciting, now, now + delay),
        }
    }

    /// The link has lost its carrier. The lease is kept until it expires, because the cable may be plugged in again.
    pub fn down(&mut self) {
        (self.state, self.due) = (State::Stopped, None);
    }

    /// Returns the actions that are due at this time.
    pub fn tick(&mut self, now: Moment) -> Vec<Action6> {
        let mut actions = Vec::new();
        if self.end().is_some_and(|end| now >= end) {
            self.held = None;
            actions.push(Action6::Unconfigure(false));
            if self.state != State::Stopped {
                self.begin(State::Soliciting, now, now);
            }
        }
        if self.due.is_some_and(|due| now >= due) {
            self.advance(now);
            if !matches!(self.state, State::Bound) {
                actions.push(Action6::Send(self.send(now)));
            }
        }
        actions
    }

    /// Handles a message. Ignores one for another client, and one that does not fit the state.
    pub fn receive(&mut self, now: Moment, message: &Message6) -> Vec<Action6> {
        let is_mine = message.xid == self.xid && message.options.get(code::CLIENT_ID) == Some(self.duid().as_slice());
        // RFC 8415 §16.3, §16.10: both identifiers are required.
        let Some(lease) = Lease6::read(message, self.iaid()).filter(|_| is_mine) else { return Vec::new() };
        let limit = if self.mode == Mode::Stateful { code::SOL_MAX_RT } else { code::INF_MAX_RT };
        if let Some(seconds) = message.options.number(limit).filter(|seconds| MAX_RT.contains(seconds)) {
            self.longest = Duration::from_secs(seconds.into());
        }
        match (&self.state, message.kind) {
            (State::Soliciting, Kind::Advertise) => self.consider(lease, message, now),
            (State::Soliciting, Kind::Reply) if message.options.get(code::RAPID_COMMIT).is_some() => {
                self.bind(lease, now, message)
            }
            (State::Requesting(offer), Kind::Reply) if offer.server == lease.server => self.bind(lease, now, message),
            (State::Renewing | State::Rebinding, Kind::Reply) => self.bind(lease, now, message),
            (State::Confirming, Kind::Reply) if message.options.status() == NOT_ON_LINK => self.lose(now),
            (State::Confirming, Kind::Reply) => {
                self.keep(now);
                Vec::new()
            }
            (State::Informing, Kind::Reply) => {
                let wanted = message.options.number(code::REFRESH_TIME).unwrap_or(REFRESH_DEFAULT);
                let wait = wanted.clamp(*REFRESH.start(), *REFRESH.end());
                (self.state, self.due) = (State::Informed, Some(now + Duration::from_secs(wait.into())));
                let settings = Lease6 { addresses: Vec::new(), ..lease };
                self.held = Some((settings.clone(), now));
                vec![Action6::Configure(Box::new(settings))]
            }
            _ => Vec::new(),
        }
    }

    /// An offer. During the first wait the best one is kept; 255 is the best that there can be.
    fn consider(&mut self, lease: Lease6, message: &Message6, now: Moment) -> Vec<Action6> {
        if lease.addresses.is_empty() {
            return Vec::new();
        }
        let preference = message.options.get(code::PREFERENCE).and_then(|value| value.first().copied()).unwrap_or(0);
        if self.offer.as_ref().is_none_or(|(_, best)| preference > *best) {
            self.offer = Some((lease, preference));
        }
        if preference == u8::MAX || self.sent > 1 { self.take(now) } else { Vec::new() }
    }

    /// Asks the server of the best offer.
    fn take(&mut self, now: Moment) -> Vec<Action6> {
        let Some((offer, _)) = self.offer.take() else { return Vec::new() };
        self.begin(State::Requesting(Box::new(offer)), now, now);
        vec![Action6::Send(self.send(now))]
    }

    /// A REPLY with a lease, or without one.
    fn bind(&mut self, lease: Lease6, now: Moment, message: &Message6) -> Vec<Action6> {
        if lease.addresses.is_empty() {
            let status = |value: &[u8]| Options::parse(value.get(12..)?).map(|options| options.status());
            let status = message.options.all(code::IA_NA).find_map(status).unwrap_or(message.options.status());
            return match (&self.state, status) {
                (State::Renewing | State::Rebinding, NO_BINDING) => {
                    // RFC 8415 §18.2.10.1: the server does not know the lease, and is asked for a new one.
                    let known = self.held.as_ref().map(|(held, _)| held.clone());
                    let Some(known) = known else { return Vec::new() };
                    self.begin(State::Requesting(Box::new(Lease6 { server: lease.server, ..known })), now, now);
                    vec![Action6::Send(self.send(now))]
                }
                (State::Renewing | State::Rebinding, NOT_ON_LINK) => self.lose(now),
                // The lease lasts until its end.
                (State::Renewing | State::Rebinding, _) => Vec::new(),
                _ => {
                    // Another server may have an address. The wait limits the traffic.
                    let wait = Duration::from_secs(10);
                    self.begin(State::Soliciting, now, now + wait);
                    Vec::new()
                }
            };
        }
        let since = now;
        (self.state, self.offer) = (State::Bound, None);
        self.due = (lease.lifetime() != FOREVER).then(|| since + lease.renew);
        self.held = Some((lease.clone(), since));
        vec![Action6::Configure(Box::new(lease))]
    }

    /// The lease does not belong to this link.
    fn lose(&mut self, now: Moment) -> Vec<Action6> {
        self.held = None;
        self.begin(State::Soliciting, now, now);
        vec![Action6::Unconfigure(true), Action6::Send(self.send(now))]
    }

    /// Goes on with the held lease.
    fn keep(&mut self, now: Moment) {
        let renew = self.held.as_ref().map(|(lease, since)| *since + lease.renew);
        (self.state, self.due) = (State::Bound, renew.map(|renew| renew.max(now)));
    }

    fn begin(&mut self, state: State, now: Moment, due: Moment) {
        let [.., a, b, c] = self.random().to_be_bytes();
        (self.state, self.xid, self.began) = (state, u32::from_be_bytes([0, a, b, c]), now);
        (self.sent, self.wait, self.offer, self.due) = (0, Duration::ZERO, None, Some(due));
    }

    /// Changes the state when its time is over. The caller then sends the message of the new state.
    fn advance(&mut self, now: Moment) {
        let rebind = self.held.as_ref().map(|(lease, since)| *since + lease.rebind);
        match &self.state {
            State::Soliciting if self.offer.is_some() => {
                let offer = self.offer.take();
                if let Some((offer, _)) = offer {
                    self.begin(State::Requesting(Box::new(offer)), now, now);
                }
            }
            State::Bound => self.begin(State::Renewing, now, now),
            State::Informed => self.begin(State::Informing, now, now),
            State::Renewing if rebind.is_some_and(|rebind| now >= rebind) => self.begin(State::Rebinding, now, now),
            State::Requesting(_) if self.sent >= REQUESTS => self.begin(State::Soliciting, now, now),
            State::Confirming if self.sent > 0 && now >= self.began + CONFIRM_FOR => self.keep(now),
            _ => {}
        }
    }

    /// The message of the state. Sets the time of the next message.
    fn send(&mut self, now: Moment) -> Vec<u8> {
        let held = self.held.as_ref().map(|(lease, _)| lease);
        let (kind, lease) = match &self.state {
            State::Requesting(offer) => (Kind::Request, Some(&**offer)),
            State::Confirming => (Kind::Confirm, held),
            State::Renewing => (Kind::Renew, held),
            State::Rebinding => (Kind::Rebind, held),
            State::Informing => (Kind::InformationRequest, None),
            _ => (Kind::Solicit, None),
        };
        let elapsed = now.saturating_sub(self.began).as_millis() / 10;
        let elapsed = u16::try_from(if self.sent == 0 { 0 } else { elapsed }).unwrap_or(u16::MAX);
        let mut message = Message6::new(kind, self.xid)
            .with(code::CLIENT_ID, self.duid())
            .with(code::ELAPSED_TIME, elapsed.to_be_bytes());
        if let (Kind::Request | Kind::Renew, Some(lease)) = (kind, lease) {
            message = message.with(code::SERVER_ID, lease.server.clone());
        }
        if kind != Kind::InformationRequest {
            message = message.with(code::IA_NA, self.group(lease));
        }
        if kind != Kind::Confirm {
            message = message.with(code::OPTION_REQUEST, PARAMETERS.map(u16::to_be_bytes).concat());
        }
        if kind == Kind::Solicit {
            message = message.with(code::RAPID_COMMIT, []);
        }
        let message = message.bytes();
        self.sent = self.sent.saturating_add(1);
        self.due = Some(now + self.next_wait(now));
        message
    }

    /// RFC 8415 §21.4: T1, T2 and lifetimes are 0 in a client's message.
    fn group(&self, lease: Option<&Lease6>) -> Vec<u8> {
        let mut options = Options::default();
        for address in lease.into_iter().flat_map(|lease| &lease.addresses) {
            options.0.push((code::IA_ADDRESS, [&address.ip.octets()[..], &[0; 8]].concat()));
        }
        [&self.iaid().to_be_bytes()[..], &[0; 8], &options.bytes()].concat()
    }

    /// RFC 8415 §15: each wait is twice the one before, give or take a tenth.
    fn next_wait(&mut self, now: Moment) -> Duration {
        let second = Duration::from_secs(1);
        let (first, longest) = match self.state {
            State::Requesting(_) => (second, second * 30),
            State::Confirming => (second, second * 4),
            State::Renewing | State::Rebinding => (second * 10, second * 600),
            _ => (second, self.longest),
        };
        // 0.9 to 1.1, in thousandths.
        let spread = 900 + u32::try_from(self.random() % 200).unwrap_or(100);
        let base = if self.wait.is_zero() { first } else { self.wait.saturating_mul(2) };
        self.wait = base.min(longest) * spread / 1000;
        // A wait ends with its state.
        let limit = match self.state {
            State::Renewing => self.held.as_ref().map(|(lease, since)| *since + lease.rebind),
            State::Confirming => Some(self.began + CONFIRM_FOR),
            _ => None,
        };
        limit.map_or(self.wait, |limit| self.wait.min(limit.saturating_sub(now)))
    }

    /// RFC 8415 §11.4: an identifier made of the hardware address.
    fn duid(&self) -> Vec<u8> {
        [&[0, 3, 0, 1], &self.mac[..]].concat()
    }

    /// splitmix64: random enough for transaction ids and waits.
    fn random(&mut self) -> u64 {
        self.random_state = self.random_state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random_state ^ self.random_state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

#[cfg(test)]
#[path = "client6_tests.rs"]
mod tests;
