//! The docker client with a fake dockerd that runs in a thread.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod daemon;

use berth_contract::{
    container::{ContainerSpec, LABEL},
    container_state::ContainerState,
};
use berth_engine::{EngineError, HttpError, Listed, Listing, RestartPolicy};
use daemon::{ID, daemon};
use serde_json::json;
use std::fs;

fn spec(name: &str) -> ContainerSpec {
    toml::from_str(&format!("name = '{name}'\nimage = 'hello'\nrestart = 'always'")).unwrap()
}

#[test]
fn an_image_is_loaded_tagged_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let (docker, shared) = daemon(dir.path());
    docker.ping().unwrap();
    assert_eq!(docker.image_id("hello:1").unwrap(), None);
    let archive = dir.path().join("hello.tar");
    fs::write(&archive, vec![b'x'; 300_000]).unwrap();
    docker.load(&archive).unwrap();
    docker.tag(ID, "registry.example.org:5000/hello").unwrap();
    assert_eq!(docker.image_id("registry.example.org:5000/hello:latest").unwrap().as_deref(), Some(ID));
    assert_eq!(
        shared.lock().unwrap().changes,
        ["POST /images/load?quiet=1", "POST /images/sha256:aaaa/tag?repo=registry.example.org:5000/hello&tag=latest"]
    );
    fs::write(&archive, "broken").unwrap();
    let error = docker.load(&archive).unwrap_err();
    assert_eq!(error.to_string(), "POST /images/load: status 200: no manifest");
    fs::remove_file(&archive).unwrap();
    assert!(matches!(docker.load(&archive).unwrap_err(), EngineError::Archive { .. }));
}

#[test]
fn a_container_is_created_listed_inspected_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (docker, shared) = daemon(dir.path());
    shared.lock().unwrap().containers.extend([
        ("theirs".to_owned(), (json!({}), "running".to_owned())),
        ("old".to_owned(), (json!({}), "exited 3".to_owned())),
    ]);
    docker.create(&spec("web"), "digest").unwrap();
    docker.start("web").unwrap();
    let names = |listing| {
        let listed: Vec<Listed> = docker.list(listing).unwrap();
        listed.into_iter().map(|one| (one.name, one.label)).collect::<Vec<_>>()
    };
    let (web, other) = (("web".to_owned(), Some("digest".to_owned())), |name: &str| (name.to_owned(), None));
    assert_eq!(names(Listing::All), [other("old"), other("theirs"), web.clone()]);
    assert_eq!(names(Listing::Running), [other("theirs"), web.clone()]);
    assert_eq!(names(Listing::Declared), [web]);
    let found = docker.inspect("web").unwrap().unwrap();
    assert!(found.runs() && found.is_declared() && found.is_kept_up() && found.policy == RestartPolicy::Always);
    let old = docker.inspect("old").unwrap().unwrap();
    assert_eq!((old.state, old.exit_code, old.label), (ContainerState::Exited, 3, None));
    docker.remove("web").unwrap();
    assert_eq!(docker.inspect("web").unwrap(), None);
    assert_eq!(docker.list(Listing::Declared).unwrap(), []);
}

/// States, policies and errors as docker reports them.
#[test]
fn states_and_policies_of_docker_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let (docker, shared) = daemon(dir.path());
    for (state, policy, error, (runs, kept_up, on_purpose)) in [
        ("running", "always", "", (true, true, false)),
        ("running", "on-failure", "", (true, false, false)),
        ("running", "no", "", (true, false, false)),
        ("restarting", "always", "", (false, true, false)),
        ("exited", "always", "", (false, true, false)),
        ("exited", "unless-stopped", "", (false, true, true)),
        ("exited", "unless-stopped", "no such runtime", (false, true, false)),
        ("paused", "unless-stopped", "", (false, true, false)),
    ] {
        let body =
            json!({ "Labels": { LABEL: 7 }, "HostConfig": { "RestartPolicy": { "Name": policy } }, "Error": error });
        shared.lock().unwrap().containers.insert("x".to_owned(), (body, state.to_owned()));
        let found = docker.inspect("x").unwrap().unwrap();
        assert_eq!(
            (found.runs(), found.is_kept_up(), found.is_stopped_on_purpose()),
            (runs, kept_up, on_purpose),
            "{state}"
        );
        assert!(!found.is_declared(), "a label that is not text does not count");
    }
}

#[test]
fn an_answer_that_exceeds_the_limit_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (docker, shared) = daemon(dir.path());
    let many = (0..5000).map(|number| (format!("container-{number}"), (json!({}), "exited".to_owned())));
    shared.lock().unwrap().containers.extend(many);
    let EngineError::Http { asked, source } = docker.list(Listing::All).unwrap_err() else { panic!("another error") };
    assert_eq!(asked, "GET /containers/json");
    assert!(matches!(source, HttpError::TooLong { limit: 100_000 }), "{source}");
}
