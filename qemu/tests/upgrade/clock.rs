//! Upgrades of a host whose clock is wrong by years. There is no time server.

use crate::{
    host::{Host, small},
    publisher::{Publisher, plain},
    server::Server,
};
use berth_contract::update::EntryState;
use berth_qemu::machine::Description;

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
    host.cut_power();

    // The clock is far behind: the host uses its image's build time as the earliest possible time, so the upgrade works. The boot with
    // the clock far ahead must have stored nothing that prevents it.
    let mut host = at("1999-09-09T09:09:09");
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    assert_eq!(host.slots().1.version.unwrap().as_str(), "2");
}
