//! Errors in service files.

use berth_contract::service_set::{NAME_RULE, NeedFault};
use std::{io, path::PathBuf};

/// Why a service is never started.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The service file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file is too large for a service file.
    #[error("{}: expected {limit} bytes at most, found {found}", path.display())]
    TooLarge {
        /// The service file.
        path: PathBuf,
        /// Size in bytes.
        found: u64,
        /// Maximum size in bytes.
        limit: u64,
    },
    /// The name of the file is not a valid service name.
    #[error("{place}: {NAME_RULE}")]
    Name {
        /// The service file.
        place: String,
    },
    /// The file is not valid TOML, or has an unknown key.
    #[error("{place}: {message}")]
    Parse {
        /// The service file.
        place: String,
        /// The error of the parser, with line and column.
        message: String,
    },
    /// A value is not allowed.
    #[error("{place}: {message}")]
    Value {
        /// The service file.
        place: String,
        /// Key, expected, found.
        message: String,
    },
    /// The service can never start because of what it needs.
    #[error(transparent)]
    Need(#[from] NeedFault),
    /// The engine must not start: what it would start is on the disk.
    #[error("service {name}: not started, because /var is in memory: its containers and volumes are on the disk")]
    NoVar {
        /// The service of the engine.
        name: String,
    },
    /// A service runs as a user or group that the image does not have.
    #[error("no {kind} {name} in {file}")]
    NoAccount {
        /// `user` or `group`.
        kind: &'static str,
        /// The file that has all of them.
        file: &'static str,
        /// The name that was not found.
        name: String,
    },
}
