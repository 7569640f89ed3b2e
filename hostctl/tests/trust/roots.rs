//! Root keys: new ones are followed, retired ones stay retired, wrong ones are refused.

use super::metadata::refused;
use crate::kit::{
    keys::Key,
    repo::{Host, Repo},
};
use hostctl::trust::TrustError;
use std::fs;

#[test]
fn new_root_keys_are_followed_and_stored() {
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
    // The new root.json is hidden from the host, but the old keys are still refused.
    fs::remove_file(repo.path("metadata/2.root.json")).unwrap();
    repo.signers.insert("timestamp", old_timestamp);
    repo.publish();
    let error = host.open_folder(repo.dir.path()).unwrap_err();
    assert!(
        matches!(&error, TrustError::Signature { role, found: 0, .. } if role.to_string() == "timestamp"),
        "{error}"
    );
    // With a new image that has the root.json of another repository, trust starts again.
    let mut other = Repo::with_keys_from(51);
    other.publish();
    let host = Host { root: other.root(), ..host };
    host.open_folder(other.dir.path()).unwrap();
}

/// Replaces the root and timestamp keys of the repository. Returns the old timestamp keys.
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
    // An attacker between host and server has the stolen key, and hides the root.json that retires it.
    let mut spoilt = Repo::new();
    fs::copy(repo.path("metadata/2.root.json"), spoilt.path("metadata/2.root.json")).unwrap();
    spoilt.keys.insert("timestamp", stolen);
    (1..5).for_each(|_| spoilt.publish());
    let refused = |host: &Host, name: &str| {
        let error = host.open_folder(spoilt.dir.path()).map(|_| ()).expect_err(name);
        assert!(
            matches!(&error, TrustError::Signature { role, .. } if role.to_string() == "timestamp"),
            "{name}: {error}"
        );
        host.open_folder(repo.dir.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
    };
    let image = |host: Host, version| Host { root: own(&repo, version), ..host };
    // The host is installed with the first root.json, then upgraded to images with the second and third, and back to the first.
    let mut host = Host::of(&repo);
    assert!(host.open_folder(spoilt.dir.path()).is_ok(), "the host cannot know yet that the key was retired");
    host.memory = tempfile::tempdir().unwrap();
    host.open_folder(repo.dir.path()).unwrap();
    for version in [1, 2, 3, 1] {
        host = image(host, version);
        refused(&host, &format!("image with {version}.root.json"));
    }
}

#[test]
fn keys_from_a_newer_image_stay_in_force_with_an_older_image() {
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
            // Keys that the first keys have not signed directly.
            rotate(&mut repo, 3, Key(41), Key(42));
            repo.publish();
            host.open_folder(repo.dir.path()).unwrap();
            fs::remove_file(repo.path("metadata/3.root.json")).unwrap();
        }
        // The older image runs, and the newer root.json is hidden.
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
fn a_host_that_saw_very_high_versions_recovers_with_new_keys() {
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
    assert!(matches!(&error, TrustError::Signature { role, .. } if role.to_string() == "root"), "{error}");
    // Signed by the old keys only.
    let mut repo = Repo::with_release();
    let old = repo.keys.insert("root", vec![Key(31)]).unwrap();
    repo.signers.insert("root", old.clone());
    repo.write_root(2, &[]);
    let error = refused(&repo);
    assert!(matches!(&error, TrustError::Signature { role, .. } if role.to_string() == "root"), "{error}");
    // One root.json of the chain is missing.
    repo.signers.clear();
    repo.write_root(3, &old);
    fs::rename(repo.path("metadata/3.root.json"), repo.path("metadata/2.root.json")).unwrap();
    let error = refused(&repo);
    assert!(matches!(error, TrustError::Rotation { wanted: 2, found: 3, .. }), "{error}");
    // The root.json of the image is damaged.
    let repo = Repo::with_release();
    let mut host = Host::of(&repo);
    host.root.truncate(100);
    assert!(matches!(host.open_folder(repo.dir.path()), Err(TrustError::Root { .. })));
    let text = String::from_utf8(repo.root()).unwrap().replace("\"version\": 1", "\"version\": 2");
    host.root = text.into_bytes();
    assert!(matches!(host.open_folder(repo.dir.path()), Err(TrustError::Root { .. })));
}
