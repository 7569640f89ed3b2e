//! Hosts whose clock is wrong by years, without a time server.

use crate::{
    host::{Host, small},
    publisher::{Publisher, plain},
    server::Server,
};
use berth_contract::update::EntryState;
use berth_qemu::machine::Description;

#[test]
fn a_clock_wrong_by_years_delays_an_upgrade_and_does_no_damage() {
    let publisher = Publisher::new("clock");
    let (old, new) = (publisher.build(&plain("1")), publisher.build(&plain("2")));
    let server = Server::start(&publisher.shared_release(&[&old, &new]));
    let mut description = small("clock", &old);
    description.kept = Some(publisher.path("state"));
    let at = |clock: &str| Host::start(&Description { clock: Some(clock.to_owned()), ..description.clone() });

    // Far ahead: everything looks expired. The refusal names the clock.
    let mut host = at("2044-04-04T04:04:04");
    let refused = host.hostctl(&["upgrade", &server.url()]).unwrap_err();
    assert!(refused.contains("expired") && refused.contains("2044") && refused.contains("clock"), "{refused}");
    assert_eq!(host.slots().1.state, EntryState::None);
    host.cut_power();

    // Far behind: a host is no older than its image, and nothing of the other time was stored.
    let mut host = at("1999-09-09T09:09:09");
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    assert_eq!(host.slots().1.version.unwrap().as_str(), "2");
}
