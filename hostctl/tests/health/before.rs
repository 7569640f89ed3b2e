//! The baseline: what worked before the update must work after it.

use super::kit::{Host, ROUTES, container, inspected, listed};
use berth_contract::{
    control::HostState,
    subject::Subject,
    update::{Baseline, Verdict},
    version::OsVersion,
};
use hostctl::{file, health::baseline};
use std::{fs, net::Ipv4Addr};

#[test]
fn a_healthy_host_is_blessed_once_and_its_baseline_removed() {
    let host = Host::new();
    host.check("disk", "exit 0", 0o755);
    let versions = ("1".parse().unwrap(), "2".parse().unwrap());
    let (servers, name) = ([Ipv4Addr::LOCALHOST.into()], Some("updates.example.org"));
    let baseline = baseline::note(&host.places, &servers, (&versions.0, &versions.1), name);
    assert_eq!(
        baseline,
        Baseline {
            from: Some(versions.0.clone()),
            to: Some(versions.1.clone()),
            default_route: true,
            resolved: Some("updates.example.org".into()),
            containers: vec!["db".into()],
        }
    );
    file::replace_json(&host.places.baseline, &baseline).unwrap();
    assert_eq!(host.judge(1), (Verdict::Good, 1, Vec::new()));
    assert!(!host.places.baseline.exists());
    // A baseline of another upgrade is neither removed nor used.
    fs::write(&host.places.routes[0], "").unwrap();
    let other = Baseline { to: Some("3".parse().unwrap()), ..baseline };
    file::replace_json(&host.places.baseline, &other).unwrap();
    assert!(host.is_well() && host.places.baseline.exists());
}

#[test]
fn a_missing_thing_is_reported_only_after_the_host_is_up() {
    let host = Host::new();
    let (two, three): (OsVersion, OsVersion) = ("2".parse().unwrap(), "3".parse().unwrap());
    let missing = |version: &OsVersion| baseline::missing(&host.places, version);
    assert_eq!(missing(&three), None, "there is no baseline");
    let noted = Baseline { to: Some(three.clone()), default_route: true, ..Baseline::default() };
    file::replace_json(&host.places.baseline, &noted).unwrap();
    assert_eq!(missing(&three), None);
    fs::write(&host.places.routes[0], "").unwrap();
    assert_eq!(missing(&three).unwrap().what, Subject::BaselineRoute);
    assert_eq!(missing(&two), None, "the baseline is for another version");
    host.change(|state| state.status.state = HostState::Booting);
    assert_eq!(missing(&three), None, "the host is still booting");
}

#[test]
fn what_worked_before_the_update_must_work_again() {
    let host = Host::new();
    let baseline = Baseline {
        from: Some("1".parse().unwrap()),
        to: Some("2".parse().unwrap()),
        default_route: true,
        resolved: Some("updates.example.org".into()),
        containers: vec!["web".into(), "old".into()],
    };
    file::replace_json(&host.places.baseline, &baseline).unwrap();
    let ill = |expected: Subject, words: &str| {
        let (what, why) = host.ill();
        assert!(what == expected && why.contains(words), "{what:?}: {why}");
    };
    let of_old = |words: &str| ill(Subject::BaselineContainer("old".to_owned()), words);
    // Of the containers that are not declared, only `job` is left.
    assert!(host.is_well_by(&baseline), "a removed container is not a failure");
    host.change(|state| drop(state.docker.insert("/containers/json?all=1".into(), (200, listed(&["web"])))));
    of_old("container old does not exist: the engine has lost all containers from before the update");
    let put = |answer: (u16, String)| {
        host.change(|state| drop(state.docker.insert("/containers/old/json".into(), answer)));
    };
    put(container(false, "always"));
    of_old("container old is exited, but it ran before the update");
    put(inspected("restarting", "always", (3, 0), "{}"));
    of_old("container old is restarting");
    put(container(false, "unless-stopped"));
    assert!(host.is_well_by(&baseline), "a stopped container is not a failure");
    let (status, body) = container(false, "unless-stopped");
    put((status, body.replace("Error\":\"", "Error\":\"no such runtime")));
    of_old("container old is exited");
    host.change(|state| state.dns = (2, 0));
    of_old("container old is exited");
    host.change(|state| state.status.network.as_mut().unwrap().dns = vec![Ipv4Addr::new(127, 0, 0, 2).into()]);
    ill(
        Subject::BaselineName("updates.example.org".to_owned()),
        "updates.example.org could be resolved before the update: name server 127.0.0.2",
    );
    host.change(|state| state.status.network.as_mut().unwrap().dns = vec![Ipv4Addr::LOCALHOST.into()]);
    fs::write(&host.places.routes[0], ROUTES.lines().next().unwrap()).unwrap();
    ill(Subject::BaselineRoute, "expected a default route");
    // A default route over IPv6 is enough.
    let zero = "0".repeat(32);
    let six =
        format!("{zero} 00 {zero} 00 fe800000000000000000000000000002 00000400 00000001 00000000 00000003     eth0\n");
    fs::write(&host.places.routes[1], six).unwrap();
    host.change(|state| {
        state.dns = (0, 1);
        state.docker.insert("/containers/old/json".into(), container(true, "always"));
    });
    assert!(host.is_well());
    fs::write(&host.places.baseline, "?").unwrap();
    assert!(host.is_well(), "a damaged baseline is no fault of the version");
    assert!(!host.places.baseline.exists());
}

#[test]
fn containers_that_ran_before_need_an_engine() {
    let host = Host::new();
    let text = fs::read_to_string(&host.places.image_spec).unwrap();
    let mut image: serde_json::Value = serde_json::from_str(&text).unwrap();
    image["engine"] = serde_json::Value::Null;
    fs::write(&host.places.image_spec, image.to_string()).unwrap();
    let baseline = Baseline { to: Some("2".parse().unwrap()), ..Baseline::default() };
    assert!(host.is_well_by(&baseline), "nothing ran before");
    let baseline = Baseline { containers: vec!["db".into()], ..baseline };
    file::replace_json(&host.places.baseline, &baseline).unwrap();
    let why = "container db ran before the update, but this version has no engine";
    assert_eq!(host.ill(), (Subject::BaselineContainer("db".to_owned()), why.to_owned()));
    let versions: (OsVersion, OsVersion) = ("1".parse().unwrap(), "2".parse().unwrap());
    assert_eq!(baseline::note(&host.places, &[], (&versions.0, &versions.1), None).containers, [""; 0]);
}
