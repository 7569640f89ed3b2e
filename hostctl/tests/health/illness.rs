//! Every kind of failure and its name, including failures of checks.

use super::kit::{Host, State, container, service};
use berth_contract::{
    control::{HostState, Problem, ServiceState},
    subject::Subject,
};
use std::fs;

#[test]
fn a_fault_is_one_line_of_limited_length() {
    let host = Host::new();
    let long = format!("first\nsecond {}", "\u{e4}".repeat(5000));
    host.change(|state| state.services.push(service("x", ServiceState::Backoff, Some(&long))));
    let (_, why) = host.ill();
    assert!(why.starts_with("first second \u{e4}") && why.len() <= 500, "{why}");
}

/// Makes a host unhealthy.
type Change = &'static dyn Fn(&mut State);

#[test]
fn every_failure_has_its_name() {
    let named = |make: fn(String) -> Subject, name: &str| make(name.to_owned());
    let changes: [(Change, Subject, &str); 8] = [
        (&|state| state.status.var.persistent = false, named(Subject::Phase, "var"), "/var is in memory"),
        (&|state| state.status.state = HostState::Stopping, Subject::Init, "the host is going down"),
        (
            &|state| {
                let error = "services/x.toml: unknown field".into();
                state.status.problems.push(Problem::ServiceFile { error });
            },
            Subject::Init,
            "services/x.toml: unknown field",
        ),
        (
            &|state| state.services.push(service("containerd", ServiceState::Backoff, Some("status 1"))),
            named(Subject::Service, "containerd"),
            "status 1",
        ),
        (
            &|state| state.services.push(service("netd", ServiceState::Starting, None)),
            named(Subject::Service, "netd"),
            "not ready yet",
        ),
        (
            &|state| drop(state.docker.insert("/_ping".into(), (500, "no".into()))),
            named(Subject::Engine, "docker"),
            "GET /_ping: status 500: no",
        ),
        (
            &|state| drop(state.docker.insert("/containers/web/json".into(), container(false, "always"))),
            named(Subject::Container, "web"),
            "is exited, with status 7",
        ),
        (
            &|state| drop(state.docker.remove("/containers/web/json")),
            named(Subject::Container, "web"),
            "does not exist any more",
        ),
    ];
    for (change, what, why) in changes {
        let host = Host::new();
        assert!(host.is_well());
        host.change(change);
        assert_eq!(host.ill(), (what, why.to_owned()));
    }
    let host = Host::new();
    fs::remove_file(host.places.engine.as_ref().unwrap()).unwrap();
    assert_eq!(host.ill().0, named(Subject::Engine, "docker"));
    fs::remove_file(&host.places.control).unwrap();
    assert_eq!(host.ill().0, Subject::Init);
    // A configuration that no version could read is not a fault of this version.
    let host = Host::new();
    host.change(|state| state.status.config.error = Some("line 1: unknown field".into()));
    assert!(host.is_well());
    fs::write(&host.places.last_good_config, "").unwrap();
    assert_eq!(host.ill(), (Subject::HostConfig, "line 1: unknown field".to_owned()));
    host.change(|state| state.status.config.source = Some("last good".into()));
    assert!(host.is_well());
    // A service that is not required may be down.
    let host = Host::new();
    host.change(|state| {
        let mut other = service("extra", ServiceState::Failed, None);
        other.required = false;
        state.services.push(other);
    });
    assert!(host.is_well());
}

#[test]
fn checks_of_the_image_and_of_the_host_must_succeed() {
    let host = Host::new();
    host.check("10-notes.txt", "exit 1", 0o644);
    host.check("20-first", "echo first >> $0.ran", 0o755);
    host.check("30-second", "test -e ${0%30-second}20-first.ran || exit 9; echo disk is full; exit 3", 0o755);
    assert_eq!(host.ill(), (Subject::Check("30-second".to_owned()), "status 3: disk is full".to_owned()));
    host.check("30-second", "exit 0", 0o755);
    assert!(host.is_well());
    let config = r#"{"health":[{"name":"raid","exec":["/bin/sh","-c","echo degraded; exit 1"]}]}"#;
    fs::write(&host.places.host_config, config).unwrap();
    assert_eq!(host.ill(), (Subject::Check("raid".to_owned()), "status 1: degraded".to_owned()));
    fs::write(&host.places.host_config, "{").unwrap();
    assert_eq!(host.ill().0, Subject::Checks);
}
