//! Signatures and root keys.

use super::{
    Judge::{Accepts, Refuses},
    Row,
    case::Case,
    row,
};
use crate::kit::{
    keys::{Key, canonical, hex},
    repo::Repo,
};
use serde_json::{Value, json};
use sha2::Digest as _;
use std::fs;

pub(super) const ROWS: &[Row] = &[
    row("sound", |_| (), "", Refuses),
    row(
        "unsigned",
        |case| {
            case.repo.signers.insert("timestamp", vec![]);
            case.repo.publish();
        },
        "expected signatures of 1 trusted keys, found 0",
        Refuses,
    ),
    row(
        "wrong-key",
        |case| {
            case.repo.signers.insert("targets", vec![Key(99)]);
            case.repo.publish();
        },
        "expected signatures of 1 trusted keys, found 0",
        Refuses,
    ),
    row(
        "signature-of-another-role",
        |case| {
            let timestamp = case.repo.keys["timestamp"].clone();
            case.repo.signers.insert("targets", timestamp);
            case.repo.publish();
        },
        "targets metadata: expected signatures",
        Refuses,
    ),
    row(
        "one-signature-twice",
        |case| {
            case.repo.keys.insert("targets", vec![Key(21), Key(22)]);
            case.repo.threshold.insert("targets", 2);
            case.repo.write_root(2, &[]);
            case.repo.signers.insert("targets", vec![Key(21), Key(21)]);
            case.repo.publish();
        },
        "Duplicate key",
        Refuses,
    ),
    row("one-key-with-two-ids", one_key_with_two_ids, "the same key has several ids", Accepts("it counts ids of keys")),
    row(
        "threshold-zero",
        |case| {
            case.root_with(2, |root| root["roles"]["targets"]["threshold"] = json!(0));
        },
        "root metadata",
        Refuses,
    ),
    row(
        "wrong-key-id",
        |case| {
            case.root_with(2, |root| {
                let key = root["keys"].as_object_mut().unwrap().remove(&Key(2).id()).unwrap();
                root["keys"]["ab".repeat(32)] = key;
                root["roles"]["targets"]["keyids"] = json!(["ab".repeat(32)]);
            });
            // The signature has the invented id, too.
            let text = fs::read_to_string(case.repo.path("metadata/1.targets.json")).unwrap();
            case.repo.replace_targets(text.replace(&Key(2).id(), &"ab".repeat(32)).into_bytes());
        },
        "root metadata",
        Accepts("it does not compute ids"),
    ),
    row(
        "root-signed-by-new-keys-only",
        |case| {
            case.repo.keys.insert("root", vec![Key(31)]);
            case.repo.write_root(2, &[]);
        },
        "root metadata: expected signatures",
        Refuses,
    ),
    row(
        "root-signed-by-old-keys-only",
        |case| {
            let old = case.repo.keys.insert("root", vec![Key(31)]).unwrap();
            case.repo.signers.insert("root", old);
            case.repo.write_root(2, &[]);
        },
        "root metadata: expected signatures",
        Refuses,
    ),
    row(
        "root-of-another-repository",
        |case| {
            let other = Repo::with_keys_from(61);
            other.write_root(2, &[]);
            fs::copy(other.path("metadata/2.root.json"), case.repo.path("metadata/2.root.json")).unwrap();
        },
        "root metadata: expected signatures",
        Refuses,
    ),
    row(
        "root-with-another-number",
        |case| {
            case.root_with(2, |root| root["version"] = json!(3));
        },
        "root metadata: expected version 2, found 3",
        Refuses,
    ),
    row(
        "root-fast-forward",
        |case| {
            case.root_with(2, |root| root["version"] = json!(u64::MAX));
        },
        "root metadata: expected version 2",
        Refuses,
    ),
    row(
        "root-gap",
        |case| {
            // The second root.json is missing, so the keys of the third are strangers.
            case.repo.keys.insert("timestamp", vec![Key(41)]);
            case.repo.write_root(3, &[]);
            case.repo.publish();
        },
        "timestamp metadata: expected signatures",
        Refuses,
    ),
    row(
        "expired-root-in-the-chain",
        |case| {
            case.root_with(2, |root| root["expires"] = json!("2026-01-01T00:00:00Z"));
            case.root_with(3, |_| ());
        },
        "",
        Refuses,
    ),
    row(
        "expired-root",
        |case| case.root_with(2, |root| root["expires"] = json!("2026-11-20T00:00:00Z")),
        "the root metadata expired",
        Refuses,
    ),
    row(
        "root-without-consistent-snapshots",
        |case| case.root_with(2, |root| root["consistent_snapshot"] = json!(false)),
        "consistent_snapshot",
        Refuses,
    ),
];

/// One private key makes two signatures: an unknown field gives its public key a second id.
fn one_key_with_two_ids(case: &mut Case) {
    let mut twin = Key(2).public();
    twin["x"] = json!(1);
    let id = hex(&sha2::Sha256::digest(canonical(&twin)));
    let named = id.clone();
    case.root_with(2, move |root| {
        root["keys"][&named] = twin.clone();
        root["roles"]["targets"] = json!({"keyids": [Key(2).id(), named], "threshold": 2});
    });
    // Both signatures are made with the one key.
    let targets = fs::read(case.repo.path("metadata/1.targets.json")).unwrap();
    let mut targets: Value = serde_json::from_slice(&targets).unwrap();
    let mut second = targets["signatures"][0].clone();
    second["keyid"] = json!(id);
    targets["signatures"].as_array_mut().unwrap().push(second);
    case.repo.replace_targets(serde_json::to_vec(&targets).unwrap());
}
