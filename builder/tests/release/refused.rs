//! `berth release` refuses to sign with wrong keys, a damaged build, or a repository that another program has changed.

use crate::{
    build_kit::talk,
    release::site::{NAME, Site, flip},
};
use std::{fs, os::unix::fs::PermissionsExt, process::Command, thread, time::Duration};

#[test]
fn new_keys_are_private_and_existing_keys_are_never_overwritten() {
    let site = Site::new();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&site.path("keys")), 0o700);
    let before = site.state("keys");
    assert_eq!(before.lines().count(), 7);
    for entry in fs::read_dir(site.path("keys")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().unwrap() == "pem" {
            assert_eq!(mode(&path), 0o600);
            let known =
                crate::assemble_kit::tool("openssl", &["pkey", "-noout", "-text", "-in", path.to_str().unwrap()]);
            assert!(known.starts_with("ED25519 Private-Key"), "{known}");
        }
    }
    let talk = site.bad(&["keys", "new", "keys"]);
    assert!(talk.starts_with("error: keys exists already, and keys are never overwritten\nhint: "), "{talk}");
    assert_eq!(site.state("keys"), before);
    fs::create_dir(site.path("empty")).unwrap();
    assert!(site.bad(&["keys", "new", "empty"]).starts_with("error: empty exists already"));
    let talk = site.bad(&["keys", "new", "new", "--root-keys", "2", "--threshold", "3"]);
    assert!(talk.starts_with("error: root: expected a threshold of 1 to 2, found 3"), "{talk}");
    assert!(!site.path("new").exists());
}

#[test]
fn if_two_processes_make_the_same_key_folder_one_succeeds_and_the_other_fails() {
    let site = Site::new();
    // The first process waits before its last step until the second process is in the middle of its work.
    let slow = |call: &str, time: &str| {
        let mut command = Command::new("strace");
        let delay = format!("--inject={call}:delay_enter={time}");
        command.args(["-f", "-o", "/dev/null", &format!("--trace={call}"), &delay]).arg(site.path("bin/berth"));
        command.args(["keys", "new", "both"]).current_dir(site.small.dir.path());
        command
    };
    let mut first = slow("renameat2", "1500ms").spawn().expect("strace is missing: run ci/setup");
    thread::sleep(Duration::from_millis(700));
    let second = slow("rename", "400ms").output().unwrap();
    let first = first.wait().unwrap();
    assert!(first.success() != second.status.success(), "{first}, {}", talk(&second));
    assert_eq!(site.state("both").lines().count(), 7);
    site.good(&["release", "out", "--repo", "repo", "--keys", "both", "--level", "1"]);
    let left = fs::read_dir(site.small.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.filter(|name| name.to_str().unwrap().contains("partial")).count(), 0);
}

#[test]
fn the_errors_name_wrong_missing_and_damaged_keys() {
    let site = Site::new();
    site.released("out");
    site.build("2", "out2");
    let before = site.state("repo");
    let with = |keys| ["release", "out2", "--repo", "repo", "--keys", keys, "--level", "1"];
    site.good(&["keys", "new", "theirs"]);
    let talk = site.bad(&with("theirs"));
    assert!(talk.starts_with("error: repo is signed with other keys than those of theirs\nhint: "), "{talk}");
    let talk = site.bad(&with("out"));
    assert!(talk.starts_with("error: no root.json in out\nhint: name the folder"), "{talk}");
    // A folder with our root.json but other keys is refused.
    site.copy("keys/root.json", "theirs/root.json");
    let talk = site.bad(&with("theirs"));
    assert!(talk.starts_with("error: targets: expected private keys for at least 1 of "), "{talk}");
    assert!(talk.contains(", found 0 in theirs\nhint: repeat --keys"), "{talk}");
    for role in ["targets", "snapshot", "timestamp"] {
        site.copy("keys", "some");
        let key = fs::read_dir(site.path("some")).unwrap().map(|entry| entry.unwrap().path());
        let key = key.into_iter().find(|path| path.to_str().unwrap().contains(&format!("/{role}-"))).unwrap();
        fs::remove_file(&key).unwrap();
        let talk = site.bad(&with("some"));
        assert!(talk.starts_with(&format!("error: {role}: expected private keys for at least 1 of ")), "{talk}");
        fs::write(&key, "no key\n").unwrap();
        let talk = site.bad(&with("some"));
        assert!(talk.starts_with("error: some/") && talk.contains("a private ed25519 key, PEM of PKCS#8"), "{talk}");
    }
    assert_eq!(site.state("repo"), before);
    // A release needs no root keys. They may be in another folder.
    site.copy("keys", "online");
    for name in fs::read_dir(site.path("online")).unwrap().map(|entry| entry.unwrap().path()) {
        if name.to_str().unwrap().contains("/root-") {
            fs::remove_file(name).unwrap();
        }
    }
    site.good(&with("online"));
}

#[test]
fn one_of_two_signatures_is_not_enough() {
    let site = Site::new();
    site.good(&["keys", "new", "two", "--targets-keys", "2", "--targets-threshold", "2"]);
    let first = fs::read_dir(site.path("two")).unwrap().map(|entry| entry.unwrap().path());
    let first = first.into_iter().find(|path| path.to_str().unwrap().contains("/targets-")).unwrap();
    let stick = site.path("stick");
    fs::create_dir(&stick).unwrap();
    fs::rename(&first, stick.join(first.file_name().unwrap())).unwrap();
    let release = ["release", "out", "--repo", "repo", "--level", "1", "--keys", "two"];
    let talk = site.bad(&release);
    assert!(talk.starts_with("error: targets: expected private keys for at least 2 of "), "{talk}");
    assert!(talk.contains(", found 1 in two\n"), "{talk}");
    // Two files with the same key count as one key.
    site.copy("two", "again");
    assert!(site.bad(&[&release[..], &["--keys", "again"]].concat()).contains(", found 1 in two, again"));
    assert!(!site.path("repo/metadata/timestamp.json").exists());
    site.good(&[&release[..], &["--keys", "stick"]].concat());
    site.copy("two/root.json", "first.json");
    site.gets("repo", "state", &format!("{NAME}.efi"));
}

#[test]
fn a_damaged_or_incomplete_build_is_not_released() {
    let site = Site::new();
    let manifest = format!("{NAME}.manifest.json");
    let all = [format!("{NAME}.efi"), format!("{NAME}.root.erofs"), format!("{NAME}.root.verity"), manifest.clone()];
    for name in all.iter().map(String::as_str).chain(["SHA256SUMS"]) {
        site.copy("out", "bad");
        let path = site.path("bad").join(name);
        if name == "SHA256SUMS" {
            // Change every digest: a single change could hit the digest of a file that a release does not use.
            let lines = fs::read_to_string(&path).unwrap();
            let lines = lines.lines().map(|line| format!("{}{}\n", line[..64].replace(['0', '1'], "2"), &line[64..]));
            fs::write(&path, lines.collect::<String>()).unwrap();
        } else {
            flip(&path);
        }
        let talk = site.bad(&site.release("bad", &[]));
        assert!(talk.starts_with("error: bad/") && talk.contains("expected"), "{name}: {talk}");
        fs::remove_file(site.path("bad").join(name)).unwrap();
        let talk = site.bad(&site.release("bad", &[]));
        let wanted = match name {
            "SHA256SUMS" => "error: bad is not a build: it has no SHA256SUMS\nhint: ".to_owned(),
            _ => format!("error: cannot read bad/{name}"),
        };
        assert!(talk.starts_with(&wanted), "{name}: {talk}");
    }
    // A damaged file is found even if its digests are corrected, because the hash tree and the kernel command line contain the root hash.
    for (ending, wanted) in [("root.erofs", "data: block"), ("root.verity", ""), ("efi", "")] {
        site.copy("out", "bad");
        let damaged = site.path(&format!("bad/{NAME}.{ending}"));
        if ending == "efi" {
            let text = fs::read(&damaged).unwrap();
            let at = text.windows(9).position(|bytes| bytes == b"roothash=").unwrap();
            let mut text = text;
            text[at + 9] ^= 1;
            fs::write(&damaged, text).unwrap();
        } else {
            flip(&damaged);
        }
        mend(&site, ending);
        let talk = site.bad(&site.release("bad", &[]));
        assert!(talk.starts_with(&format!("error: bad/{NAME}.")) && talk.contains(wanted), "{ending}: {talk}");
        assert!(!talk.contains("SHA-256:"), "{talk}");
    }
    assert!(!site.path("repo").exists());
}

/// Corrects the digest of a damaged file in the manifest and in SHA256SUMS.
pub(crate) fn mend(site: &Site, ending: &str) {
    let sum = |name: &str| {
        let path = site.path(&format!("bad/{NAME}.{name}"));
        crate::assemble_kit::tool("sha256sum", &[path.to_str().unwrap()])[..64].to_owned()
    };
    let put = |name: &str, old: &str, new: &str| {
        let path = site.path(&format!("bad/{name}"));
        fs::write(&path, fs::read_to_string(&path).unwrap().replace(old, new)).unwrap();
    };
    let sums = fs::read_to_string(site.path("bad/SHA256SUMS")).unwrap();
    let old = |name: &str| sums.lines().find(|line| line.ends_with(name)).unwrap()[..64].to_owned();
    let manifest = format!("{NAME}.manifest.json");
    put(&manifest, &old(ending), &sum(ending));
    put("SHA256SUMS", &old(ending), &sum(ending));
    put("SHA256SUMS", &old("manifest.json"), &sum("manifest.json"));
}

#[test]
fn a_changed_repository_is_refused_by_berth_and_by_clients() {
    let site = Site::new();
    site.released("out");
    site.build("2", "out2");
    site.copy("repo", "whole");
    let check = ["repo", "check", "--repo", "repo", "--keys", "keys"];
    assert!(site.good(&check).starts_with("small 1 x86_64 stable "));
    for name in ["1.targets.json", "1.snapshot.json", "timestamp.json", "1.root.json"] {
        site.copy("whole", "repo");
        let path = site.path("repo/metadata").join(name);
        let text = fs::read_to_string(&path).unwrap();
        // The file is still valid JSON, but its version number has changed.
        fs::write(&path, text.replace("\"version\": 1", "\"version\": 7")).unwrap();
        let talk = site.bad(&site.release("out2", &[]));
        assert!(talk.contains("repo/metadata/") || talk.contains("repo is signed with other keys"), "{name}: {talk}");
        assert_eq!(site.bad(&check).lines().next(), talk.lines().next(), "{name}");
        if name != "1.root.json" {
            site.refuses("repo", &format!("state-{name}"), &format!("{NAME}.efi"), "Error");
        }
    }
    for ending in ["efi", "root.zst", "root.xz", "root.verity", "root.index", "root.chunks", "release.json"] {
        site.copy("whole", "repo");
        flip(&site.file("repo/targets", &format!("{NAME}.{ending}")));
        let talk = site.bad(&check);
        assert!(talk.starts_with("error: repo/targets/") && talk.contains(" bytes with SHA-256 "), "{talk}");
        site.refuses("repo", "state", &format!("{NAME}.{ending}"), "LengthOrHashMismatchError");
    }
    fs::remove_file(site.file("repo/targets", "release.json")).unwrap();
    assert!(site.bad(&check).starts_with("error: "));
}

#[test]
fn only_one_process_writes_to_a_repository_at_a_time() {
    let site = Site::new();
    site.released("out");
    let lock = fs::File::create(site.path("repo/.lock")).unwrap();
    lock.lock().unwrap();
    site.build("2", "out2");
    for arguments in [site.release("out2", &[]), vec!["repo", "refresh", "--repo", "repo", "--keys", "keys"]] {
        let output = site.berth(&arguments).output().unwrap();
        assert!(
            talk(&output).starts_with("error: another berth process is writing to repo\nhint: wait"),
            "{}",
            talk(&output)
        );
    }
    drop(lock);
    site.released("out2");
    assert!(!site.path("repo/.lock").exists());
}
