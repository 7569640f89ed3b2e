use super::*;
use crate::lease6::Address6;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SERVER: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 0, 9];

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The message among the actions. Panics unless there is exactly one.
fn sent(actions: &[Action6]) -> Message6 {
    let messages: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action6::Send(message) => Some(Message6::parse(message).unwrap()),
            _ => None,
        })
        .collect();
    assert_eq!(messages.len(), 1, "{actions:?}");
    messages[0].clone()
}

fn group(to: &Message6, preferred: u32, valid: u32, t1: u32, t2: u32) -> Vec<u8> {
    let address = "fd00::15".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let value = [&address[..], &preferred.to_be_bytes(), &valid.to_be_bytes()].concat();
    let options = Options(vec![(code::IA_ADDRESS, value)]);
    let iaid = &to.options.get(code::IA_NA).unwrap()[..4];
    [iaid, &t1.to_be_bytes(), &t2.to_be_bytes(), &options.bytes()].concat()
}

fn answer(to: &Message6, kind: Kind) -> Message6 {
    Message6::new(kind, to.xid)
        .with(code::CLIENT_ID, to.options.get(code::CLIENT_ID).unwrap())
        .with(code::SERVER_ID, SERVER)
        .with(code::DNS, "fd00::53".parse::<std::net::Ipv6Addr>().unwrap().octets())
        .with(code::DOMAINS, *b"\x03lan\x07example\x00")
}

fn with_lease(to: &Message6, kind: Kind) -> Message6 {
    answer(to, kind).with(code::IA_NA, group(to, 600, 1000, 300, 480))
}

fn next(client: &mut Client6) -> (Moment, Vec<Action6>) {
    for _ in 0..4 {
        let now = client.deadline().unwrap();
        let actions = client.tick(now);
        if !actions.is_empty() {
            return (now, actions);
        }
    }
    panic!("the client does nothing: {client:?}");
}

fn solicit(mode: Mode) -> (Client6, Moment, Message6) {
    let mut client = Client6::new(MAC, mode, 1);
    client.up(s(10));
    let (now, actions) = next(&mut client);
    assert!((s(10)..s(11)).contains(&now));
    let message = sent(&actions);
    (client, now, message)
}

fn bound() -> (Client6, Moment) {
    let (mut client, now, message) = solicit(Mode::Stateful);
    let done = client.receive(now, &with_lease(&message, Kind::Reply).with(code::RAPID_COMMIT, []));
    assert!(matches!(done[..], [Action6::Configure(_)]), "{done:?}");
    (client, now)
}

#[test]
fn the_best_offer_of_the_first_wait_is_taken() {
    let (mut client, now, message) = solicit(Mode::Stateful);
    assert_eq!((message.kind, message.options.get(code::RAPID_COMMIT)), (Kind::Solicit, Some(&[][..])));
    let offer = |id: u8, preference: u8| {
        let mut offer = with_lease(&message, Kind::Advertise).with(code::PREFERENCE, [preference]);
        offer.options.0[1].1 = vec![id];
        offer
    };
    assert_eq!(client.receive(now, &answer(&message, Kind::Advertise)), [], "an offer without an address");
    assert_eq!(client.receive(now, &offer(1, 3)), []);
    assert_eq!(client.receive(now, &offer(2, 9)), []);
    assert_eq!(client.receive(now, &offer(3, 4)), []);
    let (then, actions) = next(&mut client);
    assert!(then - now >= Duration::from_millis(900) && then - now <= Duration::from_millis(1100));
    let request = sent(&actions);
    assert_eq!((request.kind, request.options.get(code::SERVER_ID)), (Kind::Request, Some(&[2][..])));
    assert!(request.options.get(code::IA_NA).unwrap().len() > 12, "asks for the offered address");
    let mut other = with_lease(&request, Kind::Reply);
    assert_eq!(client.receive(then, &other), [], "another server");
    other.options.0[1].1 = vec![2];
    let done = client.receive(then, &other);
    let [Action6::Configure(lease)] = &done[..] else { panic!("{done:?}") };
    let address = Address6 { ip: "fd00::15".parse().unwrap(), preferred: s(600), valid: s(1000) };
    assert_eq!((&lease.addresses[..], &lease.search[..]), (&[address][..], &["lan.example".to_owned()][..]));
    // 255 is taken at once.
    let (mut client, now, message) = solicit(Mode::Stateful);
    let first = with_lease(&message, Kind::Advertise).with(code::PREFERENCE, [255]);
    assert_eq!(sent(&client.receive(now, &first)).kind, Kind::Request);
}

#[test]
fn a_lease_is_renewed_rebound_and_ends() {
    let (mut client, start) = bound();
    let (mut seen, mut end) = (Vec::new(), None);
    while end.is_none() {
        let (now, actions) = next(&mut client);
        match &actions[..] {
            [Action6::Send(_)] => seen.push((sent(&actions).kind, (now - start).as_secs())),
            [Action6::Unconfigure(false), Action6::Send(_)] => end = Some(now - start),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((seen[0], end), ((Kind::Renew, 300), Some(s(1000))));
    let rebind = seen.iter().find(|(kind, _)| *kind == Kind::Rebind);
    assert_eq!(rebind, Some(&(Kind::Rebind, 480)));
    assert!(seen.len() < 20, "{seen:?}");

    let (mut client, _) = bound();
    let (now, actions) = next(&mut client);
    let renewed = client.receive(now, &with_lease(&sent(&actions), Kind::Reply));
    assert!(matches!(renewed[..], [Action6::Configure(_)]));
    assert_eq!(client.deadline(), Some(now + s(300)));
}

#[test]
fn after_a_reconnect_the_addresses_are_confirmed() {
    let (mut client, _) = bound();
    client.down();
    client.up(s(50));
    let (now, actions) = next(&mut client);
    let confirm = sent(&actions);
    assert_eq!((confirm.kind, confirm.options.get(code::SERVER_ID)), (Kind::Confirm, None));
    assert_eq!(client.receive(now, &answer(&confirm, Kind::Reply).with(code::STATUS, [0, 0])), []);
    assert!(client.lease().is_some() && client.deadline() > Some(s(300)));

    client.down();
    client.up(s(60));
    let (now, actions) = next(&mut client);
    let gone = client.receive(now, &answer(&sent(&actions), Kind::Reply).with(code::STATUS, [0, 4]));
    assert!(matches!(gone[..], [Action6::Unconfigure(true), Action6::Send(_)]), "{gone:?}");
    // Without an answer the lease is used.
    let (mut client, _) = bound();
    client.down();
    client.up(s(70));
    while client.deadline() < Some(s(100)) {
        next(&mut client);
        client.tick(client.deadline().unwrap().min(s(99)));
    }
    assert!(client.lease().is_some());
}

#[test]
fn settings_are_asked_for_without_addresses() {
    let (mut client, now, message) = solicit(Mode::Stateless);
    assert_eq!((message.kind, message.options.get(code::IA_NA)), (Kind::InformationRequest, None));
    let reply = answer(&message, Kind::Reply).with(code::REFRESH_TIME, 1_u32.to_be_bytes());
    let done = client.receive(now, &reply);
    let [Action6::Configure(lease)] = &done[..] else { panic!("{done:?}") };
    assert_eq!((lease.addresses.len(), lease.dns.len()), (0, 1));
    assert_eq!(client.deadline(), Some(now + s(600)), "not more often than the specification allows");
    assert_eq!(sent(&next(&mut client).1).kind, Kind::InformationRequest);
}

#[test]
fn a_server_with_short_leases_gets_few_requests_and_silence_makes_waits_longer() {
    let (mut client, mut now, mut message) = solicit(Mode::Stateful);
    let mut messages = 0;
    while now < s(3600) {
        messages += 1;
        let reply = answer(&message, Kind::Reply).with(code::RAPID_COMMIT, []);
        client.receive(now, &reply.with(code::IA_NA, group(&message, 1, 1, 1, 1)));
        let (then, actions) = next(&mut client);
        (now, message) = (then, sent(&actions));
    }
    assert!((100..=400).contains(&messages), "{messages} messages in an hour");
    let (mut client, mut now, _) = solicit(Mode::Stateful);
    for _ in 0..20 {
        now = next(&mut client).0;
    }
    assert!(now > s(3600 * 4), "{now:?}");
}

#[test]
fn messages_for_others_and_without_identifiers_are_ignored() {
    let (mut client, now, message) = solicit(Mode::Stateful);
    let good = with_lease(&message, Kind::Reply).with(code::RAPID_COMMIT, []);
    for option in [code::CLIENT_ID, code::SERVER_ID, code::RAPID_COMMIT] {
        let mut bad = good.clone();
        bad.options.0.retain(|(code, _)| *code != option);
        assert_eq!(client.receive(now, &bad), [], "without option {option}");
    }
    let mut foreign = good.clone();
    foreign.xid ^= 1;
    assert_eq!(client.receive(now, &foreign), []);
    let bytes = good.bytes();
    assert_eq!(Message6::parse(&bytes), Some(good.clone()));
    for end in 0..bytes.len() {
        let _ = Message6::parse(&bytes[..end]);
    }
    assert!(!client.receive(now, &good).is_empty());
}
