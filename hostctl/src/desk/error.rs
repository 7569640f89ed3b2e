//! Why a host cannot be reached from this desk.

use super::{Address, fault::TlsFault};
use berth_contract::control::ControlError;
use berth_control::ClientError;
use berth_file::FileError;
use std::{io, path::PathBuf};

/// Why a host cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// A file cannot be read or written.
    #[error("{0}")]
    File(#[from] FileError),
    /// The folder of hosts.toml cannot be made.
    #[error("cannot make the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// hosts.toml cannot be parsed.
    #[error("{}: {message}", path.display())]
    Hosts {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// This user has no home, and so no hosts.toml.
    #[error("expected a home folder for hosts.toml: neither HOME nor XDG_CONFIG_HOME is set")]
    Homeless,
    /// No host has this name or address.
    #[error("no host has the name or address {wanted:?}; known hosts: {}", if known.is_empty() { "none" } else { known })]
    Unknown {
        /// The name or address.
        wanted: String,
        /// All names.
        known: String,
    },
    /// A certificate or key cannot be used.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Credential {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// Description of its content.
        found: String,
    },
    /// Nobody answers at the address.
    #[error("{address}: cannot connect: {source}")]
    Connect {
        /// The address.
        address: Address,
        /// The system's error.
        source: io::Error,
    },
    /// The connection is not trusted by one of the two sides.
    #[error("{address}: {fault}")]
    Tls {
        /// The address.
        address: Address,
        /// What is wrong.
        fault: TlsFault,
    },
    /// The host has refused the request.
    #[error("{address}: the host says: {}", error.message)]
    Refused {
        /// The address.
        address: Address,
        /// Its error.
        error: ControlError,
    },
    /// The answer is not that of a Berth host.
    #[error("{address}: expected an answer of hostd, found {found:?}")]
    Answer {
        /// The address.
        address: Address,
        /// The beginning of the answer.
        found: String,
    },
}

impl DeskError {
    /// The next step for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => {
                Some("`hostctl host add NAME ADDRESS --cert FILE --key FILE` adds a host".to_owned())
            }
            Self::Hosts { .. } => Some("correct the file, or remove it and add the hosts again".to_owned()),
            Self::Connect { .. } => Some("is the machine up, and does its host.toml have [remote]?".to_owned()),
            Self::Tls { fault, .. } => fault.hint().map(str::to_owned),
            Self::Refused { error, .. } => error.hint.clone(),
            Self::Answer { .. } => Some("is this the address of a Berth host?".to_owned()),
            Self::File(_) | Self::Folder { .. } | Self::Homeless | Self::Credential { .. } => None,
        }
    }
}

impl From<DeskError> for ClientError {
    fn from(error: DeskError) -> Self {
        let (place, is_gone) = match &error {
            DeskError::Connect { address, .. } => (Some(address), true),
            DeskError::Tls { address, .. } | DeskError::Refused { address, .. } | DeskError::Answer { address, .. } => {
                (Some(address), false)
            }
            _ => (None, false),
        };
        let place = place.map(ToString::to_string).unwrap_or_default();
        let whole = error.to_string();
        let message = whole.strip_prefix(&format!("{place}: ")).unwrap_or(&whole).to_owned();
        let place = if place.is_empty() { "this computer".to_owned() } else { place };
        Self::Remote { place, message, hint: error.hint(), is_gone }
    }
}
