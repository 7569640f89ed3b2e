//! Which release a host takes, and why none.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

use berth_contract::{
    engine::{EngineKind, StoreFormat},
    image_spec::{ImageEngine, ImageSpec},
    release::{RecordCustom, STABLE},
    update::Quarantined,
    version::OsVersion,
};
use hostctl::trust::{Choice, Refusal, Release, Releases, Wish, check_store, choose};

#[path = "kit/mod.rs"]
mod kit;

fn host(version: &str) -> ImageSpec {
    ImageSpec {
        id: "host".parse().unwrap(),
        version: version.parse().unwrap(),
        arch: "x86_64".parse().unwrap(),
        kernel: "6.12.1".to_owned(),
        engine: Some(ImageEngine { kind: EngineKind::Docker, version: "26.1.5-1".to_owned() }),
        modules: vec![],
        images: vec![],
        containers: vec![],
        packages: Default::default(),
        update: Default::default(),
        health: Default::default(),
    }
}

/// Releases as `id version arch channel`.
fn releases(lines: &[&str]) -> Releases {
    let known = lines.iter().map(|line| {
        let [id, version, arch, channel] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let custom = RecordCustom {
            id: id.parse().unwrap(),
            version: version.parse().unwrap(),
            arch: arch.parse().unwrap(),
            channel: channel.to_owned(),
        };
        Release { target: (*line).to_owned(), custom }
    });
    Releases { known: known.collect(), unknown: vec![] }
}

fn failed(version: &str) -> Quarantined {
    Quarantined {
        id: "host".parse().unwrap(),
        version: version.parse().unwrap(),
        root_hash: kit::repo::record("host", version, "x86_64", STABLE).root.root_hash,
        cause: "service dockerd: status 1".to_owned(),
        tries: 3,
        at: 0,
    }
}

/// The version that a host of version 2 takes, `current`, or the refusal with its hint.
fn choice(releases: &Releases, quarantine: &[Quarantined], named: Option<&str>) -> String {
    let named: Option<OsVersion> = named.map(|version| version.parse().unwrap());
    let wish = Wish { running: &host("2"), channel: STABLE, quarantine, named: named.as_ref() };
    match choose(&wish, releases) {
        Choice::Current => "current".to_owned(),
        Choice::Newer(release) => release.custom.version.to_string(),
        Choice::Refused(refusal) => {
            assert!(!refusal.hint().is_empty());
            refusal.to_string()
        }
    }
}

#[test]
fn the_newest_that_fits_is_taken() {
    let all = releases(&[
        "host 1 x86_64 stable",
        "host 9 x86_64 stable",
        "host 10 x86_64 stable",
        "host 10~rc1 x86_64 stable",
        "host 11 x86_64 beta",
        "host 12 aarch64 stable",
        "other 13 x86_64 stable",
    ]);
    assert_eq!(choice(&all, &[], None), "10");
    assert_eq!(choice(&all, &[failed("10")], None), "10~rc1");
    assert_eq!(
        choice(&all, &[failed("10"), failed("10~rc1"), failed("9")], None),
        "version 10 has failed on this host: service dockerd: status 1"
    );
    // Another image's failure is none of ours.
    let other = Quarantined { id: "other".parse().unwrap(), ..failed("10") };
    assert_eq!(choice(&all, &[other], None), "10");
    assert_eq!(choice(&releases(&["host 1 x86_64 stable", "host 2 x86_64 stable"]), &[], None), "current");
    assert_eq!(choice(&releases(&["host 1 x86_64 stable"]), &[failed("1")], None), "current");
}

#[test]
fn a_version_asked_for_by_name_is_taken_whatever_became_of_it() {
    let all = releases(&["host 1 x86_64 stable", "host 2 x86_64 stable", "host 3 x86_64 stable", "host 4 x86_64 beta"]);
    assert_eq!(choice(&all, &[], Some("1")), "1");
    assert_eq!(choice(&all, &[failed("3")], Some("3")), "3");
    assert_eq!(choice(&all, &[], Some("2")), "current");
    assert_eq!(choice(&all, &[], Some("4")), "version 4 is not in the repository, which holds 3, 2, 1");
}

#[test]
fn refusals_name_both_sides() {
    assert_eq!(choice(&releases(&[]), &[], None), "the repository holds no release");
    let unknown = Releases { known: vec![], unknown: vec!["host_9_x86_64.release.json".to_owned()] };
    assert_eq!(
        choice(&unknown, &[], None),
        "the repository holds no release that can be understood, but host_9_x86_64.release.json"
    );
    let other = releases(&["edge 3 x86_64 stable", "db 3 x86_64 stable", "db 4 x86_64 stable"]);
    assert_eq!(choice(&other, &[], None), "this host runs host, and the repository only holds releases of db, edge");
    assert_eq!(
        choice(&other, &[], Some("3")),
        "this host runs host, and the repository only holds releases of db, edge"
    );
    assert_eq!(
        choice(&releases(&["host 3 aarch64 stable", "host 4 vax stable", "edge 3 x86_64 stable"]), &[], None),
        "this host's architecture is x86_64, and the repository only holds releases for aarch64, vax"
    );
    assert_eq!(
        choice(&releases(&["host 3 x86_64 beta"]), &[], None),
        "this host is on channel stable, and the repository only holds releases of channel beta"
    );
}

#[test]
fn the_engines_data_are_not_left_behind_unasked() {
    let mut record = kit::repo::record("host", "3", "x86_64", STABLE);
    assert_eq!(check_store(&host("2"), &record, None), Ok(()));
    record.engine.as_mut().unwrap().store = StoreFormat::from("docker-snapshotter");
    let refusal = check_store(&host("2"), &record, None).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "version 3 keeps the engine's data as docker-snapshotter, the running version as docker-graphdriver: \
         images and containers in /var would be out of reach"
    );
    assert!(refusal.hint().contains("--allow-store-change docker-snapshotter"));
    let allowed = |format: &str| check_store(&host("2"), &record, Some(&StoreFormat::from(format)));
    assert_eq!(allowed("docker-snapshotter"), Ok(()));
    assert!(matches!(allowed("other-2"), Err(Refusal::StoreChange { .. })));
    record.engine = None;
    assert!(check_store(&host("2"), &record, None).is_err());
    assert_eq!(check_store(&host("2"), &record, Some(&StoreFormat::None)), Ok(()));
    let bare = ImageSpec { engine: None, ..host("2") };
    assert_eq!(check_store(&bare, &kit::repo::record("host", "3", "x86_64", STABLE), None), Ok(()));
}
