//! What is asked of a container engine, whichever it is.

use super::http::HttpError;
use berth_contract::container::ContainerSpec;
use std::path::{Path, PathBuf};

/// Its value says what they were made from.
pub use berth_contract::container::LABEL;

/// A container that the engine knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Existing {
    /// Its name.
    pub name: String,
    /// Value of [`LABEL`]; none when somebody else made it.
    pub label: Option<String>,
    /// The engine's word: `running`, `exited`, ...
    pub status: String,
    /// Status of its last end.
    pub exit_code: i64,
    /// How often the engine has started it again since somebody else did.
    pub restarts: u64,
    /// Why it could not be started.
    pub error: Option<String>,
}

/// An engine that answers.
pub trait Engine {
    /// The id of an image, if there is one of that name or id.
    ///
    /// # Errors
    /// When the engine does not answer, or not as expected. So for all that follow.
    fn image_id(&self, image: &str) -> Result<Option<String>, EngineError>;
    /// Imports an archive.
    ///
    /// # Errors
    /// As above.
    fn import(&self, archive: &Path) -> Result<(), EngineError>;
    /// Gives an image a name.
    ///
    /// # Errors
    /// As above.
    fn tag(&self, image_id: &str, name: &str) -> Result<(), EngineError>;
    /// All containers with [`LABEL`], running or not.
    ///
    /// # Errors
    /// As above.
    fn ours(&self) -> Result<Vec<Existing>, EngineError>;
    /// One container, whoever made it.
    ///
    /// # Errors
    /// As above.
    fn inspect(&self, name: &str) -> Result<Option<Existing>, EngineError>;
    /// Makes a container.
    ///
    /// # Errors
    /// As above.
    fn create(&self, spec: &ContainerSpec, label: &str) -> Result<(), EngineError>;
    /// Starts it; nothing happens when it runs.
    ///
    /// # Errors
    /// As above.
    fn start(&self, name: &str) -> Result<(), EngineError>;
    /// Stops it in its own time, and removes it; volumes with a name stay.
    ///
    /// # Errors
    /// As above.
    fn remove(&self, name: &str) -> Result<(), EngineError>;
}

/// What an engine does not do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No answer.
    #[error("{asked}: {source}")]
    Http {
        /// What was asked, e.g. `GET /images/hello/json`.
        asked: String,
        /// Why not.
        source: HttpError,
    },
    /// It says no.
    #[error("{asked}: status {status}: {message}")]
    Refused {
        /// What was asked.
        asked: String,
        /// Of HTTP.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// An answer of another form.
    #[error("{asked}: expected {wanted}, found {found}")]
    Answer {
        /// What was asked.
        asked: String,
        /// What it should be.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
    /// An archive cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Archive {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}
