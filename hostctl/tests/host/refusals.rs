//! Upgrades that are refused: nothing is written, and the exit status says why.

use super::kit::{HostFolder, Publication, cannot_run};
use berth_contract::{
    container::ByteSize,
    paths::{QUARANTINE, TRUST_ROOT},
    release::Target,
};
use serde_json::json;
use std::fs;

const ALL: [Target; 4] = [Target::Index, Target::Chunks, Target::Packed, Target::Root];
const BLESSED: &str = "berth-test_1.efi";

/// A host and a repository with one fault each.
struct Row {
    name: &'static str,
    /// The boot entry of the running version.
    entry: &'static str,
    publish: fn(&mut Publication),
    /// Changes the host after the repository was copied to it.
    spoil: fn(&HostFolder),
    status: i32,
    error: &'static str,
}

const ROW: Row = Row { name: "", entry: BLESSED, publish: whole, spoil: |_| (), status: 12, error: "" };

fn whole(publication: &mut Publication) {
    publication.publish(&ALL);
}

/// Overwrites all targets that end with one of these.
fn flip(host: &HostFolder, endings: &[&str]) {
    for entry in fs::read_dir(host.path("repo/targets")).unwrap().map(|entry| entry.unwrap().path()) {
        if endings.iter().any(|ending| entry.to_str().unwrap().ends_with(ending)) {
            let inverted: Vec<u8> = fs::read(&entry).unwrap().iter().map(|byte| !byte).collect();
            fs::write(entry, inverted).unwrap();
        }
    }
}

const ROWS: &[Row] = &[
    Row {
        name: "expired",
        publish: |publication| {
            let past = |value: &mut serde_json::Value| value["expires"] = json!("2020-01-01T00:00:00Z");
            publication.repo.twists.insert("timestamp", Box::new(past));
            whole(publication);
        },
        error: "the timestamp metadata expired",
        ..ROW
    },
    Row {
        name: "unsigned",
        publish: |publication| {
            publication.repo.signers.insert("targets", vec![]);
            whole(publication);
        },
        error: "expected signatures of 1 trusted keys, found 0",
        ..ROW
    },
    Row {
        name: "no root of trust",
        spoil: |host| fs::remove_file(host.path(TRUST_ROOT)).unwrap(),
        status: 1,
        error: "this image trusts no release keys",
        ..ROW
    },
    Row {
        name: "another image",
        publish: |publication| {
            publication.record.id = "other".parse().unwrap();
            publication.publish_record();
        },
        error: "only holds releases of other",
        ..ROW
    },
    Row {
        name: "too large",
        publish: |publication| {
            publication.record.min_slot.root = ByteSize(1 << 40);
            whole(publication);
        },
        error: "the release needs 1099511627776 bytes here",
        ..ROW
    },
    Row {
        name: "failed before",
        spoil: |host| {
            let failed = json!([{"id": "berth-test", "version": "2", "root_hash": "00".repeat(32), "cause": "it hung", "tries": 3, "at": 0}]);
            host.write(QUARANTINE, &failed);
        },
        status: 11,
        error: "version 2 has failed on this host: it hung",
        ..ROW
    },
    Row { name: "on trial", entry: "berth-test_1+2-1.efi", error: "on trial", ..ROW },
    Row {
        name: "no source",
        spoil: |host| fs::remove_dir_all(host.path("repo")).unwrap(),
        status: 13,
        error: "/repo",
        ..ROW
    },
    Row { name: "two equal disks", spoil: HostFolder::add_copy_of_disk, error: "/dev/vdb", ..ROW },
    Row { name: "a wrong kernel image", spoil: |host| flip(host, &[".efi"]), error: ".efi", ..ROW },
    Row {
        name: "a kernel image of another root file system",
        publish: |publication| {
            publication.record.root.root_hash = berth_contract::digest::RootHash(publication.record.uki.sha256);
            whole(publication);
        },
        error: "root hash on its command line",
        ..ROW
    },
];

#[test]
fn a_refused_upgrade_writes_nothing_and_says_why() {
    if cannot_run() {
        return;
    }
    let mut faults = Vec::new();
    for row in ROWS {
        let mut publication = Publication::new();
        (row.publish)(&mut publication);
        let host = HostFolder::new(&publication.repo, row.entry);
        let source = host.bring(&publication.repo);
        (row.spoil)(&host);
        let before = host.devices();
        let answer = host.hostctl(&["upgrade", source]);
        if answer.status != row.status || !answer.stderr.contains(row.error) {
            faults.push(format!("{}: expected status {} and {:?}, found {answer:?}", row.name, row.status, row.error));
        }
        if host.devices() != before {
            faults.push(format!("{}: a device was written", row.name));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn if_every_form_of_the_release_is_wrong_the_running_version_still_boots() {
    if cannot_run() {
        return;
    }
    let publication = Publication::whole();
    let host = HostFolder::new(&publication.repo, BLESSED);
    let (source, before) = (host.bring(&publication.repo), host.devices());
    flip(&host, &[".root.zst", ".root.xz", ".root.chunks", ".root.index"]);
    let answer = host.hostctl(&["upgrade", source]);
    assert_eq!(answer.status, 13, "{answer:?}");
    assert!(answer.stderr.contains("cannot fetch the new root file system"), "{answer:?}");
    let after = host.devices();
    assert_eq!((&after[1], &after[2]), (&before[1], &before[2]), "the running slot is not changed");
    assert!(!host.entries().iter().any(|entry| entry.contains("+3")), "{:?}", host.entries());
    // The same host upgrades from the right repository.
    host.bring(&publication.repo);
    let answer = host.hostctl(&["upgrade", source]);
    assert_eq!(answer.status, 0, "{answer:?}");
}
