//! Upgrades of a host whose clock is wrong by years. There is no time server.

use crate::{
    host::{Host, small},
    publisher::{Publisher, plain},
    server::Server,
};
use berth_contract::update::EntryState;
use berth_qemu::machine::Description;
use std::{thread, time::Duration};

#[test]
fn a_clock_far_ahead_refuses_an_upgrade_and_a_clock_far_behind_does_not() {
    let publisher = Publisher::new("clock");
    let (old, new) = (publisher.build(&plain("1")), publisher.build(&plain("2")));
    let server = Server::start(&publisher.shared_release(&[&old, &new]));
    let mut description = small("clock", &old);
    description.kept = Some(publisher.path("state"));
    let at = |clock: &str| Host::start(&Description { clock: Some(clock.to_owned()), ..description.clone() });

    // The clock is far ahead: all release metadata looks expired. The error must name the clock.
    let mut host = at("2040-04-04T04:04:04");
    let refused = host.hostctl(&["upgrade", &server.url()]).unwrap_err();
    assert!(refused.contains("expired") && refused.contains("2040") && refused.contains("clock"), "{refused}");
    assert_eq!(host.slots().1.state, EntryState::None);
    // logd flushes a line to the disk after five seconds at the latest.
    let stored = host.hostctl(&["logs", "init"]).unwrap().len();
    assert!(stored > 10, "{stored} lines");
    let flushed = host.status().uptime_us + 6_000_000;
    while host.status().uptime_us < flushed {
        thread::sleep(Duration::from_millis(200));
    }
    host.cut_power();

    // The clock is far behind: the host uses its image's build time as the earliest possible time, so the upgrade works. The boot with
    // the clock far ahead must have stored nothing that prevents it.
    let mut host = at("1999-09-09T09:09:09");
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    assert_eq!(host.slots().1.version.unwrap().as_str(), "2");

    // The logs of the boot before the power cut, with its clock.
    let boots = host.hostctl(&["logs", "--list-boots"]).unwrap();
    assert!(boots.len() == 2 && boots[0].contains("  2040-04-04T04:"), "{boots:?}");
    let before = host.hostctl(&["logs", "--boot", "-1"]).unwrap();
    for word in [" kernel: Linux version ", " init: ", " netd: "] {
        assert!(
            before.iter().any(|line| line.starts_with("2040-04-04T04:") && line.contains(word)),
            "{word}: {before:?}"
        );
    }
    assert!(before.is_sorted_by_key(|line| line.split(' ').next().unwrap_or_default().to_owned()), "by time");
    let this = host.hostctl(&["logs", "kernel", "--json"]).unwrap();
    let first: serde_json::Value = serde_json::from_str(&this[0]).unwrap();
    assert!(first["boot"] == 2 && first["log"] == "kernel", "{first}");
}
