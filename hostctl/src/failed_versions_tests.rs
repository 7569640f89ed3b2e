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

/// Boot records in which version 2 has failed three times, at 200, 201 and 202.
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
fn a_check_that_fails_with_the_running_version_too_is_not_the_fault_of_the_new_version() {
    let missing = |why: &'static str| move |_: &BootEntry| Some(why.to_owned());
    let all = |what: &str, why: &str| records([bad(what, why), bad(what, why), bad(what, why)]);
    let route = all("baseline", ROUTE);
    assert_eq!(failure_cause(&entry(), None, &route, missing(ROUTE)), Some(FailureCause::Environment(ROUTE.into())));
    // The same failure with another message.
    let name = |error: &str| format!("updates.example.org was resolved before the update: {error}");
    let silent = failure_cause(&entry(), None, &all("baseline", &name("timed out")), |_| Some(name("unreachable")));
    assert_eq!(silent, Some(FailureCause::Environment(name("unreachable"))));
    let is_own_fault = |records: &Records, missing: Option<&str>| {
        let cause = failure_cause(&entry(), None, records, |_| missing.map(str::to_owned));
        assert!(matches!(cause, Some(FailureCause::Version(_))), "{cause:?}");
    };
    is_own_fault(&route, None);
    is_own_fault(&route, Some("container web is exited, and it ran before the update"));
    is_own_fault(&all("check route", ROUTE), Some(ROUTE));
    is_own_fault(&records([bad("baseline", ROUTE), bad("service x", "status 1"), bad("baseline", ROUTE)]), Some(ROUTE));
    // A try without a record may have failed for any reason.
    let mut silent = all("baseline", ROUTE);
    silent.boots.remove(1);
    is_own_fault(&silent, Some(ROUTE));
}

#[test]
fn a_version_that_failed_again_is_noted_again() {
    let records = records([bad("service x", "status 1"), bad("service x", "status 1"), bad("service x", "status 1")]);
    let failure_cause =
        |known: Option<Quarantined>, records: &Records| failure_cause(&entry(), known.as_ref(), records, |_| None);
    let cause = Some(FailureCause::Version("3 boots, each: service x: status 1".into()));
    assert_eq!(failure_cause(None, &records), cause);
    assert_eq!(failure_cause(Some(known(150)), &records), cause);
    assert_eq!(failure_cause(Some(known(300)), &records), None);
    // Another version has run since, so there is no new failure.
    let mut later = records;
    later.boots.push(boot("1", 250, Verdict::Good));
    assert_eq!(failure_cause(Some(known(150)), &later), None);
}
