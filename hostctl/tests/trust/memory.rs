//! What a host remembers of the repositories that it has trusted.

use crate::kit::{
    self,
    keys::Key,
    repo::{EPOCH, Host, NOW, Repo},
};
use berth_contract::update::UpgradeEvent;
use hostctl::trust::{Clock, Trust, TrustError};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A copy of the repository at another address.
fn mirror(repo: &Repo) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-rT").args([repo.dir.path(), dir.path()]).status().unwrap();
    assert!(copied.success());
    dir
}

#[test]
fn metadata_that_were_replaced_are_refused_at_every_address() {
    let mut repo = Repo::with_release();
    let host = Host::of(&repo);
    let old = mirror(&repo);
    host.open_folder(old.path()).unwrap();
    // The publisher revokes the release.
    repo.remove_targets();
    repo.publish();
    host.open_folder(repo.dir.path()).unwrap();
    let error = host.open_folder(old.path()).unwrap_err();
    let TrustError::RolledBack { kept, wanted: 2, found: 1, .. } = &error else { panic!("{error}") };
    assert!(error.hint().unwrap().contains("hostctl update forget --repositories") && kept.exists());
    assert_eq!(&only_file(&host), kept);
    fs::remove_file(kept).unwrap();
    host.open_folder(old.path()).unwrap();
    // A new image has a newer root.json that no signature connects with the memory: the timestamp keys are enough.
    repo.write_root(2, &[]);
    repo.write_root(3, &[]);
    host.open_folder(repo.dir.path()).unwrap();
    let newer = Repo::new();
    let strange = Host { root: newer.root(), memory: host.memory, clock: host.clock };
    assert!(matches!(strange.open_folder(old.path()), Err(TrustError::RolledBack { .. })));
}

/// The files of the memory.
fn memory_files(host: &Host) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(host.memory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn only_file(host: &Host) -> PathBuf {
    let files = memory_files(host);
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

/// Changes the JSON of the memory.
fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn an_invented_chain_in_the_memory_is_never_trusted() {
    let repo = Repo::with_release();
    // The attacker's keys have signed every role, and all versions are higher.
    let mut forged = Repo::with_keys_from(61);
    (0..5).for_each(|_| forged.publish());
    forged.write_root(2, &[]);
    let text =
        |repo: &Repo, version: u64| fs::read_to_string(repo.path(&format!("metadata/{version}.root.json"))).unwrap();
    let own = String::from_utf8(repo.root()).unwrap();
    let seen = |name: &str| fs::read_to_string(forged.path(&format!("metadata/{name}.json"))).unwrap();
    for roots in [
        json!({"1": text(&forged, 1), "2": text(&forged, 2)}),
        // It begins with the image's root.json.
        json!({"1": own, "2": text(&forged, 2)}),
        json!({"2": text(&forged, 2)}),
        json!({"1": "", "2": text(&forged, 2)}),
    ] {
        let host = Host::of(&repo);
        let memory =
            json!({"roots": roots, "timestamp": seen("timestamp"), "snapshot": seen("5.snapshot"), "latest": 0});
        host.open_folder(repo.dir.path()).unwrap();
        let path = only_file(&host);
        for path in [path.clone(), path.with_file_name("another.json")] {
            fs::write(&path, memory.to_string()).unwrap();
            let refused = host.open_folder(forged.dir.path()).unwrap_err();
            assert!(matches!(&refused, TrustError::Signature { .. }), "{roots}: {refused}");
            host.open_folder(repo.dir.path()).unwrap_or_else(|error| panic!("{roots}: {error}"));
        }
    }
    // A forged successor of the image's root.json is said.
    let host = Host::of(&repo);
    host.open_folder(repo.dir.path()).unwrap();
    let path = only_file(&host);
    change(&path, |memory| memory["roots"]["2"] = json!(text(&forged, 2)));
    let (opened, events) = host.open_saying(&kit::folder(repo.dir.path()));
    opened.unwrap();
    assert!(
        matches!(&events[..], [UpgradeEvent::MemoryDamaged { fault, .. }] if fault.contains("2.root.json")),
        "{events:?}"
    );
    assert!(host.open_saying(&kit::folder(repo.dir.path())).1.is_empty(), "the next run finds a good memory");
}

#[test]
fn the_signed_root_keys_are_kept_and_walked_again() {
    let mut repo = Repo::with_release();
    let host = Host::of(&repo);
    for version in 2..6 {
        let old = repo.keys.insert("root", vec![Key(60 + u8::try_from(version).unwrap())]).unwrap();
        repo.write_root(version, &old);
    }
    repo.publish();
    host.open_folder(repo.dir.path()).unwrap();
    let path = only_file(&host);
    let kept: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let names: Vec<_> = kept["roots"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["1", "2", "3", "4", "5"]);
    for version in 2..6 {
        let published = fs::read_to_string(repo.path(&format!("metadata/{version}.root.json"))).unwrap();
        assert_eq!(kept["roots"][version.to_string()], json!(published), "byte for byte");
        fs::remove_file(repo.path(&format!("metadata/{version}.root.json"))).unwrap();
    }
    host.open_folder(repo.dir.path()).unwrap();
    // Without the third, the chain ends at the second: the fifth is not trusted, whoever has signed it.
    change(&path, |memory| {
        memory["roots"].as_object_mut().unwrap().remove("3");
    });
    let (opened, events) = host.open_saying(&kit::folder(repo.dir.path()));
    opened.unwrap();
    assert!(matches!(&events[..], [UpgradeEvent::MemoryDamaged { .. }]), "{events:?}");
}

#[test]
fn a_clock_that_is_set_back_revives_no_expired_metadata() {
    let mut repo = Repo::new();
    repo.twists.insert("timestamp", Box::new(|value| value["expires"] = json!("2026-11-22T00:00:00Z")));
    repo.publish();
    let old = mirror(&repo);
    let mut host = Host::of(&repo);
    host.open_folder(old.path()).unwrap();
    // Five days later.
    repo.twists.insert("timestamp", Box::new(|value| value["expires"] = json!("2026-11-28T00:00:00Z")));
    repo.version = 1;
    repo.publish();
    host.clock = Clock { host: NOW + 5 * 86_400, epoch: EPOCH };
    host.open_folder(repo.dir.path()).unwrap();
    // The versions are the same, so only the time protects.
    host.clock = Clock { host: NOW, epoch: EPOCH };
    let error = host.open_folder(old.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the timestamp metadata expired at 2026-11-22T00:00:00Z, and it is 2026-11-26T00:00:00Z by the time when this host last \
         verified metadata (the host's clock, being earlier, was set back)"
    );
    host.open_folder(repo.dir.path()).unwrap();
    // A time that the stored metadata contradict is damage, and does not cut the host off.
    change(&only_file(&host), |memory| memory["latest"] = json!(u64::MAX));
    host.open_folder(repo.dir.path()).unwrap();
}

#[test]
fn a_damaged_memory_counts_as_empty_and_is_said() {
    let mut repo = Repo::with_release();
    let host = Host::of(&repo);
    host.open_folder(repo.dir.path()).unwrap();
    let path = only_file(&host);
    let bytes = fs::read(&path).unwrap();
    let mut damages: Vec<Vec<u8>> = [0, 1, bytes.len() / 2, bytes.len() - 1].map(|len| bytes[..len].to_vec()).into();
    damages.extend([vec![0; bytes.len()], b"{}".to_vec(), b"[]".to_vec(), [&bytes[..], b"x"].concat()]);
    for damage in damages {
        fs::write(&path, &damage).unwrap();
        let (opened, events) = host.open_saying(&kit::folder(repo.dir.path()));
        opened.unwrap();
        let [UpgradeEvent::MemoryDamaged { path: said, .. }] = &events[..] else { panic!("{events:?}") };
        assert_eq!(Path::new(said), path);
        assert!(fs::read(&path).unwrap() == bytes, "the file is written again");
    }
    for at in (0..bytes.len()).step_by(11) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        fs::write(&path, &flipped).unwrap();
        host.open_folder(repo.dir.path()).unwrap_or_else(|error| panic!("byte {at}: {error}"));
    }
    // An incomplete replacement file that a power cut left behind.
    fs::write(berth_file::temporary(&path), &bytes[..10]).unwrap();
    repo.keys.insert("timestamp", vec![Key(32)]);
    repo.write_root(2, &[]);
    repo.publish();
    host.open_folder(repo.dir.path()).unwrap();
    assert!(fs::read(&path).unwrap() != bytes);
    assert_eq!(memory_files(&host), [path], "the incomplete file was removed");
    // A file instead of the folder is an error, and is not ignored.
    let host = Host::of(&repo);
    fs::write(host.memory.path().join("file"), "").unwrap();
    let source = kit::folder(repo.dir.path());
    let inside = host.memory.path().join("file");
    let trust = Trust { root: &host.root, memory: &inside, clock: host.clock };
    let error = trust.open(&source, &mut |_| ()).unwrap_err();
    assert!(matches!(error, TrustError::Memory { .. }) && error.hint().unwrap().contains("/var"), "{error}");
}
