//! Metadata files: which belong together, their sizes and their forms.

use super::{
    Judge::{Accepts, Refuses},
    Row, row,
};
use crate::kit::keys::Key;
use serde_json::json;
use std::fs;

pub(super) const ROWS: &[Row] = &[
    row(
        "mix-and-match",
        |case| {
            case.repo.publish();
            fs::copy(case.repo.path("metadata/1.snapshot.json"), case.repo.path("metadata/2.snapshot.json")).unwrap();
        },
        "do not belong together",
        Refuses,
    ),
    row(
        "targets-of-another-time",
        |case| {
            case.repo.publish();
            fs::copy(case.repo.path("metadata/1.targets.json"), case.repo.path("metadata/2.targets.json")).unwrap();
        },
        "do not belong together",
        Refuses,
    ),
    row(
        "snapshot-without-targets",
        |case| {
            case.publish_with("snapshot", |role| role["meta"] = json!({}));
        },
        "targets",
        Refuses,
    ),
    row(
        "timestamp-with-two-files",
        |case| {
            case.publish_with("timestamp", |role| role["meta"]["extra.json"] = role["meta"]["snapshot.json"].clone());
        },
        "meta",
        Refuses,
    ),
    row(
        "one-role-as-another",
        |case| {
            case.repo.keys.insert("timestamp", vec![Key(4), Key(3)]);
            case.repo.write_root(2, &[]);
            fs::copy(case.repo.path("metadata/1.snapshot.json"), case.repo.path("metadata/timestamp.json")).unwrap();
        },
        "timestamp metadata",
        Refuses,
    ),
    row(
        "endless-timestamp",
        |case| {
            fs::File::create(case.repo.path("metadata/timestamp.json")).unwrap().set_len(1 << 42).unwrap();
        },
        "expected at most",
        Refuses,
    ),
    row(
        "endless-targets",
        |case| {
            fs::File::create(case.repo.path("metadata/1.targets.json")).unwrap().set_len(1 << 42).unwrap();
        },
        "expected at most",
        Refuses,
    ),
    row(
        "deep-nesting",
        |case| {
            let deep = format!("{{\"x\": {}{},", "[".repeat(100_000), "]".repeat(100_000));
            case.edit("metadata/timestamp.json", "{", &deep);
        },
        "recursion limit",
        Refuses,
    ),
    row(
        "repeated-key",
        |case| {
            case.edit("metadata/timestamp.json", "\"version\": 1\n", "\"version\": 9, \"version\": 1\n");
        },
        "twice",
        Accepts("it takes the last value"),
    ),
    row(
        "no-text",
        |case| {
            fs::write(case.repo.path("metadata/timestamp.json"), b"{\"signed\": \"\xff\"}").unwrap();
        },
        "timestamp metadata",
        Refuses,
    ),
];
