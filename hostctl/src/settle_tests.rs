use super::*;
use berth_contract::{
    digest::{RootHash, Sha256},
    disk::Slot,
    entry::BootCounter,
    subject::Subject,
    update::{BootEnd, BootRecord, Verdict},
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
fn what_does_not_work_with_the_running_version_either_is_not_a_fault_of_the_new_one() {
    let all = |what: &Subject, why: &str| records([bad(what, why), bad(what, why), bad(what, why)]);
    let judged = |records: &Records, missing: Option<&Fault>| judge(&entry(), None, records, |_| missing.cloned());
    let (route, name) = (Subject::BaselineRoute, |name: &str| Subject::BaselineName(name.into()));
    let no_route = fault(&route, ROUTE);
    assert_eq!(judged(&all(&route, ROUTE), Some(&no_route)), Some(Cause::Place(ROUTE.into())));
    // The same part, with another error.
    let unreachable = fault(&name("a.example.org"), "unreachable");
    let silent = judged(&all(&name("a.example.org"), "timed out"), Some(&unreachable));
    assert_eq!(silent, Some(Cause::Place("unreachable".into())));
    let is_its_own = |records: &Records, missing: Option<&Fault>| {
        let cause = judged(records, missing);
        assert!(matches!(cause, Some(Cause::Version(_))), "{cause:?}");
    };
    is_its_own(&all(&route, ROUTE), None);
    is_its_own(&all(&route, ROUTE), Some(&fault(&Subject::BaselineContainer("web".into()), "is exited")));
    is_its_own(&all(&name("b.example.org"), "unreachable"), Some(&unreachable));
    is_its_own(&all(&Subject::Check("route".into()), ROUTE), Some(&no_route));
    let service = Subject::Service("x".into());
    is_its_own(&records([bad(&route, ROUTE), bad(&service, "status 1"), bad(&route, ROUTE)]), Some(&no_route));
    // A try without a record may have failed for any reason.
    let mut silent = all(&route, ROUTE);
    silent.boots.remove(1);
    is_its_own(&silent, Some(&no_route));
}

#[test]
fn a_version_that_has_failed_anew_is_noted_anew() {
    let failed = bad(&Subject::Service("x".into()), "status 1");
    let records = records([failed.clone(), failed.clone(), failed]);
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
