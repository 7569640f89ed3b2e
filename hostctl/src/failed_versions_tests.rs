use super::*;
use berth_contract::{
    digest::{RootHash, Sha256},
    disk::Slot,
    entry::BootCounter,
    subject::Subject,
    update::{BootEnd, BootRecord, Verdict},
};

const ROUTE: &str = "expected a default route as before the update, found none";

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
        end: Some(BootEnd::Reboot),
        tail: Vec::new(),
    }
}

fn bad(what: &Subject, why: &str) -> Verdict {
    Verdict::Bad { what: what.clone(), why: why.into() }
}

fn fault(what: &Subject, why: &str) -> Fault {
    Fault { what: what.clone(), why: why.into(), is_final: false }
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
    let all = |what: &Subject, why: &str| records([bad(what, why), bad(what, why), bad(what, why)]);
    let cause_of =
        |records: &Records, missing: Option<&Fault>| failure_cause(&entry(), None, records, |_| missing.cloned());
    let (route, name) = (Subject::BaselineRoute, |name: &str| Subject::BaselineName(name.into()));
    let no_route = fault(&route, ROUTE);
    assert_eq!(cause_of(&all(&route, ROUTE), Some(&no_route)), Some(FailureCause::Environment(ROUTE.into())));
    // The same part, with another error.
    let unreachable = fault(&name("a.example.org"), "unreachable");
    let silent = cause_of(&all(&name("a.example.org"), "timed out"), Some(&unreachable));
    assert_eq!(silent, Some(FailureCause::Environment("unreachable".into())));
    let is_own_fault = |records: &Records, missing: Option<&Fault>| {
        let cause = cause_of(records, missing);
        assert!(matches!(cause, Some(FailureCause::Version(_))), "{cause:?}");
    };
    is_own_fault(&all(&route, ROUTE), None);
    is_own_fault(&all(&route, ROUTE), Some(&fault(&Subject::BaselineContainer("web".into()), "is exited")));
    is_own_fault(&all(&name("b.example.org"), "unreachable"), Some(&unreachable));
    is_own_fault(&all(&Subject::Check("route".into()), ROUTE), Some(&no_route));
    let service = Subject::Service("x".into());
    is_own_fault(&records([bad(&route, ROUTE), bad(&service, "status 1"), bad(&route, ROUTE)]), Some(&no_route));
    // A try without a record may have failed for any reason.
    let mut silent = all(&route, ROUTE);
    silent.boots.remove(1);
    is_own_fault(&silent, Some(&no_route));
}

#[test]
fn a_version_that_failed_again_is_noted_again() {
    let failed = bad(&Subject::Service("x".into()), "status 1");
    let records = records([failed.clone(), failed.clone(), failed]);
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
