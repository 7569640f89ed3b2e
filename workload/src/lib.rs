//! Imports the preloaded images and starts the declared containers of the image and of host.toml.
//!
//! It has more parts: [`load_profiles`] starts the loader of AppArmor profiles, [`start_engine`] starts the engine when the network is
//! there, [`follow`] repairs what was started before the network came, and [`follow_logs`] sends the output of containers to logd.
//!
//! init runs the program `/usr/lib/berth/workload` once per boot, when the engine is ready. It is a separate process so that PID 1 does
//! not parse an engine's answers. After that, the engine's own restart policy keeps the containers running.
#![deny(missing_docs)]

#[cfg(test)]
#[path = "../../engine/tests/docker/daemon.rs"]
mod daemon;
mod error;
mod late;
mod logs;
mod network;
mod order;
mod profiles;
mod reconcile;
mod start;

pub use error::WorkloadError;
pub use profiles::{SECURITY, load_profiles};
pub use reconcile::{Report, reconcile};
pub use start::start_engine;

use berth_contract::{chain::Chain, container::Declared, fault::At, image_spec::ImageSpec, paths};
use berth_engine::{EngineClient, Limits};
use berth_file::{Flush, read_json, replace};
use late::{History, News};
use network::{NetworkWatch, now};
use std::{convert::Infallible, fs::File, path::Path, sync::Arc, thread, time::Duration};

/// The engine sends nothing while it unpacks a large image, and while it stops a container: that is ten minutes at most.
const LIMITS: Limits = Limits { body: 16 << 20, silence: Duration::from_secs(660) };

/// Wait before an engine that does not answer is asked again.
const ENGINE_AGAIN: Duration = Duration::from_secs(1);

/// Reads the declarations, brings the engine to that state, and writes the report for init. Returns the faults of required containers
/// and preloaded images, one sentence each.
///
/// # Errors
/// When the declarations cannot be read, the report cannot be written, or the image has no engine.
pub fn run() -> Result<Vec<String>, WorkloadError> {
    bring_up(false)
}

/// With `again`, containers that have exited since the first time stay so.
fn bring_up(again: bool) -> Result<Vec<String>, WorkloadError> {
    let image: ImageSpec = read_json(Path::new(paths::IMAGE_SPEC), paths::MAX_JSON)?;
    let declared: Declared = read_json(Path::new(paths::CONTAINERS), paths::MAX_JSON)?;
    // Two processes do this: the service at boot, and `follow` when the network comes.
    let lock = File::create(paths::CONTAINERS_LOCK).at("create", paths::CONTAINERS_LOCK)?;
    lock.lock().at("lock", paths::CONTAINERS_LOCK)?;
    let report = match client_of(&image) {
        Some(client) => reconcile::pass(&*client, &image.images, &declared, Path::new(paths::VAR), again),
        None if declared.containers.is_empty() && image.images.is_empty() => Report::default(),
        None => return Err(WorkloadError::NoEngine),
    };
    let status = serde_json::to_vec(&report.containers).map_err(WorkloadError::Status)?;
    replace(Path::new(paths::CONTAINERS_STATUS), &status, 0o644, Flush::Content)?;
    Ok(report.faults)
}

fn client_of(image: &ImageSpec) -> Option<Box<dyn EngineClient>> {
    let engine = image.engine.as_ref()?;
    Some(berth_engine::client(engine.kind, Path::new(engine.kind.row().socket), LIMITS))
}

/// Sends the output of all containers to logd until logd ends. The caller starts the program again, because threads may be left.
///
/// # Errors
/// When the image has no engine.
pub fn follow_logs() -> Result<(), WorkloadError> {
    let image: ImageSpec = read_json(Path::new(paths::IMAGE_SPEC), paths::MAX_JSON)?;
    let kind = image.engine.ok_or(WorkloadError::NoEngine)?.kind;
    let engine: logs::Engine = Arc::new(move |limits| berth_engine::client(kind, Path::new(kind.row().socket), limits));
    // logd has ended, or is started again.
    let _ = logs::send(&engine, logs::socket());
    Ok(())
}

/// Follows the network for as long as the host runs. When the network comes after the engine, containers end up as if it had been there
/// first. Calls `say` with one sentence for each repair.
///
/// # Errors
/// When the report of netd cannot be watched, or the image has no engine.
pub fn follow(mut say: impl FnMut(&str)) -> Result<Infallible, WorkloadError> {
    let image: ImageSpec = read_json(Path::new(paths::IMAGE_SPEC), paths::MAX_JSON)?;
    let client = client_of(&image).ok_or(WorkloadError::NoEngine)?;
    let watch = NetworkWatch::open()?;
    let mut history = History::new();
    loop {
        if let Some(news) = history.learn(&watch.status(), now()) {
            let declared: Declared = read_json(Path::new(paths::CONTAINERS), paths::MAX_JSON)?;
            let said = repair(&*client, &news, &declared, &mut say);
            said.iter().for_each(|line| say(line));
            if !said.is_empty() && !declared.containers.is_empty() {
                // The report on the declared containers follows.
                let faults = bring_up(true).unwrap_or_else(|error| vec![Chain(&error).to_string()]);
                faults.iter().for_each(|fault| say(fault));
            }
        }
        watch.wait(None)?;
    }
}

/// Repairs once the engine can be asked. An engine that is started again does not answer for a while, and says why only once.
fn repair(client: &dyn EngineClient, news: &News, declared: &Declared, mut say: impl FnMut(&str)) -> Vec<String> {
    let mut is_said = false;
    loop {
        // When an engine answers, it has tried to start its containers.
        while client.ping().is_err() {
            thread::sleep(ENGINE_AGAIN);
        }
        match late::repair(client, news, &declared.containers, late::start_of) {
            Ok(said) => return said,
            Err(error) if !is_said => say(&format!("{error}; trying again")),
            Err(_) => {}
        }
        is_said = true;
        thread::sleep(ENGINE_AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::container::Existing;
    use serde_json::json;

    #[test]
    fn a_repair_is_tried_again_until_the_engine_answers() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, shared) = daemon::daemon(dir.path());
        let body =
            json!({ "HostConfig": { "RestartPolicy": { "Name": "always" } }, "Error": "no address", "Labels": {} });
        {
            let mut daemon = shared.lock().unwrap();
            daemon.containers.insert("web".into(), (body, "exited 128".into()));
            (daemon.pings_refused, daemon.lists_refused) = (1, 2);
        }
        let news = News { without_servers: None, has_address: true };
        let mut said = Vec::new();
        let all = Declared { containers: vec![], existing: Existing::Replace };
        let repaired = repair(&*engine, &news, &all, |line: &str| said.push(line.to_owned()));
        assert_eq!(repaired, ["container web: started, because it could not be started before there was a network"]);
        assert_eq!(said.len(), 1, "the fault is said once: {said:?}");
        assert!(said[0].contains("starting up") && said[0].ends_with("; trying again"), "{said:?}");
        let daemon = shared.lock().unwrap();
        assert_eq!((daemon.pings_refused, daemon.lists_refused), (0, 0));
        assert_eq!(daemon.changes, ["POST /containers/web/start"]);
    }
}
