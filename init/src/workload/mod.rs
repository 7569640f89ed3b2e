//! Preloaded images and declared containers: brings an engine to what the image and the machine's configuration say.
//!
//! A program of its own (`/usr/lib/berth/workload`), run once per boot when the engine is ready: what an engine answers is parsed
//! here, not in PID 1. From then on the engine's own restart policy keeps containers running.

pub mod docker;
pub mod engine;
pub mod http;
pub mod order;
pub mod reconcile;

pub use engine::{Engine, EngineError};
pub use reconcile::{Report, reconcile};

use crate::{config::Declared, fault::Failure};
use berth_contract::{engine::EngineKind, image_spec::ImageSpec, paths};
use berth_file::{Flush, read_json, replace};
use docker::Docker;
use std::path::Path;

/// Does all of it. Returns what is wrong with required containers and preloaded images, one sentence each.
///
/// # Errors
/// When what is declared cannot be read, or what has been done cannot be reported.
pub fn run() -> Result<Vec<String>, Failure> {
    let image: ImageSpec = read_json(paths::IMAGE_SPEC.as_ref(), paths::MAX_JSON)?;
    let declared: Declared = read_json(paths::CONTAINERS.as_ref(), paths::MAX_JSON)?;
    let report = match image.engine.as_ref().map(|engine| engine.kind) {
        Some(EngineKind::Docker) => {
            reconcile(&Docker::new(Path::new(paths::DOCKER_SOCKET)), &image.images, &declared, Path::new(paths::VAR))
        }
        found => {
            if declared.containers.is_empty() && image.images.is_empty() {
                Report::default()
            } else {
                let found = found.map_or("none".to_owned(), |kind| kind.to_string());
                return Err(format!("declared containers and images need the engine docker, found {found}").into());
            }
        }
    };
    let status = serde_json::to_vec(&report.containers)?;
    replace(Path::new(paths::CONTAINERS_STATUS), &status, 0o644, Flush::Content)?;
    Ok(report.faults)
}
