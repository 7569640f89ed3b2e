//! Errors in host.toml.

use berth_contract::fault::PathError;
use berth_settings::TextFault;

/// Why a configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file exists and cannot be read.
    #[error("host.toml of {place}: {source}")]
    Read {
        /// The place where host.toml was found.
        place: String,
        /// The cause.
        source: PathError,
    },
    /// The file is too large.
    #[error("host.toml of {place}: expected {limit} bytes at most, found more")]
    TooLarge {
        /// The place where host.toml was found.
        place: String,
        /// Maximum size in bytes.
        limit: u64,
    },
    /// The file is not UTF-8.
    #[error("host.toml of {place}: expected UTF-8, found an invalid byte at offset {at}")]
    NoText {
        /// The place where host.toml was found.
        place: String,
        /// Offset of the first invalid byte.
        at: usize,
    },
    /// The file is not valid TOML, or has an unknown key or a value that is not allowed.
    #[error("host.toml of {place}, {fault}{}", fault.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default())]
    Fault {
        /// The place where host.toml was found.
        place: String,
        /// Line, column, key, expected, found.
        fault: Box<TextFault>,
    },
    /// The settings are valid, but not for this image.
    #[error("{key}: expected {expected}, found {found}")]
    Image {
        /// The key.
        key: &'static str,
        /// What the image must have.
        expected: &'static str,
        /// What it has.
        found: String,
    },
    /// The engine refuses `[engine]`.
    #[error("engine: expected settings that the engine accepts, found a fault: {why}; the table is left out")]
    Engine {
        /// What the engine says.
        why: String,
    },
    /// The settings cannot be added to those of docker.
    #[error("{path}: {message}")]
    Docker {
        /// The settings file.
        path: String,
        /// Expected and found.
        message: String,
    },
}
