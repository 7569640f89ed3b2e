//! Upgrades that succeed.

use super::kit::{HostFolder, Publication, cannot_run};
use crate::{
    kit::server::{Fault, Server},
    slots::kit::new_image,
};
use berth_contract::{
    disk::PartitionRole,
    release::Target,
    update::{UpgradeEvent, Way},
};
use std::fs;

const BLESSED: &str = "berth-test_1.efi";

/// The last event of `hostctl upgrade --json`: the way, and the ways that failed before.
fn ways(stdout: &str) -> (Way, Vec<Way>) {
    let events = || stdout.lines().filter_map(|line| serde_json::from_str::<UpgradeEvent>(line).ok());
    let done = events().find_map(|event| if let UpgradeEvent::Done { way, .. } = event { Some(way) } else { None });
    let failed =
        events().filter_map(|event| if let UpgradeEvent::FellBack { way, .. } = event { Some(way) } else { None });
    (done.unwrap_or_else(|| panic!("{stdout}")), failed.collect())
}

fn holds_new_image(host: &HostFolder) -> bool {
    fs::read(host.device(PartitionRole::RootB)).unwrap().starts_with(&new_image())
}

#[test]
fn every_step_of_an_upgrade_changes_what_it_should_and_no_more() {
    if cannot_run() {
        return;
    }
    let publication = Publication::whole();
    let host = HostFolder::new(&publication.repo, BLESSED);
    let (source, before) = (host.bring(&publication.repo), host.devices());
    for (option, text) in [("--check", "version 2 is available; 1 runs"), ("--dry-run", "1 -> 2, into slot b")] {
        let answer = host.hostctl(&["upgrade", source, option]);
        assert_eq!(answer.status, 0, "{answer:?}");
        assert!(answer.stdout.contains(text), "{answer:?}");
        assert_eq!(host.devices(), before, "{option} writes nothing");
    }
    let staged = host.hostctl(&["upgrade", source, "--stage"]);
    assert_eq!(staged.status, 0, "{staged:?}");
    assert!(holds_new_image(&host));
    assert_eq!(host.entries(), [BLESSED, "berth-test_2.staged"]);
    let answer = host.hostctl(&["upgrade", source, "--json"]);
    assert_eq!((answer.status, ways(&answer.stdout)), (0, (Way::Present, vec![])), "{answer:?}");
    assert_eq!(host.entries(), [BLESSED, "berth-test_2+3.efi"]);
    let after = host.devices();
    assert_eq!((&after[1], &after[2]), (&before[1], &before[2]), "the running slot is not changed");
}

/// The forms of the release that a server has, and how it answers for a path.
type Served<'a> = (&'a [Target], fn(&str) -> Fault);
/// The way that succeeds, and those that fail before.
type Expected<'a> = (Way, &'a [Way]);

fn lie(is_hit: bool) -> Fault {
    if is_hit { Fault::Lie } else { Fault::None }
}

#[test]
fn when_one_way_fails_another_is_used() {
    if cannot_run() {
        return;
    }
    let all = [Target::Index, Target::Chunks, Target::Packed, Target::Root];
    let rows: [(&str, Served, Expected); 5] = [
        ("nothing", (&all, |_| Fault::None), (Way::Blocks, &[])),
        ("chunks", (&all, |path| lie(path.ends_with("chunks"))), (Way::Full, &[Way::Blocks])),
        ("xz", (&all[2..], |path| lie(path.ends_with("xz"))), (Way::Full, &[Way::Full])),
        ("no ranges", (&all, |_| Fault::NoRanges), (Way::Full, &[Way::Blocks])),
        ("only xz", (&all[2..3], |_| Fault::None), (Way::Full, &[])),
    ];
    for (name, (forms, rule), (wanted, failed)) in rows {
        let mut publication = Publication::new();
        publication.publish(forms);
        let host = HostFolder::new(&publication.repo, BLESSED);
        let server = Server::start(publication.repo.dir.path().to_owned(), move |request, _| rule(&request.path));
        let answer = host.hostctl(&["upgrade", "--json", &server.base]);
        assert_eq!(answer.status, 0, "{name}: {answer:?}");
        let (way, fell_back) = ways(&answer.stdout);
        assert_eq!(way, wanted, "{name}: {answer:?}");
        if name != "no ranges" {
            assert_eq!(fell_back, failed, "{name}: {answer:?}");
        }
        assert!(holds_new_image(&host), "{name}");
        assert_eq!(host.entries(), [BLESSED, "berth-test_2+3.efi"], "{name}");
    }
}
