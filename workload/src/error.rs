//! Why the program cannot do its work.

use berth_contract::{engine::EngineKind, fault::PathError};
use berth_file::FileError;

/// Why nothing was done for any declared container.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// A file of the host cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of the host cannot be opened or watched.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The first word of the command line is unknown.
    #[error("expected no argument, load-profiles, start-engine, follow-logs or follow-network, found {0:?}")]
    Verb(String),
    /// The command line names no program.
    #[error("{0}: expected a program and its arguments")]
    NoProgram(&'static str),
    /// The program cannot be executed.
    #[error("cannot execute {program}")]
    Start {
        /// The program.
        program: String,
        /// The system's error.
        source: std::io::Error,
    },
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
