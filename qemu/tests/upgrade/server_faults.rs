//! An upgrade from a server that stops and comes back.

use crate::{
    host::{Host, booted, small},
    publisher::{Publisher, Version, noise, plain},
    server::{Faults, Server},
};
use berth_contract::update::{UpgradeEvent, Way};
use std::{thread, time::Duration};

/// Memory limit of hostctl in bytes. It does not depend on the size of the image.
const MOST_MEMORY: u64 = 64 << 20;

/// Reads the last event of `hostctl upgrade --json`. Returns the way, the bytes fetched, and the bytes written.
pub(crate) fn upgrade_result(lines: &[String]) -> (Way, u64, u64) {
    let events = lines.iter().filter_map(|line| serde_json::from_str::<UpgradeEvent>(line).ok());
    let mut ends = events.filter_map(|event| match event {
        UpgradeEvent::Done { way, fetched, written, peak_memory, .. } => {
            assert!((1..=MOST_MEMORY).contains(&peak_memory), "{way}: {peak_memory} bytes of memory");
            Some((way, fetched, written))
        }
        _ => None,
    });
    ends.next().unwrap_or_else(|| panic!("no event `done` in {lines:?}"))
}

#[test]
fn after_a_server_restarts_the_upgrade_continues_and_fetches_nothing_twice() {
    let publisher = Publisher::new("server-stops");
    let old = publisher.build(&plain("1"));
    // The new version has 32 MiB of data that no older version has. hostctl must fetch them.
    let new = Version { files: vec![("usr/share/noise", 0o644, noise(2, 32 << 20))], ..plain("2") };
    let server = Server::start(&publisher.shared_release(&[&old, &publisher.build(&new)]));
    let mut host = Host::start(&booted(&small("server-stops", &old)));

    // The server stops after 20 MB and comes back after three retries of hostctl. hostctl must continue.
    server.set_faults(Faults { dies_after: Some(20_000_000) });
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
    let (way, fetched, _) = upgrade_result(&lines);
    assert_eq!(way, Way::Blocks);
    assert!((20_000_000..60_000_000).contains(&fetched), "{fetched}");
    assert!(
        revived.sent() < fetched - 15_000_000,
        "expected that nothing is fetched twice; after the restart the server sent {} of {fetched} bytes",
        revived.sent()
    );
    assert_eq!(host.slots().1.version.unwrap().as_str(), "2");
}
