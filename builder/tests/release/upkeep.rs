//! Maintenance of a repository: metadata expires, keys are rotated, a release is revoked.

use crate::{
    assemble_kit::tool,
    release::site::{NAME, Site},
};
use std::{fs, thread, time::Duration};

const REPO: [&str; 4] = ["--repo", "repo", "--keys", "keys"];

#[test]
fn a_client_with_the_first_root_accepts_rotated_keys_of_every_role() {
    let site = Site::new();
    site.released("out");
    let target = format!("{NAME}.efi");
    assert_eq!(site.gets("repo", "old", &target)["root"], 1);
    for (number, role) in ["timestamp", "snapshot", "targets", "root"].into_iter().enumerate() {
        let made = site.good(&["keys", "rotate", "keys", role, "--repo", "repo"]);
        assert_eq!(made.lines().count(), if role == "root" { 2 } else { 1 }, "{made}");
        for key in made.lines() {
            assert!(key.starts_with(&format!("keys/{role}-")) && site.path(key).exists(), "{made}");
        }
        assert_eq!(
            fs::read(site.path("keys/root.json")).unwrap(),
            fs::read(site.path(&format!("repo/metadata/{}.root.json", number + 2))).unwrap()
        );
        for state in ["old", &format!("new-{role}")] {
            assert_eq!(site.gets("repo", state, &target)["root"], number + 2, "{role}");
        }
    }
    site.good(&["repo", "check", "--repo", "repo", "--keys", "keys"]);
    site.good(&["keys", "rotate", "keys", "targets", "--repo", "repo", "--count", "3", "--threshold", "2"]);
    site.good(&["keys", "renew", "keys", "--repo", "repo", "--root-expires", "30d"]);
    site.build("2", "out2");
    site.released("out2");
    assert_eq!(site.gets("repo", "old", "small_2_x86_64.efi")["root"], 7);
    let names = fs::read_dir(site.path("repo/metadata")).unwrap().map(|entry| entry.unwrap().file_name());
    let numbers = names.filter_map(|name| name.to_str()?.strip_suffix(".targets.json")?.parse::<u32>().ok());
    let newest = format!("{}.targets.json", numbers.max().unwrap());
    let targets = fs::read_to_string(site.file("repo/metadata", &newest)).unwrap();
    assert_eq!(targets.matches("\"sig\"").count(), 3, "there must be no signature of an older key");
}

#[test]
fn new_keys_need_signatures_of_enough_root_keys() {
    let site = Site::new();
    site.released("out");
    let root_key = |folder: &str| {
        let paths = fs::read_dir(site.path(folder)).unwrap().map(|entry| entry.unwrap().path());
        paths.into_iter().find(|path| path.to_str().unwrap().contains("/root-")).unwrap()
    };
    fs::create_dir(site.path("safe")).unwrap();
    let key = root_key("keys");
    fs::rename(&key, site.path("safe").join(key.file_name().unwrap())).unwrap();
    let before = (site.state("repo"), site.state("keys"));
    for role in ["root", "timestamp"] {
        let talk = site.bad(&["keys", "rotate", "keys", role, "--repo", "repo"]);
        assert!(talk.starts_with("error: root: expected private keys for at least 2 of "), "{talk}");
    }
    assert_eq!((site.state("repo"), site.state("keys")), before);
    site.good(&["keys", "rotate", "keys", "timestamp", "--repo", "repo", "--keys", "safe"]);
    // A root that is not signed with the keys of the previous root is refused by clients and by `berth`.
    site.good(&["keys", "new", "theirs"]);
    let text = fs::read_to_string(site.path("theirs/root.json")).unwrap();
    fs::write(site.path("repo/metadata/3.root.json"), text).unwrap();
    site.refuses("repo", "state", &format!("{NAME}.efi"), "UnsignedMetadataError");
    assert!(
        site.bad(&["repo", "list", "--repo", "repo", "--keys", "keys"])
            .starts_with("error: repo/metadata/3.root.json: ")
    );
}

#[test]
fn lost_keys_are_replaced_one_role_at_a_time() {
    let site = Site::new();
    site.released("out");
    let target = format!("{NAME}.efi");
    site.copy("repo", "before");
    site.copy("keys", "keys-before");
    let rotate = |role| ["keys", "rotate", "keys", role, "--repo", "repo"];
    for lost in [&["targets"][..], &["timestamp", "snapshot"], &["timestamp", "snapshot", "targets"]] {
        site.copy("before", "repo");
        site.copy("keys-before", "keys");
        lost.iter().for_each(|role| site.lose("keys", role));
        if let [.., last] = lost[1..] {
            let talk = site.bad(&rotate(last));
            assert!(talk.starts_with("error: ") && talk.contains(", found 0 in keys\nhint: repeat --keys"), "{talk}");
        }
        let state = format!("state-{}", lost.len());
        for (number, role) in lost.iter().enumerate() {
            site.good(&rotate(role));
            assert_eq!(site.gets("repo", &state, &target)["root"], number + 2, "{lost:?}");
        }
        site.good(&[&["repo", "check"], &REPO[..]].concat());
        site.good(&[&["repo", "refresh"], &REPO[..]].concat());
        site.gets("repo", &state, &target);
    }
}

#[test]
fn an_unfinished_change_of_keys_is_finished_by_the_next_change() {
    let site = Site::new();
    site.released("out");
    site.copy("keys/root.json", "root-before");
    site.copy("repo/metadata/timestamp.json", "timestamp-before");
    site.lose("keys", "timestamp");
    site.good(&["keys", "rotate", "keys", "timestamp", "--repo", "repo"]);
    // Restore the state after a kill between the new root and the new timestamp.
    site.copy("root-before", "keys/root.json");
    site.copy("timestamp-before", "repo/metadata/timestamp.json");
    site.refuses("repo", "state", &format!("{NAME}.efi"), "UnsignedMetadataError");
    let talk = site.bad(&site.release("out", &[]));
    assert!(talk.contains("error: a change of keys in repo was not finished\nhint: run the same"), "{talk}");
    let talk = site.says(&["keys", "renew", "keys", "--repo", "repo"]);
    assert!(talk.contains("warning: the last change of keys was not finished"), "{talk}");
    site.gets("repo", "state", &format!("{NAME}.efi"));
    site.good(&[&["repo", "check"], &REPO[..]].concat());
}

#[test]
fn metadata_signed_with_retired_keys_is_refused_by_the_next_change() {
    let site = Site::new();
    site.released("out");
    let timestamp = site.path("repo/metadata/timestamp.json");
    fs::copy(&timestamp, site.path("old")).unwrap();
    site.good(&["keys", "rotate", "keys", "timestamp", "--repo", "repo"]);
    fs::copy(site.path("old"), &timestamp).unwrap();
    let talk = site.bad(&["keys", "rotate", "keys", "snapshot", "--repo", "repo"]);
    assert!(talk.starts_with("error: repo/metadata/timestamp.json: expected valid signatures: "), "{talk}");
}

#[test]
fn all_versions_of_root_are_kept_with_the_keys_and_copied_to_a_new_repository() {
    let site = Site::new();
    site.released("out");
    site.good(&["keys", "rotate", "keys", "targets", "--repo", "repo"]);
    site.good(&["keys", "rotate", "keys", "root", "--repo", "repo"]);
    let check = [&["repo", "check"], &REPO[..]].concat();
    site.good(&check);
    site.copy("repo", "whole");
    for name in ["1.root.json", "2.root.json"] {
        site.copy("whole", "repo");
        fs::remove_file(site.path("repo/metadata").join(name)).unwrap();
        let talk = site.bad(&check);
        assert!(
            talk.starts_with(&format!("error: repo/metadata/{name}: expected an earlier root metadata ")),
            "{talk}"
        );
        fs::copy(site.path("repo/metadata/3.root.json"), site.path("repo/metadata").join(name)).unwrap();
        let talk = site.bad(&check);
        assert!(talk.starts_with(&format!("error: repo/metadata/{name}: expected version ")), "{talk}");
    }
    fs::remove_dir_all(site.path("repo")).unwrap();
    let talk = site.says(&site.release("out", &[]));
    assert!(talk.contains("repo is new, but its keys are not: hosts that know another"), "{talk}");
    assert_eq!(site.gets("repo", "state", &format!("{NAME}.efi"))["root"], 3);
    site.good(&check);
    assert!(!site.says(&site.release("out", &[])).contains("is new"));
}

#[test]
fn berth_warns_before_root_and_targets_expire() {
    let site = Site::new();
    site.released("out");
    let refresh = [&["repo", "refresh"], &REPO[..]].concat();
    let talk = site.says(&refresh);
    assert!(!talk.contains("warning"), "{talk}");
    let renew = ["keys", "renew", "keys", "--repo", "repo", "--root-expires"];
    let ends = "warning: the metadata of role root expires at ";
    let talk = site.says(&[&renew[..], &["20d"]].concat());
    assert!(talk.contains(ends) && talk.contains("berth keys renew"), "{talk}");
    let root = tool("jq", &["-j", ".signed.expires", site.path("keys/root.json").to_str().unwrap()]);
    for verb in [&refresh, &site.release("out", &[])] {
        assert!(site.says(verb).contains(&format!("{ends}{root}")));
    }
    // The repository is valid until the earliest expiry of a role.
    assert!(site.says(&refresh).contains(&format!("valid until {root}")));
    site.good(&[&renew[..], &["365d"]].concat());
    site.build("2", "out2");
    site.good(&site.release("out2", &["--targets-expires", "40d"]));
    site.copy("keys", "online");
    site.lose("online", "targets");
    let talk = site.says(&["repo", "refresh", "--repo", "repo", "--keys", "online"]);
    assert!(
        talk.contains("warning: the metadata of role targets expires at ") && talk.contains("targets keys"),
        "{talk}"
    );
    assert!(!site.says(&refresh).contains("warning"));

    site.good(&[&renew[..], &["1s"]].concat());
    thread::sleep(Duration::from_millis(1100));
    let ended = "error: repo/metadata: the metadata of role root expired at ";
    let revoke = [&["repo", "revoke", "1"], &REPO[..]].concat();
    for verb in [&refresh, &site.release("out", &[]), &revoke, &[&["repo", "check"], &REPO[..]].concat()] {
        let talk = site.bad(verb);
        let hint = "\nhint: sign the metadata again with the root keys: berth keys renew";
        assert!(talk.starts_with(ended) && talk.contains(hint), "{talk}");
    }
    site.good(&[&renew[..], &["365d"]].concat());
    site.good(&refresh);
}

#[test]
fn a_refresh_extends_expired_metadata() {
    let site = Site::new();
    site.good(&site.release("out", &["--expires", "1s"]));
    thread::sleep(Duration::from_millis(2100));
    let target = format!("{NAME}.efi");
    site.refuses("repo", "state", &target, "ExpiredMetadataError");
    let check = [&["repo", "check"], &REPO[..]].concat();
    let talk = site.bad(&check);
    assert!(
        talk.contains("the metadata of role timestamp expired at ") && talk.contains("berth repo refresh"),
        "{talk}"
    );
    let targets = fs::read(site.path("repo/metadata/1.targets.json")).unwrap();
    site.good(&[&["repo", "refresh"], &REPO[..]].concat());
    site.gets("repo", "state", &target);
    site.good(&check);
    assert_eq!(fs::read(site.path("repo/metadata/1.targets.json")).unwrap(), targets);
    assert!(!site.path("repo/metadata/2.targets.json").exists(), "only metadata that expires is signed again");
    // Targets that expire before the new timestamp are signed again, too.
    site.good(&[&["repo", "refresh", "--expires", "400d"], &REPO[..]].concat());
    assert!(site.path("repo/metadata/2.targets.json").exists());
    site.gets("repo", "state", &target);
    for _ in 0..5 {
        site.good(&[&["repo", "refresh"], &REPO[..]].concat());
    }
    let kept = fs::read_dir(site.path("repo/metadata")).unwrap().map(|entry| entry.unwrap().file_name());
    let kept = kept.filter(|name| name.to_str().unwrap().ends_with(".snapshot.json")).count();
    assert_eq!(kept, 3, "old metadata is removed");
}

#[test]
fn a_revoked_release_is_removed_and_can_be_released_again() {
    let site = Site::new();
    site.build("2", "out2");
    site.good(&site.release("out", &["out2"]));
    site.gets("repo", "state", "small_2_x86_64.efi");
    let talk = site.bad(&[&["repo", "revoke", "3"], &REPO[..]].concat());
    let wanted = "error: expected one release 3, found small 1 x86_64, small 2 x86_64\nhint: see `berth repo list`";
    assert!(talk.starts_with(wanted), "{talk}");
    assert!(site.bad(&[&["repo", "revoke", "2", "--id", "other"], &REPO[..]].concat()).contains("one release other 2"));
    site.good(&[&["repo", "revoke", "2", "--id", "small", "--arch", "x86_64"], &REPO[..]].concat());
    site.refuses("repo", "state", "small_2_x86_64.efi", "is not listed");
    site.gets("repo", "state", &format!("{NAME}.efi"));
    let left = site.state("repo/targets");
    assert!(!left.contains("small_2_") && left.lines().count() == 7, "{left}");
    let listed = site.good(&[&["repo", "list"], &REPO[..]].concat());
    assert!(listed.starts_with("small 1 x86_64 stable ") && listed.lines().count() == 1, "{listed}");
    site.released("out2");
    site.gets("repo", "state", "small_2_x86_64.efi");
    site.good(&[&["repo", "check"], &REPO[..]].concat());
}

#[test]
fn a_check_names_unlisted_and_missing_target_files() {
    let site = Site::new();
    site.released("out");
    let check = [&["repo", "check"], &REPO[..]].concat();
    let old = format!("repo/targets/{}.old", "0".repeat(64));
    for path in [&old, "repo/targets/notes.txt", "repo/targets/.partial"] {
        fs::write(site.path(path), "").unwrap();
        let talk = site.says(&check);
        let line = talk.lines().find(|line| line.contains(path)).unwrap();
        assert_eq!(line.ends_with(": the next release removes it"), !path.ends_with("notes.txt"), "{talk}");
        fs::remove_file(site.path(path)).unwrap();
    }
    site.publishes(&["0", &format!("{NAME}.root.zst")]);
    let talk = site.bad(&check);
    let (path, fault) = talk.strip_prefix("error: ").unwrap().split_once(": ").unwrap();
    assert!(fault.starts_with(&format!("expected a target {NAME}.root.zst, found none")), "{talk}");
    assert!(site.path(path).is_file(), "{talk}");
}
