//! What happens to a repository after a release: time goes by, keys change, a release is taken back.

use crate::site::{NAME, Site};
use std::{fs, thread, time::Duration};

const REPO: [&str; 4] = ["--repo", "repo", "--keys", "keys"];

#[test]
fn a_host_follows_new_keys_of_every_role_from_the_first_root() {
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
    assert_eq!(targets.matches("\"sig\"").count(), 3, "no signature of keys before");
}

#[test]
fn new_keys_are_believed_only_when_enough_root_keys_say_so() {
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
    // A root that its predecessor's keys have not signed is refused by everybody.
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
fn lost_keys_are_replaced_as_well() {
    let site = Site::new();
    site.released("out");
    let lost = fs::read_dir(site.path("keys")).unwrap().map(|entry| entry.unwrap().path());
    let lost = lost.into_iter().find(|path| path.to_str().unwrap().contains("/targets-")).unwrap();
    fs::remove_file(lost).unwrap();
    site.good(&["keys", "rotate", "keys", "targets", "--repo", "repo"]);
    assert_eq!(site.gets("repo", "state", &format!("{NAME}.efi"))["root"], 2);
}

#[test]
fn time_ends_and_a_refresh_gives_more_of_it() {
    let site = Site::new();
    site.good(&site.release("out", &["--expires", "1s"]));
    thread::sleep(Duration::from_millis(2100));
    let target = format!("{NAME}.efi");
    site.refuses("repo", "state", &target, "ExpiredMetadataError");
    let check = [&["repo", "check"], &REPO[..]].concat();
    let talk = site.bad(&check);
    assert!(talk.contains("the time of role timestamp has ended at ") && talk.contains("berth repo refresh"), "{talk}");
    let targets = fs::read(site.path("repo/metadata/1.targets.json")).unwrap();
    site.good(&[&["repo", "refresh"], &REPO[..]].concat());
    site.gets("repo", "state", &target);
    site.good(&check);
    assert_eq!(fs::read(site.path("repo/metadata/1.targets.json")).unwrap(), targets);
    assert!(!site.path("repo/metadata/2.targets.json").exists(), "only what ends is signed anew");
    // Targets whose time ends before that of the timestamp are signed, too.
    site.good(&[&["repo", "refresh", "--expires", "400d"], &REPO[..]].concat());
    assert!(site.path("repo/metadata/2.targets.json").exists());
    site.gets("repo", "state", &target);
    for _ in 0..5 {
        site.good(&[&["repo", "refresh"], &REPO[..]].concat());
    }
    let kept = fs::read_dir(site.path("repo/metadata")).unwrap().map(|entry| entry.unwrap().file_name());
    let kept = kept.filter(|name| name.to_str().unwrap().ends_with(".snapshot.json")).count();
    assert_eq!(kept, 3, "old metadata does not pile up");
}

#[test]
fn a_release_that_is_taken_back_is_gone_and_may_come_again() {
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
