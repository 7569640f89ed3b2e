//! Servers that go away in the middle and come back, that know no ranges, or that lie.

use crate::{
    common::machine,
    host::Host,
    server::{Manners, Server},
    workshop::{Version, Workshop, disk, noise},
};
use berth_contract::update::{EntryState, UpgradeEvent, Way};
use std::{thread, time::Duration};

/// hostctl's memory, whatever the image's size.
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
fn a_server_that_dies_and_comes_back_costs_no_byte_twice() {
    let shop = Workshop::open("server-dies");
    // The larger part of the image is another.
    let version = |number, seed| Version {
        number,
        files: vec![("usr/share/noise", 0o644, noise(seed, 32 << 20))],
        ..Version::default()
    };
    let (old, new) = (shop.build(&version("1", 1)), shop.build(&version("2", 2)));
    let server = Server::start(&shop.release("repo", &[&old, &new], &["--deltas", "0"]));
    let mut description = machine("server-dies", Some(disk(&old)));
    description.reach_out = true;
    let mut host = Host::start(&description);

    // It goes away after 20 MB for half a minute: hostctl waits, and goes on.
    server.behave(Manners { dies_after: Some(20_000_000), ..Manners::default() });
    let other = server.clone();
    let reviver = thread::spawn(move || {
        while !other.is_dead() {
            thread::sleep(Duration::from_millis(100));
        }
        thread::sleep(Duration::from_secs(30));
        other.behave(Manners::default());
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
fn what_a_server_cannot_or_will_not_do_right_is_done_in_another_way() {
    let shop = Workshop::open("server-lies");
    let (old, new) = (
        shop.build(&Version { number: "1", ..Version::default() }),
        shop.build(&Version { number: "2", ..Version::default() }),
    );
    let repo = shop.release("repo", &[&old], &[]);
    shop.release("repo", &[&new], &["--deltas", "1"]);
    let server = Server::start(&repo);
    let mut description = machine("server-lies", Some(disk(&old)));
    description.reach_out = true;
    for (fault, manners, wanted) in [
        ("nothing", Manners::default(), &[Way::Static][..]),
        ("delta", Manners { lies_about: Some(".delta".into()), ..Manners::default() }, &[Way::Blocks]),
        ("chunks", Manners { lies_about: Some("s".into()), ..Manners::default() }, &[Way::Static]),
        ("no ranges", Manners { no_ranges: true, ..Manners::default() }, &[Way::Static, Way::Full, Way::Blocks]),
    ] {
        server.behave(manners);
        let mut host = Host::start(&description);
        let lines =
            host.hostctl(&["upgrade", "--json", &server.url()]).unwrap_or_else(|error| panic!("{fault}: {error}"));
        let (way, ..) = done(&lines);
        assert!(wanted.contains(&way), "{fault}: {way}");
        assert!(matches!(host.slots().1.state, EntryState::Trial(_)));
        host.cut_power();
    }
    // Every way of it is a lie.
    server.behave(Manners { lies_about: Some("root.zst".into()), ..Manners::default() });
}
