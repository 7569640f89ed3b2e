use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The message among the actions. Panics unless there is exactly one.
fn sent(actions: &[Action]) -> Message {
    let mut messages = actions.iter().filter_map(|action| match action {
        Action::Broadcast { message, .. } | Action::Unicast { message, .. } => Some(Message::parse(message).unwrap()),
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
    assert_eq!((discover.kind(), discover.text(code::HOST_NAME)), (Some(MessageType::Discover), Some("node-1".into())));
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

/// Advances the time until a message is sent.
fn next(client: &mut Client) -> (Moment, Vec<Action>) {
    for _ in 0..3 {
        let now = client.deadline().unwrap();
        let actions = client.tick(now);
        if !actions.is_empty() {
            return (now, actions);
        }
    }
    panic!("the client sends nothing: {client:?}");
}

#[test]
fn waits_grow_while_no_server_answers() {
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
fn a_server_that_offers_and_then_is_silent_is_given_up() {
    let mut client = Client::new(MAC, 1);
    let discover = sent(&client.carrier_up(s(0), None));
    client.receive(s(0), &answer(&discover, MessageType::Offer, 100));
    for _ in 1..REQUESTS {
        assert_eq!(sent(&next(&mut client).1).kind(), Some(MessageType::Request));
    }
    assert_eq!(sent(&next(&mut client).1).kind(), Some(MessageType::Discover));
}

#[test]
fn at_t1_a_lease_is_renewed_with_its_server_only() {
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
fn at_t2_every_server_is_asked_and_the_lease_ends_without_an_answer() {
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
    // T2 is at 10 + 875. Each wait is half of the remaining time, but at least a minute.
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
fn a_refusal_removes_the_address_at_once_and_waits_grow_with_refusals() {
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
fn after_a_reconnect_the_old_address_is_requested() {
    let mut client = bound();
    client.carrier_down();
    assert_eq!(client.deadline(), Some(s(1010)), "the lease still ends");
    let request = sent(&client.carrier_up(s(100), None));
    assert_eq!((request.kind(), request.ciaddr), (Some(MessageType::Request), Ipv4Addr::UNSPECIFIED));
    assert_eq!(request.address(code::REQUESTED_ADDRESS), Some(ADDRESS));
    assert_eq!(request.address(code::SERVER_ID), None);
    // No answer: the address is kept, and DISCOVER asks for it.
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
fn messages_for_other_clients_are_ignored() {
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
fn a_lease_without_an_end_is_not_renewed() {
    let mut client = Client::new(MAC, 1);
    let discover = sent(&client.carrier_up(s(0), None));
    let request = sent(&client.receive(s(0), &answer(&discover, MessageType::Offer, u32::MAX)));
    client.receive(s(0), &answer(&request, MessageType::Ack, u32::MAX));
    assert_eq!(client.deadline(), None);
}

/// A server that answers every request at once with a lease of one second.
#[test]
fn a_server_with_short_leases_gets_few_requests() {
    let mut client = Client::new(MAC, 1);
    let (mut now, mut messages) = (s(0), 0);
    let mut actions = client.carrier_up(now, None);
    while now < s(3600) {
        let request = sent(&actions);
        messages += 1;
        let kind = if request.kind() == Some(MessageType::Discover) { MessageType::Offer } else { MessageType::Ack };
        let mut reply = answer(&request, kind, 1);
        reply.options.insert(code::RENEWAL_TIME, vec![0, 0, 0, 1]);
        reply.options.insert(code::REBINDING_TIME, vec![0; 4]);
        actions = client.receive(now, &reply);
        if !actions.iter().any(|action| matches!(action, Action::Broadcast { .. } | Action::Unicast { .. })) {
            (now, actions) = next(&mut client);
        }
    }
    assert!((100..=400).contains(&messages), "{messages} messages in an hour");
}

/// Random bytes in every state: no panic, and the deadlines advance.
#[test]
fn hostile_packets_cause_no_panic() {
    let mut client = Client::new(MAC, 3);
    let mut chance = Client::new(MAC, 42);
    let mut now = s(0);
    let mut last = sent(&client.carrier_up(now, None));
    let kinds = [MessageType::Offer, MessageType::Ack, MessageType::Nak];
    let (mut parsed, mut leases) = (0, 0);
    for round in 0..200_000_usize {
        let reply = answer(&last, kinds[round % 3], 100).with(code::OVERLOAD, [u8::try_from(round % 5).unwrap()]);
        let mut bytes = crate::datagram::broadcast(SERVER, &reply.bytes()).unwrap();
        bytes[20..24].copy_from_slice(&[0, 67, 0, 68]);
        // A quarter of the packets are unchanged, so that every state is reached.
        for _ in 0..chance.random() % 4 {
            let at = usize::try_from(chance.random()).unwrap() % bytes.len();
            bytes[at] = chance.random().to_be_bytes()[0];
        }
        if chance.random().is_multiple_of(8) {
            bytes.truncate(usize::try_from(chance.random()).unwrap() % bytes.len());
        }
        let message = crate::datagram::payload(&bytes).and_then(|payload| Message::parse(payload).ok());
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
    assert!(
        parsed > 10_000 && leases > 1000,
        "the random messages reach too few states: {parsed} parsed, {leases} leases"
    );
}
