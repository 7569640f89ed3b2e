//! Servers that stop in the middle and come back, that know no ranges, or that send wrong bytes.

use crate::{
    host::{Host, booted, small},
    publisher::{Publisher, Version, noise, plain},
    server::{Faults, Server},
};
use berth_contract::update::{EntryState, UpgradeEvent, Way};
use std::{thread, time::Duration};

/// Most memory that hostctl may use, whatever the image's size.
const MOST_MEMORY: u64 = 64 << 20;

/// The end of `hostctl upgrade --json`: the way, bytes fetched, bytes written.
pub(crate) fn done(lines: &[String]) -> (Way, u64, u64) {
    let events = lines.iter().filter_map(|line| serde_json::from_str::<UpgradeEvent>(line).ok());
    let mut ends = events.filter_map(|event| match event {
        UpgradeEvent::Done { way, fetched, written, peak_memory, .. } => {
            assert!((1..=MOST_MEMORY).contains(&peak_memory), "{way}: {peak_memory} bytes of memory");
            Some((way, fetched, written))
        }
        _ => None,
    });
    ends.next().unwrap_or_else(|| panic!("no end: {lines:?}"))
}

#[test]
fn a_server_that_stops_and_comes_back_sends_no_byte_twice() {
    let publisher = Publisher::new("server-stops");
    let old = publisher.build(&plain("1"));
    // Most of what is to be fetched is in no older image.
    let new = Version { files: vec![("usr/share/noise", 0o644, noise(2, 32 << 20))], ..plain("2") };
    let server = Server::start(&publisher.shared_release(&[&old, &publisher.build(&new)]));
    let mut host = Host::start(&booted(&small("server-stops", &old)));

    // It stops after 20 MB and comes back after some of hostctl's retries. hostctl goes on.
    server.set_faults(Faults { dies_after: Some(20_000_000), ..Faults::default() });
    let other = server.clone();
    let reviver = thread::spawn(move || {
        while !other.is_dead() {
            thread::sleep(Duration::from_millis(100));
        }
        while other.refused() < 3 {
            thread::sleep(Duration::from_millis(100));
        }
        other.set_faults(Faults::default());
        other
    });
    let lines = host.hostctl(&["upgrade", "--json", &server.url()]).unwrap();
    let revived = reviver.join().unwrap();
    let (way, fetched, _) = done(&lines);
    assert_eq!(way, Way::Blocks);
    assert!((20_000_000..60_000_000).contains(&fetched), "{fetched}");
    assert!(
        revived.sent() < fetched - 15_000_000,
        "what had come was not fetched again: {} of {fetched}",
        revived.sent()
    );
    assert_eq!(host.slots().1.version.unwrap().as_str(), "2");
}

#[test]
fn another_way_is_taken_when_a_server_fails_at_one() {
    let publisher = Publisher::new("server-fails");
    let (old, new) = (publisher.build(&plain("1")), publisher.build(&plain("2")));
    let repo = publisher.release("repo", &[&old], &[]);
    publisher.release("repo", &[&new], &["--deltas", "1"]);
    let server = Server::start(&repo);
    let description = booted(&small("server-fails", &old));
    let inverts = |ending: &str| Faults { inverts: Some(ending.to_owned()), ..Faults::default() };
    for (fault, faults, wanted) in [
        ("nothing", Faults::default(), &[Way::Static][..]),
        ("delta", inverts(".delta"), &[Way::Blocks]),
        ("chunks", inverts("s"), &[Way::Static]),
        ("no ranges", Faults { no_ranges: true, ..Faults::default() }, &[Way::Static, Way::Full, Way::Blocks]),
    ] {
        server.set_faults(faults);
        let mut host = Host::start(&description);
        let lines =
            host.hostctl(&["upgrade", "--json", &server.url()]).unwrap_or_else(|error| panic!("{fault}: {error}"));
        let (way, ..) = done(&lines);
        assert!(wanted.contains(&way), "{fault}: {way}");
        assert!(matches!(host.slots().1.state, EntryState::Trial(_)));
        host.cut_power();
    }
}
