//! The DHCP client, RFC 2131 §4.4, as a machine that is told the time and what came, and says what to do.
//! It does no I/O; clock and chance come in by hand.

use super::{
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
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The one message among the actions.
    fn sent(actions: &[Action]) -> Message {
        let mut messages = actions.iter().filter_map(|action| match action {
            Action::Broadcast { message, .. } | Action::Unicast { message, .. } => {
                Some(Message::parse(message).unwrap())
            }
            _ => None,
        });
        let message = messages.next().unwrap_or_else(|| panic!("no message in {actions:?}"));
        assert!(messages.next().is_none());
        message
    }

    fn answer(to: &Message, kind: MessageType, lease: u32) -> Message {
        let mut message = Message::new(BOOTREPLY, kind, to.xid, to.chaddr).with(code::SERVER_ID, SERVER.octets());
        if kind != MessageType::Nak {
            message.yiaddr = ADDRESS;
            message = message.with(code::LEASE_TIME, lease.to_be_bytes()).with(code::SUBNET_MASK, [255, 255, 255, 0]);
        }
        message
    }

    /// A client that got a lease of 1000 s at second 10.
    fn bound() -> Client {
        let mut client = Client::new(MAC, 1);
        let discover = sent(&client.carrier_up(s(10), Some("node-1".into())));
        assert_eq!(
            (discover.kind(), discover.text(code::HOST_NAME)),
            (Some(MessageType::Discover), Some("node-1".into()))
        );
        let request = sent(&client.receive(s(10), &answer(&discover, MessageType::Offer, 1000)));
        assert_eq!(request.kind(), Some(MessageType::Request));
        assert_eq!(request.address(code::REQUESTED_ADDRESS), Some(ADDRESS));
        assert_eq!(request.address(code::SERVER_ID), Some(SERVER));
        assert_eq!((request.xid, request.ciaddr), (discover.xid, Ipv4Addr::UNSPECIFIED));
        let done = client.receive(s(10), &answer(&request, MessageType::Ack, 1000));
        assert!(matches!(&done[..], [Action::Configure(lease)] if lease.address == ADDRESS), "{done:?}");
        assert_eq!(client.deadline(), Some(s(510)));
        client
    }

    /// Lets the time pass until something is sent.
    fn next(client: &mut Client) -> (Moment, Vec<Action>) {
        for _ in 0..3 {
            let now = client.deadline().unwrap();
            let actions = client.tick(now);
            if !actions.is_empty() {
                return (now, actions);
            }
        }
        panic!("nothing happens: {client:?}");
    }

    #[test]
    fn silence_is_asked_again_ever_more_slowly() {
        let mut client = Client::new(MAC, 7);
        let mut last = s(5);
        let first = sent(&client.carrier_up(last, None));
        for wait in [1, 2, 4, 8, 16, 32, 64, 64, 64] {
            let (now, actions) = next(&mut client);
            let waited = now - last;
            assert!(waited >= s(wait) * 3 / 4 && waited <= s(wait) * 5 / 4, "{waited:?} for {wait} s");
            let again = sent(&actions);
            assert_eq!((again.kind(), again.xid), (Some(MessageType::Discover), first.xid));
            last = now;
        }
        assert_ne!(sent(&Client::new(MAC, 8).carrier_up(s(5), None)).xid, first.xid);
    }

    #[test]
    fn a_server_that_offers_and_falls_silent_is_left() {
        let mut client = Client::new(MAC, 1);
        let discover = sent(&client.carrier_up(s(0), None));
        client.receive(s(0), &answer(&discover, MessageType::Offer, 100));
        for _ in 1..REQUESTS {
            assert_eq!(sent(&next(&mut client).1).kind(), Some(MessageType::Request));
        }
        assert_eq!(sent(&next(&mut client).1).kind(), Some(MessageType::Discover));
    }

    #[test]
    fn a_lease_is_renewed_at_t1_with_its_server_alone() {
        let mut client = bound();
        let (now, actions) = next(&mut client);
        assert_eq!(now, s(510));
        assert!(matches!(actions[..], [Action::Unicast { source: ADDRESS, server: SERVER, .. }]), "{actions:?}");
        let request = sent(&actions);
        assert_eq!((request.ciaddr, request.address(code::SERVER_ID)), (ADDRESS, None));
        assert_eq!(request.address(code::REQUESTED_ADDRESS), None);
        let done = client.receive(s(511), &answer(&request, MessageType::Ack, 2000));
        assert!(matches!(done[..], [Action::Configure(_)]));
        assert_eq!(client.deadline(), Some(s(1510)), "counts from the request");
    }

    #[test]
    fn without_an_answer_it_asks_anybody_at_t2_and_gives_up_at_the_end() {
        let mut client = bound();
        let mut seen = Vec::new();
        loop {
            let (now, actions) = next(&mut client);
            match &actions[..] {
                [Action::Unicast { .. }] => seen.push(("unicast", now.as_secs())),
                [Action::Broadcast { source: ADDRESS, .. }] => seen.push(("broadcast", now.as_secs())),
                [Action::Unconfigure(Loss::Expired), Action::Broadcast { source, .. }] if source.is_unspecified() => {
                    assert_eq!(now, s(1010));
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        // T2 is at 10 + 875; half of what is left each time, but no less than a minute.
        assert_eq!(
            seen,
            [
                ("unicast", 510),
                ("unicast", 697),
                ("unicast", 791),
                ("unicast", 851),
                ("broadcast", 885),
                ("broadcast", 947),
                ("broadcast", 1007)
            ]
        );
        assert!(client.lease().is_none());
    }

    #[test]
    fn a_refusal_takes_the_address_away_at_once_and_refusals_make_no_storm() {
        let mut client = bound();
        let request = sent(&next(&mut client).1);
        let refusal = answer(&request, MessageType::Nak, 0).with(code::MESSAGE, *b"wrong network");
        let actions = client.receive(s(511), &refusal);
        assert_eq!(actions[0], Action::Unconfigure(Loss::Refused(Some("wrong network".into()))));
        assert_eq!(sent(&actions).kind(), Some(MessageType::Discover));
        let (mut discover, mut now, mut waits) = (sent(&actions), s(511), Vec::new());
        for _ in 0..4 {
            let request = sent(&client.receive(now, &answer(&discover, MessageType::Offer, 100)));
            client.receive(now, &answer(&request, MessageType::Nak, 0));
            let (then, actions) = next(&mut client);
            waits.push((then - now).as_secs());
            (discover, now) = (sent(&actions), then);
        }
        assert_eq!(waits, [2, 4, 8, 16]);
    }

    #[test]
    fn when_the_cable_comes_back_the_old_address_is_asked_for() {
        let mut client = bound();
        client.carrier_down();
        assert_eq!(client.deadline(), Some(s(1010)), "the lease still ends");
        let request = sent(&client.carrier_up(s(100), None));
        assert_eq!((request.kind(), request.ciaddr), (Some(MessageType::Request), Ipv4Addr::UNSPECIFIED));
        assert_eq!(request.address(code::REQUESTED_ADDRESS), Some(ADDRESS));
        assert_eq!(request.address(code::SERVER_ID), None);
        // Nobody answers: the address is kept, and asked for by DISCOVER.
        for _ in 1..REQUESTS {
            next(&mut client);
        }
        let discover = sent(&next(&mut client).1);
        assert_eq!(
            (discover.kind(), discover.address(code::REQUESTED_ADDRESS)),
            (Some(MessageType::Discover), Some(ADDRESS))
        );
        assert!(client.lease().is_some());
        client.carrier_down();
        assert_eq!(client.tick(s(1010)), [Action::Unconfigure(Loss::Expired)]);
        assert_eq!(client.deadline(), None);
    }

    #[test]
    fn what_is_not_for_this_client_is_ignored() {
        let mut client = Client::new(MAC, 1);
        let discover = sent(&client.carrier_up(s(0), None));
        let offer = answer(&discover, MessageType::Offer, 100);
        let wrong = [
            Message { xid: offer.xid ^ 1, ..offer.clone() },
            Message { chaddr: [2; 6], ..offer.clone() },
            Message { op: BOOTREQUEST, ..offer.clone() },
            answer(&discover, MessageType::Ack, 100),
            answer(&discover, MessageType::Nak, 100),
        ];
        for message in wrong {
            assert_eq!(client.receive(s(0), &message), [], "{message:?}");
        }
        let bare = answer(&discover, MessageType::Offer, 0);
        assert_eq!(client.receive(s(0), &bare), [Action::Note(Note::Unusable(Unusable::LeaseTime))]);
        let request = sent(&client.receive(s(0), &offer));
        let other = answer(&request, MessageType::Ack, 100).with(code::SERVER_ID, [9, 9, 9, 9]);
        assert_eq!(client.receive(s(0), &other), []);
    }

    #[test]
    fn a_lease_for_ever_needs_nothing_more() {
        let mut client = Client::new(MAC, 1);
        let discover = sent(&client.carrier_up(s(0), None));
        let request = sent(&client.receive(s(0), &answer(&discover, MessageType::Offer, u32::MAX)));
        client.receive(s(0), &answer(&request, MessageType::Ack, u32::MAX));
        assert_eq!(client.deadline(), None);
    }

    /// Whatever bytes come, in whatever state: nothing panics, and time goes on.
    #[test]
    fn hostile_packets_do_no_harm() {
        let mut client = Client::new(MAC, 3);
        let mut chance = Client::new(MAC, 42);
        let mut now = s(0);
        let mut last = sent(&client.carrier_up(now, None));
        let kinds = [MessageType::Offer, MessageType::Ack, MessageType::Nak];
        let (mut parsed, mut leases) = (0, 0);
        for round in 0..200_000_usize {
            let reply = answer(&last, kinds[round % 3], 100).with(code::OVERLOAD, [u8::try_from(round % 5).unwrap()]);
            let mut bytes = super::super::datagram::broadcast(SERVER, &reply.bytes()).unwrap();
            bytes[20..24].copy_from_slice(&[0, 67, 0, 68]);
            // One in four packets stays whole, so that every state is visited.
            for _ in 0..chance.random() % 4 {
                let at = usize::try_from(chance.random()).unwrap() % bytes.len();
                bytes[at] = chance.random().to_be_bytes()[0];
            }
            if chance.random().is_multiple_of(8) {
                bytes.truncate(usize::try_from(chance.random()).unwrap() % bytes.len());
            }
            let message = super::super::datagram::payload(&bytes).and_then(|payload| Message::parse(payload).ok());
            let mut actions = message.iter().flat_map(|message| client.receive(now, message)).collect::<Vec<_>>();
            parsed += usize::from(message.is_some());
            now += Duration::from_millis(chance.random() % 4000);
            actions.extend(client.tick(now));
            for action in actions {
                match action {
                    Action::Broadcast { message, .. } | Action::Unicast { message, .. } => {
                        last = Message::parse(&message).unwrap();
                    }
                    Action::Configure(lease) => leases += usize::from((1..=32).contains(&lease.prefix)),
                    _ => {}
                }
            }
            if round % 1000 == 999 {
                client.carrier_down();
                last = sent(&client.carrier_up(now, None));
            }
        }
        assert!(parsed > 10_000 && leases > 1000, "the loop reaches nothing: {parsed} {leases}");
    }
}
