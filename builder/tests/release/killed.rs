//! Whoever is killed in the middle leaves a repository that hosts can use.

use crate::{
    build_kit::talk,
    site::{NAME, Site},
};
use std::{os::unix::process::ExitStatusExt, process::Command};

/// Runs `berth`, killed at its `number`th call of those that change names or make them last; whether it came to its end.
fn killed(site: &Site, number: usize, arguments: &[&str]) -> bool {
    let inject = format!("--inject=rename,unlink,mkdir,rmdir,fsync:signal=SIGKILL:when={number}");
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "--trace=rename,unlink,mkdir,rmdir,fsync", &inject]);
    command.arg(site.path("bin/berth")).args(arguments).current_dir(site.small.dir.path());
    let output = command.env("RUST_BACKTRACE", "0").output().expect("strace is missing: run ci/setup");
    assert!(
        output.status.success() || output.status.signal() == Some(9) || output.status.code() == Some(137),
        "{}",
        talk(&output)
    );
    output.status.success()
}

/// Kills `arguments` at every such call, in copies of repository and keys. A host takes the release from before each time, and
/// the same command does its work afterwards.
fn at_every_call(site: &Site, arguments: &[&str], new: &str) {
    site.copy("repo", "repo-before");
    site.copy("keys", "keys-before");
    let mut number = 1;
    loop {
        site.copy("repo-before", "repo");
        site.copy("keys-before", "keys");
        site.copy("state-before", "state");
        let ended = killed(site, number, arguments);
        site.gets("repo", "state", &format!("{NAME}.efi"));
        site.good(&["repo", "check", "--repo", "repo", "--keys", "keys"]);
        if ended {
            break;
        }
        site.good(arguments);
        site.gets("repo", "state", new);
        let targets = site.state("repo/targets");
        assert!(!targets.contains("partial"), "{targets}");
        number += 1;
    }
    assert!(number > 5, "only {number} calls");
}

#[test]
fn a_release_killed_at_any_point_leaves_a_valid_repository() {
    let site = Site::new();
    site.released("out");
    site.gets("repo", "state-before", &format!("{NAME}.efi"));
    site.build("2", "out2");
    at_every_call(&site, &site.release("out2", &[]), "small_2_x86_64.efi");
}

#[test]
fn new_keys_killed_at_any_point_leave_a_valid_repository() {
    let site = Site::new();
    site.released("out");
    site.gets("repo", "state-before", &format!("{NAME}.efi"));
    for role in ["timestamp", "targets", "root"] {
        at_every_call(&site, &["keys", "rotate", "keys", role, "--repo", "repo"], &format!("{NAME}.efi"));
    }
}

#[test]
fn a_refresh_killed_at_any_point_leaves_a_valid_repository() {
    let site = Site::new();
    site.released("out");
    site.gets("repo", "state-before", &format!("{NAME}.efi"));
    site.build("2", "out2");
    site.released("out2");
    let refresh = ["repo", "refresh", "--repo", "repo", "--keys", "keys"];
    at_every_call(&site, &refresh, &format!("{NAME}.efi"));
}
