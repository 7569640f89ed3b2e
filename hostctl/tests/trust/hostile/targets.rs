//! Targets, and the releases that they make.

use super::{
    Judge::{Accepts, Refuses},
    Row,
    case::release,
    row,
};
use crate::kit::keys::Key;
use berth_contract::release::STABLE;
use serde_json::json;
use std::fs;

const RECORD: &str = "host_2_x86_64.release.json";
/// Why python-tuf accepts a wrong release.
const OURS: &str = "records are Berth's";

pub(super) const ROWS: &[Row] = &[
    row(
        "path-in-a-target-name",
        |case| {
            case.publish_with("targets", |role| {
                let targets = role["targets"].as_object_mut().unwrap();
                let record = targets.remove(RECORD).unwrap();
                targets.insert(format!("../../../../etc/{RECORD}"), record);
            });
            case.target = format!("../../../../etc/{RECORD}");
        },
        "no release",
        Refuses,
    ),
    row(
        "delegations",
        |case| {
            case.publish_with("targets", |role| {
            role["delegations"] = json!({
                "keys": {Key(71).id(): Key(71).public()},
                "roles": [{"name": "more", "keyids": [Key(71).id()], "threshold": 1, "terminating": false, "paths": ["*"]}],
            });
        });
        },
        "no delegated roles",
        Accepts("the host needs only the targets role"),
    ),
    row(
        "wrong-hash-algorithm",
        |case| {
            case.publish_with("targets", |role| role["targets"][RECORD]["hashes"] = json!({"md5": "00".repeat(16)}));
        },
        "sha256",
        Refuses,
    ),
    row(
        "short-digest",
        |case| {
            case.publish_with("targets", |role| role["targets"][RECORD]["hashes"] = json!({"sha256": "00"}));
        },
        "no release",
        Refuses,
    ),
    row(
        "digest-of-other-bytes",
        |case| {
            let path = case.repo.target_path(RECORD);
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, text.replacen("6.12.1", "6.12.9", 1)).unwrap();
        },
        "expected SHA-256",
        Refuses,
    ),
    row(
        "longer-target",
        |case| {
            case.publish_with("targets", |role| role["targets"][RECORD]["length"] = json!(10));
        },
        "expected 10 bytes",
        Refuses,
    ),
    row(
        "endless-target",
        |case| {
            case.publish_with("targets", |role| role["targets"][RECORD]["length"] = json!(1_u64 << 40));
        },
        "expected at most",
        Refuses,
    ),
    row(
        "another-id",
        |case| case.only(release("other", "2", "x86_64", None)),
        "only holds releases of other",
        Accepts(OURS),
    ),
    row(
        "another-architecture",
        |case| case.only(release("host", "2", "aarch64", None)),
        "only holds releases for aarch64",
        Accepts(OURS),
    ),
    row(
        "record-of-another-version",
        |case| {
            let (record, _) = release("host", "9", "x86_64", None);
            let custom = json!({"id": "host", "version": "2", "arch": "x86_64", "channel": STABLE});
            case.repo.add_target(RECORD, serde_json::to_vec(&record).unwrap(), Some(custom));
            case.repo.publish();
        },
        "version: expected 2, found 9",
        Accepts(OURS),
    ),
    row(
        "kernel-image-of-another-root",
        |case| {
            case.only(release("host", "2", "x86_64", Some(&"5a".repeat(32))));
        },
        "root hash on its command line",
        Accepts(OURS),
    ),
];
