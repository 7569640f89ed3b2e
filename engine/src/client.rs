//! What is asked of a container engine, whichever it is.

use super::{
    container::{Container, Listed, Listing},
    http::HttpError,
};
use berth_contract::container::ContainerSpec;
use std::{
    fmt::Debug,
    path::{Path, PathBuf},
};

/// A client of one engine. Every call fails with [`EngineError`] when the engine does not answer, or not as expected.
pub trait EngineClient: Debug {
    /// Whether the engine answers.
    ///
    /// # Errors
    /// See the trait.
    fn ping(&self) -> Result<(), EngineError>;
    /// The id of an image, if there is one of that name or id.
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
    /// Containers that have a name.
    ///
    /// # Errors
    /// See the trait.
    fn list(&self, listing: Listing) -> Result<Vec<Listed>, EngineError>;
    /// One container, whoever made it; none when there is none of that name.
    ///
    /// # Errors
    /// See the trait.
    fn inspect(&self, name: &str) -> Result<Option<Container>, EngineError>;
    /// Makes a container, with this value of [`berth_contract::container::LABEL`].
    ///
    /// # Errors
    /// See the trait.
    fn create(&self, spec: &ContainerSpec, label: &str) -> Result<(), EngineError>;
    /// Starts a container. Nothing happens when it runs already.
    ///
    /// # Errors
    /// See the trait.
    fn start(&self, name: &str) -> Result<(), EngineError>;
    /// Stops a container in its own time, and removes it. Volumes with a name stay.
    ///
    /// # Errors
    /// See the trait.
    fn remove(&self, name: &str) -> Result<(), EngineError>;
}

/// Why an engine has not done what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no answer.
    #[error("{asked}: {source}")]
    Http {
        /// What was asked, e.g. `GET /images/hello/json`.
        asked: String,
        /// Why there is none.
        source: HttpError,
    },
    /// The engine refuses.
    #[error("{asked}: status {status}: {message}")]
    Refused {
        /// What was asked.
        asked: String,
        /// Status of HTTP.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// An answer of another form.
    #[error("{asked}: expected {expected}, found {found}")]
    Answer {
        /// What was asked.
        asked: String,
        /// What should have come.
        expected: &'static str,
        /// What came.
        found: String,
    },
    /// An archive cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}
