//! Metadata that are unsigned, expired, rolled back, mixed, damaged or too large.

use crate::kit::{
    self,
    keys::Key,
    repo::{EPOCH, Host, NOW, ROLES, Repo},
};
use hostctl::trust::{Clock, TrustError};
use serde_json::json;
use std::fs;

const SIGNED_OFTEN: [&str; 3] = ["targets", "snapshot", "timestamp"];
const STRANGER: Key = Key(99);

pub(crate) fn refused(repo: &Repo) -> TrustError {
    let host = Host::of(repo);
    let error = host.open_folder(repo.dir.path()).unwrap_err();
    assert_eq!(fs::read_dir(host.memory.path()).unwrap().count(), 0, "nothing of it is stored");
    error
}

#[test]
fn unsigned_metadata_are_refused() {
    for role in SIGNED_OFTEN {
        let mut repo = Repo::new();
        repo.signers.insert(role, vec![]);
        repo.publish();
        let error = refused(&repo);
        assert!(
            matches!(&error, TrustError::Signature { role: found, wanted: 1, found: 0, .. } if found.to_string() == role),
            "{error}"
        );
    }
}

#[test]
fn a_wrong_key_is_refused_even_with_the_id_of_a_trusted_key() {
    for role in SIGNED_OFTEN {
        let mut repo = Repo::new();
        repo.signers.insert(role, vec![STRANGER, repo.keys["root"][0]]);
        repo.publish();
        let error = refused(&repo);
        assert!(
            matches!(&error, TrustError::Signature { role: found, found: 0, .. } if found.to_string() == role),
            "{error}"
        );

        repo.signers.clear();
        repo.publish();
        let path = match role {
            "timestamp" => repo.path("metadata/timestamp.json"),
            _ => repo.path(&format!("metadata/2.{role}.json")),
        };
        // The signature of the unknown key with the id of the trusted key.
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
fn too_few_signatures_are_refused_and_each_key_counts_once() {
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
fn expired_metadata_are_refused_and_the_message_names_both_times() {
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
fn a_wrong_clock_does_no_harm_later() {
    let mut repo = Repo::with_release();
    let mut host = Host::of(&repo);
    // A clock that was never set: the build time of the image is used instead.
    host.clock = Clock { host: 0, epoch: EPOCH };
    host.open_folder(repo.dir.path()).unwrap();
    // A clock that is years ahead.
    host.clock.host = 2_208_988_800;
    let error = host.open_folder(repo.dir.path()).unwrap_err();
    assert!(matches!(error, TrustError::Expired { .. }), "{error}");
    assert!(error.to_string().contains("it is 2040-01-01T00:00:00Z by this host's clock"), "{error}");
    host.clock.host = u64::MAX;
    host.open_folder(repo.dir.path()).unwrap_err();
    // The clock is right again.
    host.clock.host = NOW;
    host.open_folder(repo.dir.path()).unwrap();
    // The image is newer than the expiry of the metadata.
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
        // Older metadata with valid signatures.
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
            matches!(&error, TrustError::RolledBack { role: found, wanted: 5, found: 4, .. } if found.to_string() == role),
            "{role}: {error}"
        );
        // Newer metadata are still accepted.
        repo.twists.clear();
        repo.version = 7;
        repo.publish();
        host.open_folder(repo.dir.path()).unwrap();
    }
}

#[test]
fn metadata_files_of_different_versions_are_refused() {
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
    // The file has another version than the file that names it.
    repo.twists.insert("targets", Box::new(|value| value["version"] = json!(9)));
    repo.publish();
    let error = refused(&repo);
    assert!(
        matches!(&error, TrustError::Mixed { fault, .. } if fault.contains("expected version 3, found 9")),
        "{error}"
    );
}

#[test]
fn truncated_or_flipped_metadata_never_change_the_releases() {
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
            // A flipped bit may not change the meaning: white space, an upper case hex digit.
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
fn metadata_that_are_too_large_are_refused_without_reading_them() {
    let repo = Repo::with_release();
    for file in ["timestamp.json", "1.snapshot.json", "1.targets.json", "2.root.json"] {
        let path = repo.path("metadata").join(file);
        let kept = fs::read(&path).ok();
        // A sparse file that is too large for any memory.
        fs::File::create(&path).unwrap().set_len(1 << 42).unwrap();
        let error = refused(&repo);
        assert!(matches!(&error, TrustError::Source(e) if e.to_string().contains("expected at most")), "{error}");
        match kept {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
    // The size in the snapshot may not exceed the limit either.
    let mut repo = Repo::new();
    repo.add_target("big", vec![b'x'; 10], Some(json!({"filler": "x".repeat(5 << 20)})));
    repo.publish();
    let error = refused(&repo);
    assert!(error.to_string().contains("expected at most 4194304 bytes"), "{error}");
}
