//! [`reconcile`] with a fake docker daemon: the requests that the daemon receives, and the report.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../engine/tests/docker/daemon.rs"]
mod daemon;

use berth_contract::{
    container::{ContainerSpec, Declared, Existing},
    container_state::ContainerState,
    control::ContainerStatus,
    engine::EngineKind,
    image_spec::PreloadedImage,
};
use berth_engine::client;
use berth_workload::reconcile;
use daemon::{ID, LIMITS, Shared, daemon};
use serde_json::json;
use std::{fs, path::Path};

fn spec(text: &str) -> ContainerSpec {
    toml::from_str(text).unwrap()
}

fn all(containers: &[ContainerSpec]) -> Declared {
    Declared { containers: containers.to_vec(), existing: Existing::Replace }
}

fn image(archive: &Path) -> PreloadedImage {
    PreloadedImage { name: "hello:latest".into(), archive: archive.display().to_string(), image_id: ID.into() }
}

fn changes(shared: &Shared) -> Vec<String> {
    std::mem::take(&mut shared.lock().unwrap().changes)
}

fn states(containers: &[ContainerStatus]) -> Vec<(&str, ContainerState)> {
    containers.iter().map(|one| (one.name.as_str(), one.state.clone())).collect()
}

#[test]
fn the_first_boot_imports_and_creates_and_the_next_boot_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (docker, shared) = daemon(dir.path());
    let archive = dir.path().join("hello.tar");
    fs::write(&archive, vec![b'x'; 300_000]).unwrap();
    let source = dir.path().join("srv/data");
    let declared = [
        spec("name = 'sidecar'\nimage = 'hello:latest'\nnetwork = 'container:web'"),
        spec(&format!("name = 'web'\nimage = 'hello'\nvolumes = ['{}:/data']", source.display())),
    ];
    let images = [image(&archive)];
    let report = reconcile(&*docker, &images, &all(&declared), dir.path());
    assert_eq!(report.faults, [""; 0]);
    assert_eq!(states(&report.containers), [("web", ContainerState::Running), ("sidecar", ContainerState::Running)]);
    assert_eq!(
        changes(&shared),
        [
            "POST /images/load?quiet=1",
            "POST /images/sha256:aaaa/tag?repo=hello&tag=latest",
            "POST /containers/create?name=web",
            "POST /containers/web/start",
            "POST /containers/create?name=sidecar",
            "POST /containers/sidecar/start",
        ]
    );
    assert!(source.is_dir());
    reconcile(&*docker, &images, &all(&declared), dir.path());
    assert_eq!(changes(&shared), ["POST /containers/web/start", "POST /containers/sidecar/start"]);
    // When host.toml cannot be read, no container is changed. The containers that the recipe declares are started.
    let partial = Declared {
        containers: vec![spec("name = 'web'\nimage = 'hello'\nmemory = '1MiB'")],
        existing: Existing::Start,
    };
    assert!(reconcile(&*docker, &[], &partial, dir.path()).faults.is_empty());
    assert_eq!(changes(&shared), ["POST /containers/web/start"]);
    // When host.toml is not found, containers of the last good one are not removed, whatever the recipe declares now.
    let last_good = Declared { containers: declared[1..].to_vec(), existing: Existing::Keep };
    assert!(reconcile(&*docker, &[], &last_good, dir.path()).faults.is_empty());
    assert_eq!(changes(&shared), ["POST /containers/web/start"]);
    // After a change of its declaration a container is replaced, and so is the container that uses its network. Volumes stay.
    let changed = [declared[0].clone(), spec("name = 'web'\nimage = 'hello'\nmemory = '64MiB'")];
    assert!(reconcile(&*docker, &images, &all(&changed), dir.path()).faults.is_empty());
    let expected = |name: &str| {
        [
            format!("POST /containers/{name}/stop"),
            format!("DELETE /containers/{name}?force=1"),
            format!("POST /containers/create?name={name}"),
            format!("POST /containers/{name}/start"),
        ]
    };
    assert_eq!(changes(&shared), [expected("web"), expected("sidecar")].concat());
    // Another image of the same name: the container is replaced. A container that is no longer declared is removed.
    shared.lock().unwrap().images.insert("hello".into(), "sha256:bbbb".into());
    assert!(reconcile(&*docker, &[], &all(&changed[1..]), dir.path()).faults.is_empty());
    assert_eq!(changes(&shared), [&expected("sidecar")[..2], &expected("web")[..]].concat());
}

#[test]
fn containers_that_cannot_run_are_reported_and_the_others_run() {
    let dir = tempfile::tempdir().unwrap();
    let (docker, shared) = daemon(dir.path());
    let broken = dir.path().join("broken.tar");
    fs::write(&broken, "broken").unwrap();
    {
        let mut daemon = shared.lock().unwrap();
        daemon.images.insert("hello".into(), ID.into());
        daemon.containers.insert("theirs".into(), (json!({}), "running".into()));
        for (name, state) in [
            ("crash", "restarting 1"),
            ("done", "exited 0"),
            ("loop", "exited 0"),
            ("taken", "refused"),
            ("spare", "exited 3"),
        ] {
            daemon.after_start.insert(name.into(), state.into());
        }
        daemon.loops.insert("again".into(), 0);
    }
    let hello = |name: &str, more: &str| spec(&format!("name = '{name}'\nimage = 'hello'\n{more}"));
    let declared = [
        hello("crash", ""),
        hello("done", "restart = 'no'"),
        hello("loop", ""),
        hello("taken", ""),
        hello("beside", "network = 'container:taken'"),
        hello("theirs", ""),
        hello("a", "network = 'container:b'"),
        hello("b", "network = 'container:a'"),
        spec("name = 'missing'\nimage = 'registry.example.org:5000/x'"),
        hello("again", ""),
        hello("spare", "required = false"),
        hello("good", ""),
    ];
    let missing = PreloadedImage { name: "m".into(), archive: "/no/such.tar".into(), image_id: "sha256:m".into() };
    let wrong = PreloadedImage { archive: broken.display().to_string(), ..missing.clone() };
    let report = reconcile(&*docker, &[missing, wrong], &all(&declared), dir.path());
    let state = |name: &str| report.containers.iter().find(|one| one.name == name).unwrap().state.clone();
    for name in ["crash", "loop", "taken", "beside", "theirs", "a", "b", "missing", "again", "spare"] {
        assert_eq!(state(name), ContainerState::Failed, "{name}");
    }
    assert_eq!((state("done"), state("good")), (ContainerState::Exited, ContainerState::Running));
    for words in [
        "image m: cannot read /no/such.tar: No such file",
        "image m: POST /images/load: status 200: no manifest",
        "container crash: exited with status 1",
        "container loop: exited with status 0",
        "container again: keeps exiting, last with status 0",
        "container taken: POST /containers/taken/start: status 500: port is already allocated",
        "container beside: needs the network of container taken, which does not run",
        "container theirs: a container of this name exists that was not created from a declaration",
        "container a: waits for its own network: container:b",
        "container missing: image \"registry.example.org:5000/x\": expected an image that is preloaded",
    ] {
        assert!(report.faults.iter().any(|fault| fault.starts_with(words)), "{words}: {:#?}", report.faults);
    }
    assert_eq!(report.faults.len(), 11, "spare is not required: {:#?}", report.faults);
    assert!(!changes(&shared).iter().any(|change| change.contains("theirs")));
}

#[test]
fn an_engine_that_does_not_listen_is_reported() {
    let docker = client(EngineKind::Docker, Path::new("/no/docker.sock"), LIMITS);
    let report = reconcile(&*docker, &[], &all(&[spec("name = 'x'\nimage = 'y'")]), Path::new("/var"));
    let words = "container x: GET /images/y/json: cannot connect to /no/docker.sock";
    assert!(report.faults.iter().any(|fault| fault.starts_with(words)), "{:?}", report.faults);
}
