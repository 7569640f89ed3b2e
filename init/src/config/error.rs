//! What can be wrong with a host.toml.

use berth_contract::fault::PathError;

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is there and cannot be read.
    #[error("host.toml of {place}: {source}")]
    Read {
        /// Where it is.
        place: String,
        /// Why not.
        source: PathError,
    },
    /// It is too large.
    #[error("host.toml of {place}: expected {limit} bytes at most, found more")]
    TooLarge {
        /// Where it is.
        place: String,
        /// Bytes.
        limit: u64,
    },
    /// It is no text.
    #[error("host.toml of {place}: expected UTF-8, found something else at byte {at}")]
    NoText {
        /// Where it is.
        place: String,
        /// Bytes from its start.
        at: usize,
    },
    /// It is no TOML, or not ours.
    #[error("host.toml of {place}, line {line}, column {column}: {message}")]
    Parse {
        /// Where it is.
        place: String,
        /// From 1.
        line: usize,
        /// Characters, from 1.
        column: usize,
        /// Wanted and found.
        message: String,
    },
    /// A value that cannot be.
    #[error("host.toml of {place}: {message}")]
    Value {
        /// Where it is.
        place: String,
        /// Key, wanted, found.
        message: String,
    },
    /// docker's settings cannot be extended.
    #[error("{path}: {message}")]
    Docker {
        /// Its file.
        path: String,
        /// Wanted and found.
        message: String,
    },
}
