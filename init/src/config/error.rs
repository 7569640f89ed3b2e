//! Errors in host.toml.

use berth_contract::fault::PathError;

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
    /// The file is not valid TOML, or has an unknown key.
    #[error("host.toml of {place}, line {line}, column {column}: {message}")]
    Parse {
        /// The place where host.toml was found.
        place: String,
        /// Line, counted from 1.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
        /// Expected and found.
        message: String,
    },
    /// A value is not allowed.
    #[error("host.toml of {place}: {message}")]
    Value {
        /// The place where host.toml was found.
        place: String,
        /// Key, expected, found.
        message: String,
    },
    /// The listener cannot be added to docker's settings.
    #[error("{path}: {message}")]
    Docker {
        /// The settings file.
        path: String,
        /// Expected and found.
        message: String,
    },
}
