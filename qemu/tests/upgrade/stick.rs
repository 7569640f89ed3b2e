//! Upgrades without a network, from a USB stick. The stick holds a repository as a folder and as a bundle file.

use crate::{
    common::tool,
    host::{Host, booted, small},
    publisher::{Publisher, plain},
};
use berth_contract::update::EntryState;
use std::fs::File;

#[test]
fn a_folder_and_a_bundle_on_a_stick_are_valid_sources() {
    let publisher = Publisher::new("stick");
    let (one, two) = (publisher.build(&plain("1")), publisher.build(&plain("2")));
    let repo = publisher.release("repo", &[&one], &["--deltas", "0"]);
    publisher.release("repo", &[&two], &["--bundle", "two.bundle"]);

    let stick = publisher.path("stick.raw");
    File::create(&stick).unwrap().set_len(512 << 20).unwrap();
    let (path, bundle) = (stick.to_str().unwrap(), publisher.path("two.bundle"));
    tool("mkfs.fat", &["-F", "32", "-n", "STICK", path]).unwrap();
    tool("mcopy", &["-s", "-i", path, repo.to_str().unwrap(), "::repo"]).unwrap();
    tool("mcopy", &["-i", path, bundle.to_str().unwrap(), "::two.bundle"]).unwrap();

    let mut description = small("stick", &one);
    (description.disks, description.reach_out) = (vec![stick], false);
    let description = booted(&description);
    for source in ["disk:STICK/repo", "disk:stick/two.bundle"] {
        let mut host = Host::start(&description);
        host.hostctl(&["upgrade", source]).unwrap_or_else(|error| panic!("{source}: {error}"));
        let other = host.slots().1;
        assert_eq!(other.version.unwrap().as_str(), "2", "{source}");
        assert!(matches!(other.state, EntryState::Trial(_)), "{source}");
        host.cut_power();
    }
}
