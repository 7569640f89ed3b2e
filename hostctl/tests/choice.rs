//! Which release a host selects, or why none.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

use berth_contract::{
    engine::{EngineKind, StoreFormat},
    image_spec::{ImageEngine, ImageSpec},
    release::{RecordCustom, ReleaseRecord, STABLE},
    update::Quarantined,
    version::OsVersion,
};
use hostctl::trust::{Criteria, Refusal, Release, Releases, check_engine, select};

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
        remote: None,
        time: berth_contract::time_config::TimeConfig::default(),
        config_sources: berth_contract::config_source::ConfigSource::all(),
    }
}

/// Releases, each given as `id version arch channel`.
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
        root_hash: crate::kit::repo::record("host", version, "x86_64", STABLE).root.root_hash,
        cause: "service dockerd: status 1".to_owned(),
        tries: 3,
        at: 0,
    }
}

/// The version that a host with version 2 selects, `current`, or the refusal.
fn selected(releases: &Releases, quarantine: &[Quarantined], version: Option<&str>) -> String {
    let version: Option<OsVersion> = version.map(|version| version.parse().unwrap());
    let criteria = Criteria { running: &host("2"), channel: STABLE, quarantine, version: version.as_ref() };
    match select(&criteria, releases) {
        Ok(None) => "current".to_owned(),
        Ok(Some(release)) => release.custom.version.to_string(),
        Err(refusal) => {
            assert!(!refusal.hint().is_empty());
            refusal.to_string()
        }
    }
}

#[test]
fn the_newest_matching_release_is_selected() {
    let all = releases(&[
        "host 1 x86_64 stable",
        "host 9 x86_64 stable",
        "host 10 x86_64 stable",
        "host 10~rc1 x86_64 stable",
        "host 11 x86_64 beta",
        "host 12 aarch64 stable",
        "other 13 x86_64 stable",
    ]);
    assert_eq!(selected(&all, &[], None), "10");
    assert_eq!(selected(&all, &[failed("10")], None), "10~rc1");
    assert_eq!(
        selected(&all, &[failed("10"), failed("10~rc1"), failed("9")], None),
        "version 10 has failed on this host: service dockerd: status 1"
    );
    // A failure of another image does not count.
    let other = Quarantined { id: "other".parse().unwrap(), ..failed("10") };
    assert_eq!(selected(&all, &[other], None), "10");
    assert_eq!(selected(&releases(&["host 1 x86_64 stable", "host 2 x86_64 stable"]), &[], None), "current");
    assert_eq!(selected(&releases(&["host 1 x86_64 stable"]), &[failed("1")], None), "current");
}

#[test]
fn a_requested_version_is_selected_even_if_it_is_older_or_has_failed() {
    let all = releases(&["host 1 x86_64 stable", "host 2 x86_64 stable", "host 3 x86_64 stable", "host 4 x86_64 beta"]);
    assert_eq!(selected(&all, &[], Some("1")), "1");
    assert_eq!(selected(&all, &[failed("3")], Some("3")), "3");
    assert_eq!(selected(&all, &[], Some("2")), "current");
    assert_eq!(selected(&all, &[], Some("4")), "version 4 is not in the repository, which holds 3, 2, 1");
}

#[test]
fn a_refusal_names_the_expected_and_the_found_values() {
    assert_eq!(selected(&releases(&[]), &[], None), "the repository holds no release");
    let unknown = Releases { known: vec![], unknown: vec!["host_9_x86_64.release.json".to_owned()] };
    assert_eq!(
        selected(&unknown, &[], None),
        "the repository holds no release that this hostctl understands, only host_9_x86_64.release.json"
    );
    let other = releases(&["edge 3 x86_64 stable", "db 3 x86_64 stable", "db 4 x86_64 stable"]);
    assert_eq!(selected(&other, &[], None), "this host runs host, but the repository only holds releases of db, edge");
    assert_eq!(
        selected(&other, &[], Some("3")),
        "this host runs host, but the repository only holds releases of db, edge"
    );
    assert_eq!(
        selected(&releases(&["host 3 aarch64 stable", "host 4 vax stable", "edge 3 x86_64 stable"]), &[], None),
        "this host's architecture is x86_64, but the repository only holds releases for aarch64, vax"
    );
    assert_eq!(
        selected(&releases(&["host 3 x86_64 beta"]), &[], None),
        "this host is on channel stable, but the repository only holds releases of channel beta"
    );
}

#[test]
fn a_release_with_an_unknown_engine_is_readable_and_refused_by_the_name_of_its_engine() {
    let mut json = serde_json::to_value(crate::kit::repo::record("host", "3", "x86_64", STABLE)).unwrap();
    json["engine"]["kind"] = "steam".into();
    let record: ReleaseRecord = serde_json::from_value(json).unwrap();
    let bare = ImageSpec { engine: None, ..host("2") };
    let store = record.engine.as_ref().map(|engine| &engine.store);
    for (running, allowed) in [(&host("2"), None), (&host("2"), store), (&bare, None)] {
        let refusal = check_engine(running, &record, allowed).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "version 3 has the container engine steam, which this hostctl does not know: it knows docker"
        );
        assert_eq!(refusal.hint(), "upgrade to an intermediate release first, whose hostctl knows steam");
    }
}

#[test]
fn a_change_of_the_store_format_needs_permission() {
    let mut record = crate::kit::repo::record("host", "3", "x86_64", STABLE);
    assert_eq!(check_engine(&host("2"), &record, None), Ok(()));
    record.engine.as_mut().unwrap().store = StoreFormat::from("docker-snapshotter");
    let refusal = check_engine(&host("2"), &record, None).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "version 3 stores the engine's data as docker-snapshotter, the running version as docker-graphdriver: \
         images and containers in /var would be unusable"
    );
    assert!(refusal.hint().contains("--allow-store-change docker-snapshotter"));
    let allowed = |format: &str| check_engine(&host("2"), &record, Some(&StoreFormat::from(format)));
    assert_eq!(allowed("docker-snapshotter"), Ok(()));
    assert!(matches!(allowed("other-2"), Err(Refusal::StoreChange { .. })));
    record.engine = None;
    assert!(check_engine(&host("2"), &record, None).is_err());
    assert_eq!(check_engine(&host("2"), &record, Some(&StoreFormat::None)), Ok(()));
    let bare = ImageSpec { engine: None, ..host("2") };
    assert_eq!(check_engine(&bare, &crate::kit::repo::record("host", "3", "x86_64", STABLE), None), Ok(()));
}
