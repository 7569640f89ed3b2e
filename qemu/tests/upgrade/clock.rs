//! Hosts whose clock is wrong by years, and nobody there who knows the time.

use crate::{
    common::machine,
    host::Host,
    server::Server,
    workshop::{Version, Workshop, disk},
};
use berth_contract::update::EntryState;
use berth_qemu::machine::Description;

#[test]
fn a_clock_that_is_wrong_by_years_costs_a_refusal_and_not_the_host() {
    let shop = Workshop::open("clock");
    let version = |number| shop.build(&Version { number, ..Version::default() });
    let (old, new) = (version("1"), version("2"));
    let server = Server::start(&shop.release("repo", &[&old, &new], &["--deltas", "0"]));
    let mut description = machine("clock", Some(disk(&old)));
    description.reach_out = true;
    description.kept = Some(shop.path("state"));
    let at = |clock: &str| Host::start(&Description { clock: Some(clock.to_owned()), ..description.clone() });

    // Far ahead: everything looks expired. It is refused, by the clock's fault.
    let mut host = at("2044-04-04T04:04:04");
    let refused = host.hostctl(&["upgrade", &server.url()]).unwrap_err();
    assert!(refused.contains("expired") && refused.contains("2044") && refused.contains("clock"), "{refused}");
    assert_eq!(host.slots().1.state, EntryState::None);
    host.cut_power();

    // Far behind, and nothing of the other time has stuck: a host is no older than its image.
    let mut host = at("1999-09-09T09:09:09");
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    assert_eq!(host.slots().1.version.unwrap().as_str(), "2");
}
