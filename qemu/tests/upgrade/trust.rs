//! Repositories that must not be trusted. The host refuses each of them, and does not change the running version, the slots or the entries.

use crate::{
    host::{Host, booted, small},
    publisher::{Publisher, Version, plain},
    server::Server,
};
use berth_contract::update::EntryState;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The file in `folder` whose name ends with `ending`. If there are several, the file whose name starts with the highest number.
fn newest(folder: &Path, ending: &str) -> PathBuf {
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
fn a_repository_that_must_not_be_trusted_is_refused_and_changes_nothing() {
    let publisher = Publisher::new("trust");
    let [one, two, three] = ["1", "2", "3"].map(|number| publisher.build(&plain(number)));
    let repo = publisher.release("repo", &[&one], &["--deltas", "0"]);
    let old_state = publisher.copy(&repo, "old-state");
    publisher.release("repo", &[&two], &["--deltas", "0"]);
    let middle_state = publisher.copy(&repo, "middle-state");
    publisher.release("repo", &[&three], &["--deltas", "0"]);

    let server = Server::start(&repo);
    let mut host = Host::start(&booted(&small("trust", &one)));
    let before = host.slots();
    // The host sees the newest metadata. From now on it refuses older metadata.
    host.hostctl(&["upgrade", "--check", &server.url()]).unwrap();

    let mut refused = |name: &str, folder: &Path, words: &[&str]| {
        server.serve_folder(folder);
        let error = host.hostctl(&["upgrade", &server.url()]).expect_err(name);
        assert!(words.iter().any(|word| error.to_lowercase().contains(word)), "{name}: {error}");
        let after = host.slots();
        assert_eq!((&after.0, after.1.state), (&before.0, EntryState::None), "{name}");
    };
    let damaged = |name: &str, damage: &dyn Fn(&Path)| {
        let copy = publisher.copy(&repo, name);
        damage(&copy);
        copy
    };
    let metadata = |copy: &Path, ending: &str| newest(&copy.join("metadata"), ending);
    let target = |copy: &Path, ending: &str| newest(&copy.join("targets"), &format!("_3_x86_64.{ending}"));

    let unsigned = damaged("unsigned", &|copy| {
        let path = copy.join("metadata/timestamp.json");
        let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        json["signatures"] = serde_json::json!([]);
        fs::write(&path, serde_json::to_vec(&json).unwrap()).unwrap();
    });
    refused("unsigned", &unsigned, &["signature", "threshold"]);
    let stranger = Publisher::stranger("trust-stranger");
    refused("wrong key", &stranger.release("repo", &[&three], &["--deltas", "0"]), &["signature", "threshold", "root"]);
    refused("rolled back", &old_state, &["version", "older", "rollback"]);
    let mixed = damaged("mixed", &|copy| {
        fs::copy(metadata(&middle_state, ".targets.json"), metadata(copy, ".targets.json")).unwrap();
    });
    refused("mixed", &mixed, &["targets"]);
    for file in ["timestamp.json", ".snapshot.json", ".targets.json"] {
        refused(
            &format!("a bit of {file}"),
            &damaged(&format!("bit-{file}"), &|copy| flip_a_bit(&metadata(copy, file))),
            &[""],
        );
        refused(
            &format!("half of {file}"),
            &damaged(&format!("half-{file}"), &|copy| truncate(&metadata(copy, file))),
            &[""],
        );
    }
    // Targets: the release record, the kernel image, and all forms of the root file system at once.
    refused(
        "a bit of the record",
        &damaged("bit-record", &|copy| flip_a_bit(&target(copy, "release.json"))),
        &["release.json"],
    );
    // Invert every byte of the kernel image: hostctl fetches only the parts that differ from the running kernel image, so it might not
    // fetch a single changed byte. Test the kernel image before the root file system: hostctl fetches the kernel image first, and would
    // keep a correct one for the next upgrade.
    refused("the kernel image", &damaged("other-efi", &|copy| invert(&target(copy, "efi"))), &["efi"]);
    let everything = damaged("bit-root", &|copy| {
        ["root.zst", "root.xz", "root.chunks", "root.index"]
            .iter()
            .for_each(|ending| flip_a_bit(&target(copy, ending)));
    });
    refused("a bit of every way", &everything, &["root"]);
    let halves = damaged("half-root", &|copy| {
        ["root.zst", "root.xz", "root.chunks", "root.index"].iter().for_each(|ending| truncate(&target(copy, ending)));
    });
    refused("half of every way", &halves, &["root"]);

    // The undamaged repository still works.
    server.serve_folder(&repo);
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    let after = host.slots();
    assert_eq!(after.1.version.as_ref().unwrap().as_str(), "3");
    assert!(matches!(after.1.state, EntryState::Trial(_)));
    // The running version has not changed. Version 3 starts at the next reboot.
    assert_eq!(after.0, before.0);

    // A repository of another image, signed with the right keys. This is the last case, because the host then refuses all older metadata.
    let other = publisher.build(&Version { lines: "id = \"berth-other\"", ..plain("9") });
    // The repository starts as a copy, so its metadata is newer than the metadata that the host has seen. All releases of the host's own
    // image are revoked.
    publisher.copy(&repo, "other");
    let other = publisher.release("other", &[&other], &["--deltas", "0"]);
    for version in ["1", "2", "3"] {
        publisher.berth(&[
            "repo",
            "revoke",
            version,
            "--id",
            "berth-small",
            "--repo",
            "other",
            "--keys",
            publisher.keys(),
        ]);
    }
    server.serve_folder(&other);
    let error = host.hostctl(&["upgrade", &server.url()]).unwrap_err();
    assert!(error.contains("berth-other"), "{error}");
    assert_eq!(host.slots(), after);
}
