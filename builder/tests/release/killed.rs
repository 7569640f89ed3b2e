//! A killed command leaves a repository that hosts can use.

use crate::{
    build_kit::talk,
    release::site::{NAME, Site},
};
use std::{fs, os::unix::process::ExitStatusExt, process::Command};

/// System calls with an effect that other processes can see. fsync is not in the list, because a kill loses no written data.
const CALLS: [&str; 6] = ["rename", "renameat2", "unlink", "unlinkat", "mkdir", "rmdir"];

/// Runs `berth` and kills it at the `number`th system call with the name `call`. Returns true if `berth` ended before that.
fn killed(site: &Site, (call, number): (&str, usize), arguments: &[&str]) -> bool {
    let inject = format!("--inject={call}:signal=SIGKILL:when={number}");
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", &format!("--trace={call}"), &inject]);
    command.arg(site.path("bin/berth")).args(arguments).current_dir(site.small.dir.path());
    let output = command.env("RUST_BACKTRACE", "0").output().expect("strace is missing: run ci/setup");
    assert!(
        output.status.success() || output.status.signal() == Some(9) || output.status.code() == Some(137),
        "{}",
        talk(&output)
    );
    output.status.success()
}

/// Which signing keys exist.
#[derive(Clone, Copy, PartialEq)]
enum Keys {
    All,
    /// All, except the old keys of the role that gets new keys.
    Lost,
}

/// Kills the command at each call of [`CALLS`], each time with fresh copies of the repository and the keys. After each kill a host can
/// still fetch the earlier release, and the same command then succeeds and publishes the target `new`. If keys are lost, hosts refuse the
/// repository after a kill between two of the calls.
fn at_every_call(site: &Site, arguments: &[&str], new: &str, keys: Keys) {
    site.copy("repo", "repo-before");
    site.copy("keys", "keys-before");
    let (mut kills, mut refused) = (0, 0);
    for call in CALLS {
        for number in 1.. {
            site.copy("repo-before", "repo");
            site.copy("keys-before", "keys");
            site.copy("state-before", "state");
            if killed(site, (call, number), arguments) {
                break;
            }
            kills += 1;
            let seen = site.client("repo", "state", &format!("{NAME}.efi"));
            let check = ["repo", "check", "--repo", "repo", "--keys", "keys"];
            if let Err(error) = seen {
                assert!(keys == Keys::Lost && error.contains("UnsignedMetadataError"), "{error}");
                let talk = site.bad(&check);
                assert!(talk.starts_with("error: a change of keys in repo was not finished\nhint: "), "{talk}");
                refused += 1;
            } else {
                site.good(&check);
            }
            site.good(arguments);
            site.gets("repo", "state", new);
            let targets = site.state("repo/targets");
            assert!(!targets.contains("partial"), "{targets}");
        }
    }
    assert!(kills > 5, "only {kills} calls were found");
    assert!((keys == Keys::Lost) == (refused > 0), "hosts refused the repository after {refused} of {kills} kills");
}

#[test]
fn a_release_killed_at_any_point_leaves_a_valid_repository() {
    let site = Site::new();
    site.released("out");
    site.gets("repo", "state-before", &format!("{NAME}.efi"));
    site.build("2", "out2");
    at_every_call(&site, &site.release("out2", &[]), "small_2_x86_64.efi", Keys::All);
}

#[test]
fn a_rotation_of_keys_killed_at_any_point_leaves_a_valid_repository() {
    let site = Site::new();
    site.released("out");
    site.gets("repo", "state-before", &format!("{NAME}.efi"));
    for role in ["timestamp", "targets", "root"] {
        at_every_call(&site, &["keys", "rotate", "keys", role, "--repo", "repo"], &format!("{NAME}.efi"), Keys::All);
    }
}

#[test]
fn a_killed_replacement_of_lost_keys_is_finished_by_the_next_run() {
    let site = Site::new();
    site.released("out");
    site.gets("repo", "state-before", &format!("{NAME}.efi"));
    site.copy("keys", "keys-whole");
    site.copy("repo", "repo-whole");
    for role in ["timestamp", "targets"] {
        site.copy("repo-whole", "repo");
        site.copy("keys-whole", "keys");
        site.lose("keys", role);
        at_every_call(&site, &["keys", "rotate", "keys", role, "--repo", "repo"], &format!("{NAME}.efi"), Keys::Lost);
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
    at_every_call(&site, &refresh, &format!("{NAME}.efi"), Keys::All);
}

#[test]
fn the_folder_is_synced_after_the_last_rename() {
    let site = Site::new();
    let release = site.release("out", &["--bundle", "a.tar"]);
    for (arguments, name) in [(&["keys", "new", "more"][..], "\"more\""), (&release, "\"a.tar\"")] {
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-o", "calls", "--trace=rename,renameat2,fsync"]);
        command.arg(site.path("bin/berth")).args(arguments).current_dir(site.small.dir.path());
        let output = command.output().expect("strace is missing: run ci/setup");
        assert!(output.status.success(), "{}", talk(&output));
        let calls = fs::read_to_string(site.path("calls")).unwrap();
        let after: Vec<_> =
            calls.lines().skip_while(|line| !(line.contains("rename") && line.contains(name))).collect();
        let parent = format!("<{}>", site.small.dir.path().canonicalize().unwrap().display());
        assert!(after.iter().any(|line| line.contains("fsync") && line.contains(&parent)), "{calls}");
    }
}
