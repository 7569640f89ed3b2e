//! Without a network: a stick, with the repository as a folder or as one file.

use crate::{
    common::{judge, machine},
    host::Host,
    workshop::{Version, Workshop, disk},
};
use berth_contract::update::EntryState;
use std::fs::File;

#[test]
fn a_stick_serves_as_folder_and_as_bundle() {
    let shop = Workshop::open("stick");
    let version = |number| shop.build(&Version { number, ..Version::default() });
    let (one, two) = (version("1"), version("2"));
    let repo = shop.release("repo", &[&one], &[]);
    shop.release("repo", &[&two], &["--bundle", "two.bundle"]);

    let stick = shop.path("stick.raw");
    File::create(&stick).unwrap().set_len(512 << 20).unwrap();
    let (path, bundle) = (stick.to_str().unwrap(), shop.path("two.bundle"));
    judge("mkfs.fat", &["-F", "32", "-n", "STICK", path]).unwrap();
    judge("mcopy", &["-s", "-i", path, repo.to_str().unwrap(), "::repo"]).unwrap();
    judge("mcopy", &["-i", path, bundle.to_str().unwrap(), "::two.bundle"]).unwrap();

    let mut description = machine("stick", Some(disk(&one)));
    description.disks = vec![stick];
    for source in ["disk:STICK/repo", "disk:stick/two.bundle"] {
        let mut host = Host::start(&description);
        host.hostctl(&["upgrade", source]).unwrap_or_else(|error| panic!("{source}: {error}"));
        let other = host.slots().1;
        assert_eq!(other.version.unwrap().as_str(), "2", "{source}");
        assert!(matches!(other.state, EntryState::Trial(_)), "{source}");
        host.cut_power();
    }
}
