//! Preloaded images and declared containers: brings an engine to what the image and the machine's configuration say.
//!
//! A program of its own (`/usr/lib/berth/workload`), run once per boot when the engine is ready: what an engine answers is parsed
//! here, not in PID 1. From then on the engine's own restart policy keeps containers running.
#![deny(missing_docs)]

mod order;
mod reconcile;

pub use reconcile::{Report, reconcile};

use berth_contract::{container::Declared, engine::EngineKind, image_spec::ImageSpec, paths};
use berth_engine::Limits;
use berth_file::{FileError, Flush, read_json, replace};
use std::{path::Path, time::Duration};

/// The engine may be silent for so long: it is when it unpacks a large image.
const LIMITS: Limits = Limits { body: 16 << 20, silence: Duration::from_secs(300) };

/// Why the declared containers were not looked after at all.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// A file of the host.
    #[error(transparent)]
    File(#[from] FileError),
    /// The report on the containers cannot be written as JSON.
    #[error("cannot write the report on the containers as JSON")]
    Status(#[source] serde_json::Error),
    /// The image has no engine for what is declared.
    #[error(
        "declared containers and images need a container engine ({}), and this image has none",
        EngineKind::names()
    )]
    NoEngine,
}

/// Does all of it. Returns what is wrong with required containers and preloaded images, one sentence each.
///
/// # Errors
/// When what is declared cannot be read, or what has been done cannot be reported.
pub fn run() -> Result<Vec<String>, WorkloadError> {
    let image: ImageSpec = read_json(Path::new(paths::IMAGE_SPEC), paths::MAX_JSON)?;
    let declared: Declared = read_json(Path::new(paths::CONTAINERS), paths::MAX_JSON)?;
    let report = match &image.engine {
        Some(engine) => {
            let client = berth_engine::client(engine.kind, Path::new(engine.kind.row().socket), LIMITS);
            reconcile(&*client, &image.images, &declared, Path::new(paths::VAR))
        }
        None if declared.containers.is_empty() && image.images.is_empty() => Report::default(),
        None => return Err(WorkloadError::NoEngine),
    };
    let status = serde_json::to_vec(&report.containers).map_err(WorkloadError::Status)?;
    replace(Path::new(paths::CONTAINERS_STATUS), &status, 0o644, Flush::Content)?;
    Ok(report.faults)
}
