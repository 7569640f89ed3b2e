//! Rollbacks: their destination, their refusals, and the way back.

use super::kit::{Esp, bless, hash, other, quarantine, rollback, running, upgrade};
use berth_contract::{engine::StoreFormat, update::Quarantined};
use hostctl::entries::{Blessing, Destination, EntriesError, OtherSlot, Quarantine};
use std::path::Path;

#[test]
fn an_older_version_gets_tries_and_the_newer_one_boots_again_if_they_fail() {
    for by_rollback in [true, false] {
        let esp = Esp::new(if by_rollback { &["a_1.efi", "a_2.efi"] } else { &["a_2.efi"] });
        if by_rollback {
            rollback(&esp, "2", "1").unwrap();
            // A second rollback changes nothing, and a late blessing does not undo the rollback.
            rollback(&esp, "2", "1").unwrap();
            assert_eq!(bless(&esp, "2"), Blessing::SetAside);
        } else {
            upgrade(&esp, "2", "1");
        }
        assert_eq!(esp.names(), ["a_1+3.efi", "a_2+0.efi"]);
        let refused = esp.open().clear_idle(&running("2"), None).unwrap_err();
        assert!(refused.hint().unwrap().contains("hostctl reboot"), "{refused}");
        let tries = [esp.boot(), esp.boot(), esp.boot(), esp.boot()];
        assert_eq!(tries, ["a_1+2-1.efi", "a_1+1-2.efi", "a_1+0-3.efi", "a_2+0-1.efi"]);
        assert_eq!(bless(&esp, "2"), Blessing::Given);
        assert_eq!((esp.names(), esp.boot()), (vec!["a_1+0-3.efi".into(), "a_2.efi".into()], "a_2.efi".into()));
    }
}

#[test]
fn a_rollback_can_be_rolled_back() {
    let esp = Esp::new(&["a_1.efi", "a_2.efi"]);
    rollback(&esp, "2", "1").unwrap();
    assert_eq!(esp.boot(), "a_1+2-1.efi");
    assert!(matches!(rollback(&esp, "1", "2"), Err(EntriesError::Unblessed { .. })));
    bless(&esp, "1");
    assert_eq!(esp.names(), ["a_1.efi", "a_2+0.efi"]);
    assert_eq!(esp.boot(), "a_1.efi");
    rollback(&esp, "1", "2").unwrap();
    let to = esp.open().may_roll_back(
        &running("1"),
        Destination::Other,
        &other("2"),
        &quarantine(Path::new("/nonexistent")),
    );
    assert_eq!(to.unwrap().as_str(), "2");
    assert_eq!(esp.names(), ["a_1.efi", "a_2+3.efi"]);
    assert_eq!(esp.boot(), "a_2+2-1.efi");
    bless(&esp, "2");
    assert_eq!(esp.names(), ["a_1.efi", "a_2.efi"]);
}

#[test]
fn a_rollback_is_refused_unless_the_other_version_can_boot() {
    let dir = tempfile::tempdir().unwrap();
    let mut failed = quarantine(dir.path());
    let go = |esp: &Esp, target: Destination<'_>, other: &OtherSlot, failed: &Quarantine| {
        let done = esp.open().rollback(&running("2"), target, other, failed);
        done.map(|entry| entry.to_string()).map_err(|error| format!("{error} / {}", error.hint().unwrap_or_default()))
    };
    let esp = Esp::new(&["a_1.efi", "a_2.efi"]);
    let before = esp.names();
    let empty = go(&esp, Destination::Other, &OtherSlot::default(), &failed).unwrap_err();
    assert!(empty.starts_with("there is no other version to boot: its slot is empty / the first upgrade"), "{empty}");
    let gone = go(&esp, Destination::Other, &other("7"), &failed).unwrap_err();
    assert!(gone.contains("an upgrade was interrupted"), "{gone}");
    let (one, seven) = ("1".parse().unwrap(), "7".parse().unwrap());
    let named = go(&esp, Destination::Named(&seven), &other("1"), &failed).unwrap_err();
    assert!(named.starts_with("the other slot holds version 1, not 7"), "{named}");
    let format = |name: &str| Some(StoreFormat::from(name));
    let stores = OtherSlot { stores: (format("docker-snapshotter"), format("docker-graphdriver")), ..other("1") };
    let crossed = go(&esp, Destination::Other, &stores, &failed).unwrap_err();
    assert!(
        crossed.contains("stores the engine's data as docker-graphdriver") && crossed.contains("hostctl rollback 1")
    );
    let fault = "its engine steam is not known".to_owned();
    let unknown = OtherSlot { stores: (format("docker-graphdriver"), None), unknown_store: Some(fault), ..other("1") };
    let refused = go(&esp, Destination::Other, &unknown, &failed).unwrap_err();
    assert!(refused.contains("engine steam is not known") && refused.contains("hostctl rollback 1"), "{refused}");
    failed
        .add(Quarantined {
            id: "a".parse().unwrap(),
            version: "1".parse().unwrap(),
            root_hash: hash("1"),
            cause: "service dockerd: status 1".into(),
            tries: 3,
            at: 0,
        })
        .unwrap();
    let refused = go(&esp, Destination::Other, &other("1"), &failed).unwrap_err();
    assert!(refused.starts_with("version 1 has failed on this host: service dockerd: status 1 / to boot"), "{refused}");
    assert_eq!(esp.names(), before, "a refusal changes nothing");
    assert_eq!(go(&esp, Destination::Named(&one), &stores, &failed).unwrap(), "a_1+3.efi");
    let staged = Esp::new(&["a_1.staged", "a_2.efi"]);
    assert!(
        go(&staged, Destination::Other, &other("1"), &quarantine(Path::new("/nonexistent")))
            .unwrap_err()
            .contains("staged")
    );
}

#[test]
fn a_version_booted_as_the_last_resort_can_be_left() {
    // Version 2 was blessed, then set aside, booted again because version 1 failed, and is unhealthy now.
    let esp = Esp::new(&["a_1+0-3.efi", "a_2+0-3.efi"]);
    let upgrade_refused = |esp: &Esp| esp.open().clear_idle(&running("2"), None).unwrap_err();
    assert!(matches!(upgrade_refused(&esp), EntriesError::Unblessed { .. }), "on its last try");
    assert_eq!(esp.boot(), "a_2+0-4.efi");
    let named = |esp: &Esp| {
        let (one, dir) = ("1".parse().unwrap(), tempfile::tempdir().unwrap());
        esp.open().rollback(&running("2"), Destination::Named(&one), &other("1"), &quarantine(dir.path())).unwrap();
    };
    named(&esp);
    assert_eq!(esp.names(), ["a_1+3.efi", "a_2+0-4.efi"]);
    let tries = [esp.boot(), esp.boot(), esp.boot(), esp.boot()];
    assert_eq!(tries, ["a_1+2-1.efi", "a_1+1-2.efi", "a_1+0-3.efi", "a_2+0-5.efi"]);
    // Another version, newer or older, replaces the failed one.
    upgrade(&esp, "2", "3");
    assert_eq!((esp.names(), esp.next()), (vec!["a_2+0-5.efi".into(), "a_3+3.efi".into()], "a_3+3.efi".into()));
    let esp = Esp::new(&["a_2+0-4.efi"]);
    upgrade(&esp, "2", "1");
    assert_eq!((esp.names(), esp.next()), (vec!["a_1+3.efi".into(), "a_2+0-4.efi".into()], "a_1+3.efi".into()));
    // The user chose the entry in the boot loader's menu, and there is a better one that an upgrade would remove.
    for better in ["a_1.efi", "a_1+1-2.efi"] {
        let esp = Esp::new(&[better, "a_2+0-4.efi"]);
        assert!(upgrade_refused(&esp).hint().unwrap().contains("hostctl rollback"));
        named(&esp);
        assert_eq!(esp.next(), "a_1+3.efi");
    }
}

#[test]
fn a_planned_boot_of_the_other_version_can_be_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let stay = |esp: &Esp, version: &str| {
        let (running, none) = (running(version), quarantine(dir.path()));
        let target = Destination::Named(&running.version);
        esp.open().rollback(&running, target, &OtherSlot::default(), &none).map(|entry| entry.to_string())
    };
    let esp = Esp::new(&["a_1.efi"]);
    upgrade(&esp, "1", "2");
    assert_eq!(esp.next(), "a_2+3.efi");
    assert_eq!(stay(&esp, "1").unwrap(), "a_1.efi");
    assert_eq!((esp.names(), esp.next()), (vec!["a_1.efi".into(), "a_2+0.efi".into()], "a_1.efi".into()));
    // It can be requested once more.
    rollback(&esp, "1", "2").unwrap();
    assert_eq!(esp.boot(), "a_2+2-1.efi");
    assert!(matches!(stay(&esp, "2"), Err(EntriesError::Unblessed { .. })));
    bless(&esp, "2");
    rollback(&esp, "2", "1").unwrap();
    assert_eq!(esp.next(), "a_1+3.efi");
    for _ in 0..2 {
        assert_eq!(stay(&esp, "2").unwrap(), "a_2.efi");
        assert_eq!((esp.names(), esp.next()), (vec!["a_1+0.efi".into(), "a_2.efi".into()], "a_2.efi".into()));
    }
    esp.open().clear_idle(&running("2"), None).unwrap();
    // The boot of version 2 could not continue, so version 1 runs. An older version stays the fallback.
    let esp = Esp::new(&["a_1.efi", "a_2.efi"]);
    assert_eq!(stay(&esp, "2").unwrap(), "a_2.efi");
    assert_eq!(esp.names(), ["a_1.efi", "a_2.efi"]);
    assert_eq!(stay(&esp, "1").unwrap(), "a_1.efi");
    assert_eq!((esp.names(), esp.next()), (vec!["a_1.efi".into(), "a_2+0.efi".into()], "a_1.efi".into()));
}
