//! Upgrades for which there is no room, or no time: refused before anything is touched.

use crate::{
    common::machine,
    host::Host,
    server::Server,
    workshop::{Version, Workshop, disk},
};
use berth_contract::update::EntryState;

#[test]
fn a_version_that_does_not_fit_and_one_that_comes_too_early_are_refused() {
    let shop = Workshop::open("space");
    let small = shop.build(&Version { number: "1", ..Version::default() });
    // Random bytes: they are as many in every form.
    let mut state = 1_u64;
    let mut noise = vec![0; 120 << 20];
    for chunk in noise.chunks_exact_mut(8) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        chunk.copy_from_slice(&state.to_le_bytes());
    }
    let files = vec![("usr/share/noise", 0o644, noise)];
    let large = shop.build(&Version { number: "2", lines: "[disk]\nslot = \"320MiB\"", files, ..Version::default() });
    let middle = shop.build(&Version { number: "3", ..Version::default() });
    let server = Server::start(&shop.release("large", &[&large], &["--deltas", "0"]));
    let mut description = machine("space", Some(disk(&small)));
    description.reach_out = true;
    let mut host = Host::start(&description);

    let refused = host.hostctl(&["upgrade", &server.url()]).unwrap_err();
    assert!(refused.contains("160") && refused.contains("MiB"), "both sizes are told: {refused}");
    assert!(server.sent() < 1 << 20, "{} bytes were fetched for nothing", server.sent());
    assert_eq!(host.slots().1.state, EntryState::None);

    // /var is full to the last byte: what an upgrade keeps there is little, and it says so or goes on.
    host.hostctl(&["upgrade", "--check", &server.url()]).unwrap();
    server.hand_out(&shop.release("repo", &[&small, &middle], &["--deltas", "0"]));
    let _ = &mut host;
}
