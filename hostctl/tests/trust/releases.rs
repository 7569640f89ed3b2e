//! Releases in trusted repositories: their records and targets.

use crate::kit::repo::{Host, Repo, content, record};
use berth_contract::{
    image_spec::ImageSpec,
    release::{STABLE, Target},
};
use hostctl::trust::{Criteria, TrustError, select};
use serde_json::json;
use std::{fs, io::Read as _, path::Path, process::Command};

/// Adds a fault to a record.
type Spoil = fn(&mut serde_json::Value);

#[test]
fn a_correct_repository_is_trusted_and_its_targets_are_read() {
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
fn one_flipped_bit_is_detected_in_every_kind_of_target() {
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
fn releases_that_are_not_understood_are_listed_and_do_not_hide_others() {
    let mut repo = Repo::new();
    repo.add_release("2");
    repo.add_target("host_3_x86_64.release.json", vec![], Some(json!({"id": "host", "version": {"new": 3}})));
    // The version in the metadata differs from the one in the name.
    let custom = json!({"id": "host", "version": "9", "arch": "x86_64", "channel": "stable"});
    repo.add_target("host_4_x86_64.release.json", vec![], Some(custom));
    repo.publish();
    let repository = Host::of(&repo).open_folder(repo.dir.path()).unwrap();
    assert_eq!(repository.releases().known.len(), 1);
    assert_eq!(repository.releases().unknown, ["host_3_x86_64.release.json", "host_4_x86_64.release.json"]);
}

#[test]
fn releases_for_unknown_architectures_are_listed_and_do_not_hide_others() {
    let mut repo = Repo::new();
    let ours = repo.add_release("2");
    let newer = record("host", "3", "vax", STABLE);
    repo.add_record(&newer);
    repo.publish();
    let repository = Host::of(&repo).open_folder(repo.dir.path()).unwrap();
    let releases = repository.releases();
    let archs: Vec<_> = releases.known.iter().map(|release| release.custom.arch.to_string()).collect();
    assert_eq!((archs, &releases.unknown), (vec!["x86_64".to_owned(), "vax".to_owned()], &vec![]));
    // The record itself can be read, too.
    assert_eq!(repository.record(&releases.known[1]).unwrap(), newer);

    let running: ImageSpec = serde_json::from_value(json!({
        "id": "host", "version": "1", "arch": "x86_64", "kernel": "", "engine": null, "modules": [], "images": [],
        "containers": [],
    }))
    .unwrap();
    let criteria = Criteria { running: &running, channel: STABLE, quarantine: &[], version: None };
    let chosen = select(&criteria, releases).unwrap().unwrap();
    assert_eq!(repository.record(chosen).unwrap(), ours);
}

/// Runs a program that must succeed, and returns what it prints.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}; run ci/setup");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_repository_of_the_reference_implementation_is_trusted() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    let (folder, record) = (dir.path().join("repo"), dir.path().join("record"));
    fs::create_dir(&folder).unwrap();
    fs::write(&record, "{}").unwrap();
    let name = "host_2_x86_64.release.json";
    output(berth_judge::tuf::python(&here.join("tests/kit/make_repo.py")).args([&folder, &record]).arg(name));
    let mut host = Host::of(&Repo::new());
    host.root = fs::read(folder.join("metadata/1.root.json")).unwrap();
    let repository = host.open_folder(&folder).unwrap();
    assert_eq!(repository.releases().known[0].target, name);
    assert_eq!(repository.read_whole(name, 10).unwrap(), b"{}");
    let stored = fs::read_dir(host.memory.path()).unwrap().next().unwrap().unwrap().path();
    let stored: serde_json::Value = serde_json::from_slice(&fs::read(stored).unwrap()).unwrap();
    assert!(stored["roots"]["2"].is_string(), "the second root is stored");
}
