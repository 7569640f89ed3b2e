//! Repositories that are not to be trusted: each is refused while the running version, its slot and its entry are as they were.

use crate::{
    common::machine,
    host::Host,
    server::Server,
    workshop::{Version, Workshop, disk},
};
use berth_contract::update::EntryState;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The one file of a folder whose name ends like this; the one with the highest number in front of several.
fn the(folder: &Path, ending: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(ending))
        .collect();
    found.sort_by_key(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        name.split('.').next().and_then(|number| number.parse::<u64>().ok())
    });
    found.pop().unwrap_or_else(|| panic!("no {ending} in {}", folder.display()))
}

fn flip_a_bit(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(path, bytes).unwrap();
}

fn invert(path: &Path) {
    fs::write(path, fs::read(path).unwrap().iter().map(|byte| !byte).collect::<Vec<u8>>()).unwrap();
}

fn truncate(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

#[test]
fn what_is_not_to_be_trusted_is_refused_and_harms_nothing() {
    let shop = Workshop::open("trust");
    let version = |number, lines| shop.build(&Version { number, lines, ..Version::default() });
    let (one, two, three) = (version("1", ""), version("2", ""), version("3", ""));
    let repo = shop.release("repo", &[&one], &["--deltas", "0"]);
    let old_state = shop.copy(&repo, "old-state");
    shop.release("repo", &[&two], &["--deltas", "0"]);
    let middle_state = shop.copy(&repo, "middle-state");
    shop.release("repo", &[&three], &["--deltas", "0"]);

    let server = Server::start(&repo);
    let mut description = machine("trust", Some(disk(&one)));
    description.reach_out = true;
    let mut host = Host::start(&description);
    let before = host.slots();
    // The host has seen the newest state.
    host.hostctl(&["upgrade", "--check", &server.url()]).unwrap();

    let mut refused = |name: &str, folder: &Path, words: &[&str]| {
        server.hand_out(folder);
        let error = host.hostctl(&["upgrade", &server.url()]).expect_err(name);
        assert!(words.iter().any(|word| error.to_lowercase().contains(word)), "{name}: {error}");
        let after = host.slots();
        assert_eq!((&after.0, after.1.state), (&before.0, EntryState::None), "{name}");
    };
    let spoilt = |name: &str, spoil: &dyn Fn(&Path)| {
        let copy = shop.copy(&repo, name);
        spoil(&copy);
        copy
    };
    let metadata = |copy: &Path, ending: &str| the(&copy.join("metadata"), ending);
    let target = |copy: &Path, ending: &str| the(&copy.join("targets"), &format!("_3_x86_64.{ending}"));

    let unsigned = spoilt("unsigned", &|copy| {
        let path = copy.join("metadata/timestamp.json");
        let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        json["signatures"] = serde_json::json!([]);
        fs::write(&path, serde_json::to_vec(&json).unwrap()).unwrap();
    });
    refused("unsigned", &unsigned, &["signature", "threshold"]);
    let stranger = Workshop::open("trust-stranger");
    let strange = stranger.build(&Version { number: "4", ..Version::default() });
    refused("wrong key", &stranger.release("repo", &[&strange], &[]), &["signature", "threshold", "root"]);
    refused("rolled back", &old_state, &["version", "older", "rollback"]);
    let mixed = spoilt("mixed", &|copy| {
        fs::copy(metadata(&middle_state, ".targets.json"), metadata(copy, ".targets.json")).unwrap();
    });
    refused("mixed", &mixed, &["targets"]);
    for file in ["timestamp.json", ".snapshot.json", ".targets.json"] {
        refused(
            &format!("a bit of {file}"),
            &spoilt(&format!("bit-{file}"), &|copy| flip_a_bit(&metadata(copy, file))),
            &[""],
        );
        refused(
            &format!("half of {file}"),
            &spoilt(&format!("half-{file}"), &|copy| truncate(&metadata(copy, file))),
            &[""],
        );
    }
    // Targets: the record, the kernel image, and every way to the root file system at once.
    refused(
        "a bit of the record",
        &spoilt("bit-record", &|copy| flip_a_bit(&target(copy, "release.json"))),
        &["release.json"],
    );
    // Every byte: of a kernel image only those parts are fetched that the running one does not have. Before the ways to the
    // slot: it comes first, and one that is right stays for the next try.
    refused("the kernel image", &spoilt("other-efi", &|copy| invert(&target(copy, "efi"))), &["efi"]);
    let everything = spoilt("bit-root", &|copy| {
        ["root.zst", "root.xz", "root.chunks", "root.index"]
            .iter()
            .for_each(|ending| flip_a_bit(&target(copy, ending)));
    });
    refused("a bit of every way", &everything, &["root"]);
    let halves = spoilt("half-root", &|copy| {
        ["root.zst", "root.xz", "root.chunks", "root.index"].iter().for_each(|ending| truncate(&target(copy, ending)));
    });
    refused("half of every way", &halves, &["root"]);

    // The honest repository: it serves, after all that.
    server.hand_out(&repo);
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    let after = host.slots();
    assert_eq!(after.1.version.as_ref().unwrap().as_str(), "3");
    assert!(matches!(after.1.state, EntryState::Trial(_)));
    // Now the host is to be rebooted, and not to take yet another.
    assert_eq!(after.0, before.0);

    // A repository of another image, signed by the right keys. Last: what is newest in it is from now on the least that is believed.
    let other = shop.build(&Version { number: "9", lines: "id = \"berth-other\"", ..Version::default() });
    // As new as what the host has seen, and nothing of its own image is left in it.
    shop.copy(&repo, "other");
    let other = shop.release("other", &[&other], &["--deltas", "0"]);
    for version in ["1", "2", "3"] {
        shop.berth(&["repo", "revoke", version, "--id", "berth-small", "--repo", "other", "--keys", "keys"]);
    }
    server.hand_out(&other);
    let error = host.hostctl(&["upgrade", &server.url()]).unwrap_err();
    assert!(error.contains("berth-other"), "{error}");
    assert_eq!(host.slots(), after);
}
