//! What can be wrong with a service's file.

use std::{io, path::PathBuf};

/// Why a service cannot be started at all.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Its file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is no service file.
    #[error("{}: expected {limit} bytes at most, found {found}", path.display())]
    TooLarge {
        /// Its file.
        path: PathBuf,
        /// Bytes.
        found: u64,
        /// Bytes.
        limit: u64,
    },
    /// It cannot have this name.
    #[error("{place}: the name of a service: expected letters, digits, _ . -, not `init` or `kernel`")]
    Name {
        /// Its file.
        place: String,
    },
    /// No TOML, or an unknown key.
    #[error("{place}: {message}")]
    Parse {
        /// Its file.
        place: String,
        /// With line and column.
        message: String,
    },
    /// A value that cannot be.
    #[error("{place}: {message}")]
    Value {
        /// Its file.
        place: String,
        /// Key, wanted, found.
        message: String,
    },
    /// It needs what there is not.
    #[error("service {name}: needs {need}, which is not a service that can start")]
    UnknownNeed {
        /// Its name.
        name: String,
        /// The other's.
        need: String,
    },
    /// It needs itself.
    #[error("service {}: needs itself: {}", circle[0], circle.join(" needs "))]
    Circle {
        /// From the service back to itself.
        circle: Vec<String>,
    },
}
