use super::*;
use berth_contract::{
    digest::{RootHash, Sha256},
    disk::Slot,
    entry::BootCounter,
    update::{BootRecord, Verdict},
};

const ROUTE: &str = "there is no default route, and there was one before the update";

fn boot(version: &str, started: u64, verdict: Verdict) -> BootRecord {
    BootRecord {
        boot_id: format!("boot-{started}"),
        id: "a".parse().unwrap(),
        version: version.parse().unwrap(),
        root_hash: RootHash(Sha256([7; 32])),
        slot: Slot::B,
        counter: None,
        started,
        verdict,
        end: Some("reboot".into()),
        tail: Vec::new(),
    }
}

fn bad(what: &str, why: &str) -> Verdict {
    Verdict::Bad { what: what.into(), why: why.into() }
}

/// Version 2 has failed like this, three times from the time 200 on.
fn records(verdicts: [Verdict; 3]) -> Records {
    let failed = (200..).zip(verdicts).map(|(at, verdict)| boot("2", at, verdict));
    Records { boots: [boot("1", 100, Verdict::Good)].into_iter().chain(failed).collect(), ..Records::default() }
}

fn entry() -> BootEntry {
    let counter = Some(BootCounter { left: 0, done: 3 });
    BootEntry { id: "a".parse().unwrap(), version: "2".parse().unwrap(), counter }
}

fn known(at: u64) -> Quarantined {
    let (id, version) = (entry().id, entry().version);
    Quarantined { id, version, root_hash: RootHash(Sha256([7; 32])), cause: "old".into(), tries: 3, at }
}

#[test]
fn what_the_running_version_has_not_got_either_is_no_fault_of_the_new_one() {
    let missing = |why: &'static str| move |_: &BootEntry| Some(why.to_owned());
    let all = |what: &str, why: &str| records([bad(what, why), bad(what, why), bad(what, why)]);
    let route = all("baseline", ROUTE);
    assert_eq!(judge(&entry(), None, &route, missing(ROUTE)), Some(Cause::Place(ROUTE.into())));
    // Told in other words.
    let name = |error: &str| format!("updates.example.org was resolved before the update: {error}");
    let silent = judge(&entry(), None, &all("baseline", &name("timed out")), |_| Some(name("unreachable")));
    assert_eq!(silent, Some(Cause::Place(name("unreachable"))));
    let is_its_own = |records: &Records, missing: Option<&str>| {
        let cause = judge(&entry(), None, records, |_| missing.map(str::to_owned));
        assert!(matches!(cause, Some(Cause::Version(_))), "{cause:?}");
    };
    is_its_own(&route, None);
    is_its_own(&route, Some("container web is exited, and it ran before the update"));
    is_its_own(&all("check route", ROUTE), Some(ROUTE));
    is_its_own(&records([bad("baseline", ROUTE), bad("service x", "status 1"), bad("baseline", ROUTE)]), Some(ROUTE));
    // A try that left no word may have been anything.
    let mut silent = all("baseline", ROUTE);
    silent.boots.remove(1);
    is_its_own(&silent, Some(ROUTE));
}

#[test]
fn a_version_that_has_failed_anew_is_noted_anew() {
    let records = records([bad("service x", "status 1"), bad("service x", "status 1"), bad("service x", "status 1")]);
    let judge = |known: Option<Quarantined>, records: &Records| judge(&entry(), known.as_ref(), records, |_| None);
    let cause = Some(Cause::Version("3 boots, each: service x: status 1".into()));
    assert_eq!(judge(None, &records), cause);
    assert_eq!(judge(Some(known(150)), &records), cause);
    assert_eq!(judge(Some(known(300)), &records), None);
    // Another has run since: there is nothing new.
    let mut later = records;
    later.boots.push(boot("1", 250, Verdict::Good));
    assert_eq!(judge(Some(known(150)), &later), None);
}
