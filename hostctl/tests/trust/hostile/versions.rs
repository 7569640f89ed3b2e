//! Times and versions.

use super::{Judge::Refuses, Row, row};
use serde_json::json;
use std::fs;

const TARGETS: &str = "targets.json";

pub(super) const ROWS: &[Row] = &[
    row(
        "freeze",
        |case| {
            case.publish_with("timestamp", |role| role["expires"] = json!("2026-11-20T00:00:00Z"));
        },
        "the timestamp metadata expired",
        Refuses,
    ),
    row(
        "expired-targets",
        |case| {
            case.publish_with("targets", |role| role["expires"] = json!("2026-11-20T00:00:00Z"));
        },
        "the targets metadata expired",
        Refuses,
    ),
    row(
        "expires-never",
        |case| {
            case.publish_with("timestamp", |role| role["expires"] = json!("never"));
        },
        "timestamp metadata",
        Refuses,
    ),
    row(
        "rollback-of-timestamp",
        |case| {
            case.repo.version = 5;
            case.repo.publish();
            case.visit();
            case.repo.version = 4;
            case.repo.publish();
        },
        "timestamp metadata is older than what this host has seen",
        Refuses,
    ),
    row(
        "rollback-of-snapshot",
        |case| {
            case.repo.version = 5;
            case.repo.publish();
            case.visit();
            case.repo.version = 4;
            case.publish_with("timestamp", |role| role["version"] = json!(6));
        },
        "snapshot metadata is older than what this host has seen",
        Refuses,
    ),
    row(
        "rollback-of-targets",
        |case| {
            case.repo.version = 5;
            case.repo.publish();
            case.visit();
            case.repo.twists.insert("targets", Box::new(|role| role["version"] = json!(4)));
            case.publish_with("snapshot", |role| role["meta"][TARGETS]["version"] = json!(4));
            fs::rename(case.repo.path("metadata/6.targets.json"), case.repo.path("metadata/4.targets.json")).unwrap();
        },
        "targets metadata is older than what this host has seen",
        Refuses,
    ),
    row(
        "version-zero",
        |case| {
            case.publish_with("timestamp", |role| role["version"] = json!(0));
        },
        "timestamp metadata",
        Refuses,
    ),
    row(
        "version-as-text",
        |case| {
            case.publish_with("timestamp", |role| role["version"] = json!("2"));
        },
        "timestamp metadata",
        Refuses,
    ),
    row(
        "version-as-fraction",
        |case| {
            case.publish_with("timestamp", |role| role["version"] = json!(2));
            case.edit("metadata/timestamp.json", "\"version\": 2\n", "\"version\": 2.0\n");
        },
        "whole numbers",
        Refuses,
    ),
    row(
        "another-specification",
        |case| {
            case.publish_with("targets", |role| role["spec_version"] = json!("2.0.0"));
        },
        "spec_version: expected 1.x.y",
        Refuses,
    ),
    row(
        "no-specification",
        |case| {
            case.publish_with("snapshot", |role| {
                role.as_object_mut().unwrap().remove("spec_version");
            });
        },
        "snapshot metadata",
        Refuses,
    ),
];
