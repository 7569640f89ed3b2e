//! Imports the preloaded images and starts the declared containers of the image and of host.toml.
//!
//! init runs the program `/usr/lib/berth/workload` once per boot, when the engine is ready. It is a separate process so that PID 1 does
//! not parse an engine's answers. After that, the engine's own restart policy keeps the containers running.
#![deny(missing_docs)]

mod order;
mod reconcile;

pub use reconcile::{Report, reconcile};

use berth_contract::{container::Declared, engine::EngineKind, image_spec::ImageSpec, paths};
use berth_engine::Limits;
use berth_file::{FileError, Flush, read_json, replace};
use std::{path::Path, time::Duration};

/// The engine sends nothing while it unpacks a large image, so the time limit is long.
const LIMITS: Limits = Limits { body: 16 << 20, silence: Duration::from_secs(300) };

/// Why nothing was done for any declared container.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// A file of the host cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The report on the containers cannot be written as JSON.
    #[error("cannot write the report on the containers as JSON")]
    Status(#[source] serde_json::Error),
    /// Containers or images are declared, but the image has no engine.
    #[error(
        "declared containers and images need a container engine ({}), and this image has none",
        EngineKind::names()
    )]
    NoEngine,
}

/// Reads the declarations, brings the engine to that state, and writes the report for init. Returns the faults of required containers
/// and preloaded images, one sentence each.
///
/// # Errors
/// When the declarations cannot be read, the report cannot be written, or the image has no engine.
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
