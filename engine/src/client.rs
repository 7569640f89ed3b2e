//! The requests to a container engine, the same for every engine.

use super::{
    container::{Container, Listed, Listing},
    http::HttpError,
    log::{ContainerLine, LogRequest},
};
use berth_contract::container::ContainerSpec;
use std::{
    fmt::Debug,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// A client of one engine. Every call fails with [`EngineError`] when the engine does not answer, refuses, or sends an unexpected
/// answer.
pub trait EngineClient: Debug {
    /// Checks that the engine answers.
    ///
    /// # Errors
    /// See the trait.
    fn ping(&self) -> Result<(), EngineError>;
    /// The id of the image with this name or id; `None` if the engine has no such image.
    ///
    /// # Errors
    /// See the trait.
    fn image_id(&self, image: &str) -> Result<Option<String>, EngineError>;
    /// Imports an image from an archive.
    ///
    /// # Errors
    /// See the trait.
    fn load(&self, archive: &Path) -> Result<(), EngineError>;
    /// Gives an image a name.
    ///
    /// # Errors
    /// See the trait.
    fn tag(&self, image_id: &str, name: &str) -> Result<(), EngineError>;
    /// Lists containers. A container without a name is left out.
    ///
    /// # Errors
    /// See the trait.
    fn list(&self, listing: Listing) -> Result<Vec<Listed>, EngineError>;
    /// The container of this name, declared or not; `None` if it does not exist.
    ///
    /// # Errors
    /// See the trait.
    fn inspect(&self, name: &str) -> Result<Option<Container>, EngineError>;
    /// Creates a container. `label` is the value of its label [`berth_contract::container::LABEL`].
    ///
    /// # Errors
    /// See the trait.
    fn create(&self, spec: &ContainerSpec, label: &str) -> Result<(), EngineError>;
    /// Starts a container. Success if it already runs.
    ///
    /// # Errors
    /// See the trait.
    fn start(&self, name: &str) -> Result<(), EngineError>;
    /// Stops a container, killing it after its own time limit, and starts it.
    ///
    /// # Errors
    /// See the trait.
    fn restart(&self, name: &str) -> Result<(), EngineError>;
    /// Stops a container, killing it after its own stop timeout, and removes it. All of its volumes are kept, also those without a name.
    ///
    /// # Errors
    /// See the trait.
    fn remove(&self, name: &str) -> Result<(), EngineError>;
    /// Passes the lines that a container has written to `line`, oldest first, until they end or `line` breaks.
    ///
    /// # Errors
    /// See the trait. Also when the container does not exist.
    fn logs(
        &self,
        name: &str,
        ask: &LogRequest,
        line: &mut dyn FnMut(ContainerLine) -> ControlFlow<()>,
    ) -> Result<(), EngineError>;
}

/// Why a request to an engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine sent no valid HTTP answer.
    #[error("{asked}: {source}")]
    Http {
        /// Method and path of the request, e.g. `GET /images/hello/json`.
        asked: String,
        /// Why there is no answer.
        source: HttpError,
    },
    /// The engine refused the request.
    #[error("{asked}: status {status}: {message}")]
    Refused {
        /// Method and path of the request.
        asked: String,
        /// HTTP status.
        status: u16,
        /// The engine's message.
        message: String,
    },
    /// The answer has an unexpected form.
    #[error("{asked}: expected {expected}, found {found}")]
    Answer {
        /// Method and path of the request.
        asked: String,
        /// The expected content of the answer.
        expected: &'static str,
        /// The beginning of the answer.
        found: String,
    },
    /// The image archive cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}
