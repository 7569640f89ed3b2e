use super::*;
use crate::daemon;
use serde_json::json;

fn declared(specs: &[&str]) -> Declared {
    let spec = |text: &&str| toml::from_str(&format!("image = 'hello'\n{text}")).unwrap();
    Declared { containers: specs.iter().map(spec).collect(), existing: Existing::Replace }
}

#[test]
fn the_second_pass_does_not_start_what_has_finished_or_was_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (docker, shared) = daemon::daemon(dir.path());
    shared.lock().unwrap().images.insert("hello".into(), daemon::ID.into());
    let all = declared(&[
        "name = 'job'\nrestart = 'no'",
        "name = 'stopped'",
        "name = 'no-port'",
        "name = 'web'",
        "name = 'x'",
    ]);
    assert_eq!(reconcile(&*docker, &[], &all, dir.path()).faults, [""; 0]);
    {
        let mut daemon = shared.lock().unwrap();
        for (name, state, error) in [
            ("job", "exited 0", ""),
            ("stopped", "exited 137", ""),
            ("no-port", "exited 128", "cannot assign requested address"),
            ("x", "created", ""),
        ] {
            let container = daemon.containers.get_mut(name).unwrap();
            container.1 = state.into();
            container.0["Error"] = json!(error);
        }
        daemon.changes.clear();
    }
    let report = pass(&*docker, &[], &all, dir.path(), true);
    let started = ["no-port", "web", "x"].map(|name| format!("POST /containers/{name}/start"));
    assert_eq!(std::mem::take(&mut shared.lock().unwrap().changes), started);
    assert_eq!(report.faults, ["container stopped: exited with status 137"]);
    // At a boot, all are started.
    reconcile(&*docker, &[], &all, dir.path());
    assert_eq!(shared.lock().unwrap().changes.len(), 5);
}

#[test]
fn a_container_stays_if_the_directory_of_its_new_volume_cannot_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let (docker, shared) = daemon::daemon(dir.path());
    shared.lock().unwrap().images.insert("hello".into(), daemon::ID.into());
    reconcile(&*docker, &[], &declared(&["name = 'web'"]), dir.path());
    shared.lock().unwrap().changes.clear();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let changed = declared(&[&format!("name = 'web'\nvolumes = ['{}/data:/data']", file.display())]);
    let report = reconcile(&*docker, &[], &changed, dir.path());
    let words = format!("container web: cannot create {}/data: ", file.display());
    assert!(report.faults[0].starts_with(&words), "{:?}", report.faults);
    assert_eq!(shared.lock().unwrap().changes, [""; 0], "the old container is still there");
}

/// A host whose workload runs without privileges: the engine makes the directory.
#[test]
fn a_directory_that_this_program_may_not_make_is_left_to_the_engine() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let closed = dir.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let volume = closed.join("data");
    let all = declared(&[&format!("name = 'web'\nvolumes = ['{}:/data']", volume.display())]);
    let make = || {
        // The superuser may write into every folder. This changes the thread alone.
        if rustix::process::geteuid().is_root() {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
        }
        assert_eq!(fs::create_dir_all(&volume).unwrap_err().kind(), ErrorKind::PermissionDenied);
        make_directories(&all.containers[0], dir.path())
    };
    thread::scope(|scope| scope.spawn(make).join().unwrap()).unwrap();
    assert!(!volume.exists());
}
