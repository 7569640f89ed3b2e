//! What is not believed: each test is named by the sin.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

mod kit;

use berth_contract::release::Target;
use hostctl::trust::{Clock, TrustError};
use kit::{
    keys::Key,
    repo::{EPOCH, Host, NOW, ROLES, Repo, content},
};
use serde_json::json;
use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
};

const SIGNED_OFTEN: [&str; 3] = ["targets", "snapshot", "timestamp"];
const STRANGER: Key = Key(99);

/// Makes a record wrong.
type Spoil = fn(&mut serde_json::Value);

fn refused(repo: &Repo) -> TrustError {
    let host = Host::of(repo);
    let error = host.open_folder(repo.dir.path()).unwrap_err();
    assert_eq!(fs::read_dir(host.keep.path()).unwrap().count(), 0, "nothing of it is kept");
    error
}

#[test]
fn a_good_repository_is_believed_and_its_targets_are_read() {
    let mut repo = Repo::new();
    let record = repo.add_release("2");
    repo.publish();
    let repository = Host::of(&repo).open_folder(repo.dir.path()).unwrap();
    let release = &repository.releases().known[0];
    assert_eq!(repository.record(release).unwrap(), record);
    let name = Target::Root.name(&record.id, &record.version, &record.arch);
    assert_eq!(repository.target(&name).unwrap().length, 3_000_000);
    let mut bytes = Vec::new();
    assert!(repository.read_whole(&name, 3_000_000).unwrap() == content(Target::Root));
    repository.open(&name, 1_000_000, Some(1000)).unwrap().read_to_end(&mut bytes).unwrap();
    assert!(bytes == content(Target::Root)[1_000_000..1_001_000]);
    assert!(matches!(repository.read_whole(&name, 1000), Err(TrustError::TooLarge { found: 3_000_000, .. })));
    assert!(matches!(repository.open(&name, 2_999_999, Some(2)), Err(TrustError::Length { .. })));
    assert!(matches!(repository.open("other", 0, None), Err(TrustError::NoTarget { .. })));
}

#[test]
fn unsigned_metadata_are_refused() {
    for role in SIGNED_OFTEN {
        let mut repo = Repo::new();
        repo.signers.insert(role, vec![]);
        repo.publish();
        let error = refused(&repo);
        assert!(
            matches!(&error, TrustError::Signature { role: found, wanted: 1, found: 0, .. } if found == role),
            "{error}"
        );
    }
}

#[test]
fn the_wrong_key_is_refused_also_under_the_right_name() {
    for role in SIGNED_OFTEN {
        let mut repo = Repo::new();
        repo.signers.insert(role, vec![STRANGER, repo.keys["root"][0]]);
        repo.publish();
        let error = refused(&repo);
        assert!(matches!(&error, TrustError::Signature { role: found, found: 0, .. } if found == role), "{error}");

        repo.signers.clear();
        repo.publish();
        let path = match role {
            "timestamp" => repo.path("metadata/timestamp.json"),
            _ => repo.path(&format!("metadata/2.{role}.json")),
        };
        // The stranger's signature, the trusted key's id.
        let text = fs::read_to_string(&path).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let forged = kit::keys::signed(&value["signed"], &[STRANGER]);
        let forged: serde_json::Value = serde_json::from_slice(&forged).unwrap();
        value["signatures"][0]["sig"] = forged["signatures"][0]["sig"].clone();
        fs::write(&path, serde_json::to_vec(&value).unwrap()).unwrap();
        refused(&repo);
    }
}

#[test]
fn below_the_threshold_is_refused_and_a_key_counts_once() {
    let mut repo = Repo::new();
    repo.keys.insert("targets", vec![Key(21), Key(22)]);
    repo.threshold.insert("targets", 2);
    repo.write_root(1, &[]);
    repo.publish();
    Host::of(&repo).open_folder(repo.dir.path()).unwrap();
    repo.signers.insert("targets", vec![Key(21)]);
    repo.publish();
    let error = refused(&repo);
    assert!(matches!(error, TrustError::Signature { wanted: 2, found: 1, .. }), "{error}");
    repo.signers.insert("targets", vec![Key(21), Key(21)]);
    repo.publish();
    let error = refused(&repo);
    assert!(error.to_string().contains("Duplicate key"), "{error}");
}

#[test]
fn expired_metadata_are_refused_with_clock_and_date() {
    for role in ROLES {
        let mut repo = Repo::new();
        repo.twists.insert(role, Box::new(|value| value["expires"] = json!("2026-11-20T00:00:00Z")));
        if role == "root" {
            repo.write_root(1, &[]);
        }
        repo.publish();
        let error = refused(&repo);
        assert_eq!(
            error.to_string(),
            format!(
                "the {role} metadata expired at 2026-11-20T00:00:00Z, and it is 2026-11-21T00:00:00Z by this host's clock"
            )
        );
        assert!(error.hint().unwrap().contains("if the clock is wrong"));
    }
}

#[test]
fn a_wrong_clock_today_does_no_harm_tomorrow() {
    let mut repo = Repo::with_release();
    let mut host = Host::of(&repo);
    // A clock that was never set: the image's date stands in for it.
    host.clock = Clock { host: 0, epoch: EPOCH };
    host.open_folder(repo.dir.path()).unwrap();
    // Years ahead.
    host.clock.host = 2_208_988_800;
    let error = host.open_folder(repo.dir.path()).unwrap_err();
    assert!(matches!(error, TrustError::Expired { .. }), "{error}");
    assert!(error.to_string().contains("it is 2040-01-01T00:00:00Z by this host's clock"), "{error}");
    host.clock.host = u64::MAX;
    host.open_folder(repo.dir.path()).unwrap_err();
    // Right again.
    host.clock.host = NOW;
    host.open_folder(repo.dir.path()).unwrap();
    // An image that is newer than the metadata.
    host.clock = Clock { host: 0, epoch: 1_900_000_000 };
    let error = host.open_folder(repo.dir.path()).unwrap_err().to_string();
    assert!(error.contains("by the date of the running image (the host's clock, being earlier, is wrong)"), "{error}");
    repo.publish();
    host.clock = Clock { host: NOW, epoch: EPOCH };
    host.open_folder(repo.dir.path()).unwrap();
}

#[test]
fn rolled_back_metadata_are_refused() {
    for role in SIGNED_OFTEN {
        let mut repo = Repo::with_release();
        repo.version = 5;
        repo.publish();
        let host = Host::of(&repo);
        host.open_folder(repo.dir.path()).unwrap();
        // Well signed, and older.
        match role {
            "timestamp" => {
                repo.version = 4;
                repo.publish();
            }
            "snapshot" => {
                repo.version = 4;
                repo.twists.insert("timestamp", Box::new(|value| value["version"] = json!(6)));
                repo.publish();
            }
            _ => {
                repo.version = 6;
                repo.twists.insert("targets", Box::new(|value| value["version"] = json!(4)));
                repo.twists.insert("snapshot", Box::new(|value| value["meta"]["targets.json"]["version"] = json!(4)));
                repo.publish();
                fs::rename(repo.path("metadata/6.targets.json"), repo.path("metadata/4.targets.json")).unwrap();
            }
        }
        let error = host.open_folder(repo.dir.path()).unwrap_err();
        assert!(
            matches!(&error, TrustError::RolledBack { role: found, wanted: 5, found: 4, .. } if found == role),
            "{role}: {error}"
        );
        // And what is newer is still taken.
        repo.twists.clear();
        repo.version = 7;
        repo.publish();
        host.open_folder(repo.dir.path()).unwrap();
    }
}

#[test]
fn files_of_different_releases_are_not_mixed() {
    let (mut repo, mut other) = (Repo::with_release(), Repo::new());
    repo.publish();
    other.add_release("3");
    other.publish();
    other.publish();
    for file in ["metadata/2.targets.json", "metadata/2.snapshot.json"] {
        let (here, kept) = (repo.path(file), fs::read(repo.path(file)).unwrap());
        fs::copy(other.path(file), &here).unwrap();
        let error = refused(&repo);
        assert!(matches!(error, TrustError::Mixed { .. }), "{error}");
        fs::write(&here, kept).unwrap();
    }
    // One that names another version than the file above it does.
    repo.twists.insert("targets", Box::new(|value| value["version"] = json!(9)));
    repo.publish();
    let error = refused(&repo);
    assert!(
        matches!(&error, TrustError::Mixed { fault, .. } if fault.contains("expected version 3, found 9")),
        "{error}"
    );
}

#[test]
fn new_root_keys_are_followed_and_remembered() {
    let mut repo = Repo::with_release();
    let host = Host::of(&repo);
    host.open_folder(repo.dir.path()).unwrap();
    let old = repo.keys["root"].clone();
    let old_timestamp = repo.keys["timestamp"].clone();
    repo.keys.insert("root", vec![Key(31)]);
    repo.keys.insert("timestamp", vec![Key(32)]);
    repo.write_root(2, &old);
    repo.publish();
    host.open_folder(repo.dir.path()).unwrap();
    // Hidden from this host, the old keys are of no use any more.
    fs::remove_file(repo.path("metadata/2.root.json")).unwrap();
    repo.signers.insert("timestamp", old_timestamp);
    repo.publish();
    let error = host.open_folder(repo.dir.path()).unwrap_err();
    assert!(matches!(&error, TrustError::Signature { role, found: 0, .. } if role == "timestamp"), "{error}");
    // With a new image whose root.json is another's, it starts anew.
    let mut other = Repo::with_keys_from(51);
    other.publish();
    let host = Host { root: other.root(), ..host };
    host.open_folder(other.dir.path()).unwrap();
}

/// New root keys and timestamp keys of the repository; the old timestamp keys.
fn rotate(repo: &mut Repo, version: u64, root: Key, timestamp: Key) -> Vec<Key> {
    let old = repo.keys.insert("root", vec![root]).unwrap();
    let retired = repo.keys.insert("timestamp", vec![timestamp]).unwrap();
    repo.write_root(version, &old);
    retired
}

#[test]
fn retired_keys_stay_retired_whichever_image_of_the_chain_runs() {
    let mut repo = Repo::with_release();
    let own = |repo: &Repo, version: u64| fs::read(repo.path(&format!("metadata/{version}.root.json"))).unwrap();
    rotate(&mut repo, 2, Key(31), Key(32));
    let stolen = rotate(&mut repo, 3, Key(41), Key(42));
    repo.publish();
    // A man in the middle has the stolen key, and hides the root.json that says so.
    let mut spoilt = Repo::new();
    fs::copy(repo.path("metadata/2.root.json"), spoilt.path("metadata/2.root.json")).unwrap();
    spoilt.keys.insert("timestamp", stolen);
    (1..5).for_each(|_| spoilt.publish());
    let refused = |host: &Host, name: &str| {
        let error = host.open_folder(spoilt.dir.path()).map(|_| ()).expect_err(name);
        assert!(matches!(&error, TrustError::Signature { role, .. } if role == "timestamp"), "{name}: {error}");
        host.open_folder(repo.dir.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
    };
    let image = |host: Host, version| Host { root: own(&repo, version), ..host };
    // Installed with the first generation; then an image with the second, one with the third, and back to the first.
    let mut host = Host::of(&repo);
    assert!(host.open_folder(spoilt.dir.path()).is_ok(), "nobody can know yet");
    host.keep = tempfile::tempdir().unwrap();
    host.open_folder(repo.dir.path()).unwrap();
    for version in [1, 2, 3, 1] {
        host = image(host, version);
        refused(&host, &format!("image with {version}.root.json"));
    }
}

#[test]
fn keys_that_came_with_an_image_are_known_to_one_that_was_built_before() {
    let mut repo = Repo::with_release();
    let (updated, installed) = (Host::of(&repo), Host::of(&repo));
    updated.open_folder(repo.dir.path()).unwrap();
    let stolen = rotate(&mut repo, 2, Key(31), Key(32));
    let newer = fs::read(repo.path("metadata/2.root.json")).unwrap();
    repo.publish();
    for (host, further) in [(installed, false), (updated, true)] {
        let host = Host { root: newer.clone(), ..host };
        host.open_folder(repo.dir.path()).unwrap();
        if further {
            // Keys that the first have not signed themselves.
            rotate(&mut repo, 3, Key(41), Key(42));
            repo.publish();
            host.open_folder(repo.dir.path()).unwrap();
            fs::remove_file(repo.path("metadata/3.root.json")).unwrap();
        }
        // The image before it, and the newer root.json hidden.
        let host = Host { root: repo.root(), ..host };
        fs::remove_file(repo.path("metadata/2.root.json")).unwrap();
        host.open_folder(repo.dir.path()).unwrap();
        repo.signers.insert("timestamp", stolen.clone());
        repo.publish();
        let error = host.open_folder(repo.dir.path()).unwrap_err();
        assert!(matches!(error, TrustError::Signature { .. }), "{error}");
        repo.signers.clear();
        repo.publish();
        fs::write(repo.path("metadata/2.root.json"), &newer).unwrap();
    }
}

#[test]
fn a_look_at_another_repository_of_the_same_keys_does_no_harm() {
    let (mut own, mut other) = (Repo::new(), Repo::new());
    own.version = 3;
    own.add_release("2");
    own.publish();
    other.version = 300;
    other.add_release("9");
    other.publish();
    let host = Host::of(&own);
    host.open_folder(own.dir.path()).unwrap();
    host.open_folder(other.dir.path()).unwrap();
    own.publish();
    host.open_folder(own.dir.path()).unwrap();
    // Each goes forward only.
    for repo in [&mut own, &mut other] {
        repo.version -= 3;
        repo.publish();
        let error = host.open_folder(repo.dir.path()).unwrap_err();
        assert!(matches!(&error, TrustError::RolledBack { .. }), "{error}");
        let hint = error.hint().unwrap();
        let TrustError::RolledBack { kept, .. } = error else { panic!("{error}") };
        assert!(hint.contains(kept.to_str().unwrap()) && kept.exists(), "{hint}");
        // With a slash at its end it is the same.
        let error = host.open_folder(&repo.dir.path().join("")).unwrap_err();
        assert!(matches!(error, TrustError::RolledBack { .. }), "{error}");
        fs::remove_file(kept).unwrap();
        host.open_folder(repo.dir.path()).unwrap();
    }
}

#[test]
fn a_host_that_saw_versions_run_away_recovers_with_new_keys() {
    let mut repo = Repo::with_release();
    let host = Host::of(&repo);
    repo.version = 1_000_000;
    repo.publish();
    host.open_folder(repo.dir.path()).unwrap();
    repo.keys.insert("timestamp", vec![Key(41)]);
    repo.keys.insert("snapshot", vec![Key(42)]);
    repo.version = 3;
    repo.publish();
    host.open_folder(repo.dir.path()).unwrap_err();
    repo.write_root(2, &[]);
    host.open_folder(repo.dir.path()).unwrap();
}

#[test]
fn wrong_root_keys_are_not_followed() {
    // Signed by the new keys only.
    let mut repo = Repo::with_release();
    repo.keys.insert("root", vec![Key(31)]);
    repo.write_root(2, &[]);
    let error = refused(&repo);
    assert!(matches!(&error, TrustError::Signature { role, .. } if role == "root"), "{error}");
    // By the old keys only.
    let mut repo = Repo::with_release();
    let old = repo.keys.insert("root", vec![Key(31)]).unwrap();
    repo.signers.insert("root", old.clone());
    repo.write_root(2, &[]);
    let error = refused(&repo);
    assert!(matches!(&error, TrustError::Signature { role, .. } if role == "root"), "{error}");
    // A generation is left out.
    repo.signers.clear();
    repo.write_root(3, &old);
    fs::rename(repo.path("metadata/3.root.json"), repo.path("metadata/2.root.json")).unwrap();
    let error = refused(&repo);
    assert!(matches!(error, TrustError::Rotation { wanted: 2, found: 3, .. }), "{error}");
    // The image's own is damaged.
    let repo = Repo::with_release();
    let mut host = Host::of(&repo);
    host.root.truncate(100);
    assert!(matches!(host.open_folder(repo.dir.path()), Err(TrustError::Root { .. })));
    let text = String::from_utf8(repo.root()).unwrap().replace("\"version\": 1", "\"version\": 2");
    host.root = text.into_bytes();
    assert!(matches!(host.open_folder(repo.dir.path()), Err(TrustError::Root { .. })));
}

#[test]
fn truncated_or_flipped_metadata_are_never_taken_for_others() {
    let repo = Repo::with_release();
    let sound = Host::of(&repo).open_folder(repo.dir.path()).unwrap();
    for file in ["metadata/timestamp.json", "metadata/1.snapshot.json", "metadata/1.targets.json"] {
        let path = repo.path(file);
        let bytes = fs::read(&path).unwrap();
        let mut accepted = 0;
        for len in [0, 1, bytes.len() / 3, bytes.len() - 1] {
            fs::write(&path, &bytes[..len]).unwrap();
            refused(&repo);
        }
        for (i, at) in (0..bytes.len()).step_by(7).enumerate() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (i % 8);
            fs::write(&path, &flipped).unwrap();
            // A flip may leave the meaning as it was: white space, an upper case hex digit.
            if let Ok(found) = Host::of(&repo).open_folder(repo.dir.path()) {
                assert_eq!(found.releases(), sound.releases(), "{file} byte {at}");
                accepted += 1;
            }
        }
        let (limit, tried) = (if file.contains("timestamp") { bytes.len() / 7 / 4 } else { 0 }, bytes.len() / 7);
        assert!(accepted <= limit, "{file}: {accepted} of {tried}");
        fs::write(&path, &bytes).unwrap();
    }
    Host::of(&repo).open_folder(repo.dir.path()).unwrap();
}

#[test]
fn one_flipped_bit_in_a_target_of_any_kind_is_found() {
    let mut repo = Repo::new();
    let record = repo.add_release("2");
    repo.publish();
    let repository = Host::of(&repo).open_folder(repo.dir.path()).unwrap();
    for target in Target::ALL {
        let name = target.name(&record.id, &record.version, &record.arch);
        let path = repo.target_path(&name);
        let bytes = fs::read(&path).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 4;
        fs::write(&path, &flipped).unwrap();
        assert!(matches!(repository.read_whole(&name, 1 << 30), Err(TrustError::Digest { .. })), "{name}");
        for wrong in [&bytes[..bytes.len() - 1], &[&bytes[..], b"x"].concat()] {
            fs::write(&path, wrong).unwrap();
            let error = repository.read_whole(&name, 1 << 30).unwrap_err().to_string();
            assert!(error.contains(&format!("expected {} bytes", bytes.len())), "{error}");
        }
        fs::remove_file(&path).unwrap();
        assert!(
            matches!(repository.read_whole(&name, 1 << 30), Err(TrustError::Source(e)) if e.is_not_found()),
            "{name}"
        );
        fs::write(&path, &bytes).unwrap();
        repository.read_whole(&name, 1 << 30).unwrap();
    }
}

#[test]
fn huge_metadata_are_refused_unread() {
    let repo = Repo::with_release();
    for file in ["timestamp.json", "1.snapshot.json", "1.targets.json", "2.root.json"] {
        let path = repo.path("metadata").join(file);
        let kept = fs::read(&path).ok();
        // Sparse: nobody could hold it in memory.
        fs::File::create(&path).unwrap().set_len(1 << 42).unwrap();
        let error = refused(&repo);
        assert!(matches!(&error, TrustError::Source(e) if e.to_string().contains("expected at most")), "{error}");
        match kept {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
    // The snapshot may not allow more either.
    let mut repo = Repo::new();
    repo.add_target("big", vec![b'x'; 10], Some(json!({"filler": "x".repeat(5 << 20)})));
    repo.publish();
    let error = refused(&repo);
    assert!(error.to_string().contains("expected at most 4194304 bytes"), "{error}");
}

/// The files that a host remembers by: keys, and what was seen in one source.
fn memory(host: &Host) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(host.keep.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn damaged_memory_does_not_cut_a_host_off() {
    let mut repo = Repo::with_release();
    let host = Host::of(&repo);
    host.open_folder(repo.dir.path()).unwrap();
    let files = memory(&host);
    assert_eq!(files.len(), 2, "{files:?}");
    for path in &files {
        let bytes = fs::read(path).unwrap();
        for len in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            fs::write(path, &bytes[..len]).unwrap();
            host.open_folder(repo.dir.path()).unwrap();
            assert!(fs::read(path).unwrap() == bytes, "it is whole again");
        }
        for at in (0..bytes.len()).step_by(11) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            fs::write(path, &flipped).unwrap();
            host.open_folder(repo.dir.path()).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        }
        fs::write(path, vec![0; bytes.len()]).unwrap();
        host.open_folder(repo.dir.path()).unwrap();
        // What a power cut left of the file that was to take its place.
        fs::write(path.with_added_extension("new"), &bytes[..10]).unwrap();
    }
    let old_timestamp = fs::read(&files[0]).unwrap();
    repo.keys.insert("timestamp", vec![Key(32)]);
    repo.write_root(2, &[]);
    repo.publish();
    host.open_folder(repo.dir.path()).unwrap();
    assert!(fs::read(&files[0]).unwrap() != old_timestamp);
    assert_eq!(memory(&host), files, "the drafts have taken their places");
    // A file where the folder should be: told, not passed over.
    let host = Host::of(&repo);
    fs::write(host.keep.path().join("file"), "").unwrap();
    let source = kit::folder(repo.dir.path());
    let inside = host.keep.path().join("file");
    let trust = hostctl::trust::Trust { root: &host.root, keep: &inside, clock: host.clock };
    let error = trust.open(&source).unwrap_err();
    assert!(matches!(error, TrustError::Keep { .. }) && error.hint().unwrap().contains("/var"), "{error}");
}

#[test]
fn records_that_contradict_themselves_or_the_metadata_are_refused() {
    let spoil: [(&str, Spoil); 12] = [
        ("format", |record| record["format"] = json!(2)),
        ("id: expected host", |record| record["id"] = json!("other")),
        ("version: expected 2", |record| record["version"] = json!("3")),
        ("arch", |record| record["arch"] = json!("aarch64")),
        ("channel", |record| record["channel"] = json!("beta")),
        ("root.size", |record| record["root"]["size"] = json!(4097)),
        ("root.verity_size", |record| record["root"]["verity_size"] = json!(1u64 << 50)),
        ("min_slot.root", |record| record["min_slot"]["root"] = json!(4096)),
        ("uki.parts: offset", |record| record["uki"]["parts"][1]["offset"] = json!(4097)),
        ("uki.parts: their end", |record| record["uki"]["parts"].as_array_mut().unwrap().truncate(1)),
        ("uki.sha256", |record| record["uki"]["sha256"] = json!("00".repeat(32))),
        ("missing field", |record| {
            record.as_object_mut().unwrap().remove("kernel");
        }),
    ];
    for (word, spoil) in spoil {
        let mut repo = Repo::new();
        let record = repo.add_release("2");
        let name = Target::Record.name(&record.id, &record.version, &record.arch);
        let mut value = serde_json::to_value(&record).unwrap();
        spoil(&mut value);
        let custom = json!({"id": "host", "version": "2", "arch": "x86_64", "channel": "stable"});
        repo.add_target(&name, serde_json::to_vec(&value).unwrap(), Some(custom));
        repo.publish();
        let repository = Host::of(&repo).open_folder(repo.dir.path()).unwrap();
        let error = repository.record(&repository.releases().known[0]).unwrap_err().to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn releases_of_another_day_are_named_and_harm_no_other() {
    let mut repo = Repo::new();
    repo.add_release("2");
    repo.add_target("host_3_x86_64.release.json", vec![], Some(json!({"id": "host", "version": {"new": 3}})));
    // Says it is another than its name.
    let custom = json!({"id": "host", "version": "9", "arch": "x86_64", "channel": "stable"});
    repo.add_target("host_4_x86_64.release.json", vec![], Some(custom));
    repo.publish();
    let repository = Host::of(&repo).open_folder(repo.dir.path()).unwrap();
    assert_eq!(repository.releases().known.len(), 1);
    assert_eq!(repository.releases().unknown, ["host_3_x86_64.release.json", "host_4_x86_64.release.json"]);
}

/// Runs a program that must succeed, and returns what it prints.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}; run ci/setup");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_repository_of_the_reference_implementation_is_believed() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = output(&mut Command::new(here.join("../ci/tuf")));
    let dir = tempfile::tempdir().unwrap();
    let (folder, record) = (dir.path().join("repo"), dir.path().join("record"));
    fs::create_dir(&folder).unwrap();
    fs::write(&record, "{}").unwrap();
    let name = "host_2_x86_64.release.json";
    output(Command::new(python).arg(here.join("tests/kit/make_repo.py")).args([&folder, &record]).arg(name));
    let mut host = Host::of(&Repo::new());
    host.root = fs::read(folder.join("metadata/1.root.json")).unwrap();
    let repository = host.open_folder(&folder).unwrap();
    assert_eq!(repository.releases().known[0].target, name);
    assert_eq!(repository.read_whole(name, 10).unwrap(), b"{}");
    let kept = fs::read_to_string(host.keep.path().join("trusted.json")).unwrap();
    assert!(kept.contains("\"version\":2"), "the second root is remembered");
}
