//! Why a configuration is not taken.

use berth_contract::{cmdline::CmdlineError, config_fault::ConfigFault};
use berth_control::ClientError;
use berth_fetch::error::FetchError;
use berth_file::FileError;
use berth_settings::TextFault;

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text has a fault.
    #[error("host.toml, {0}")]
    Text(Box<TextFault>),
    /// The settings are valid, but not for this host.
    #[error("host.toml, {0}")]
    Host(ConfigFault),
    /// The image's description cannot be read.
    #[error(transparent)]
    Image(Box<crate::file::FileError>),
    /// A try is pending.
    #[error("generation {generation} is being tried")]
    Trying {
        /// The generation.
        generation: u32,
    },
    /// No try is pending.
    #[error("expected a configuration that is being tried, found none: it was confirmed, or has been reverted")]
    NotTrying,
    /// There is no generation before the current one.
    #[error("expected a generation before the current one, found none")]
    NoEarlier,
    /// There is no such generation.
    #[error("expected one of the stored generations, found {number}")]
    NoGeneration {
        /// The number that was asked for.
        number: u32,
    },
    /// The kernel's command line names a configuration in a wrong way.
    #[error("kernel command line: {key}: expected {expected}, found {found:?}")]
    Cmdline {
        /// The key.
        key: &'static str,
        /// What was expected.
        expected: &'static str,
        /// The value found.
        found: String,
    },
    /// The kernel's command line names it twice.
    #[error(transparent)]
    Repeated(#[from] CmdlineError),
    /// The text has another digest than the kernel's command line says.
    #[error("{url}: expected the SHA-256 {expected}, found {found}")]
    Digest {
        /// The address.
        url: String,
        /// The digest of the command line.
        expected: String,
        /// The digest of the text.
        found: String,
    },
    /// The text cannot be fetched.
    #[error("cannot fetch {url}")]
    Fetch {
        /// The address.
        url: String,
        /// The cause.
        source: Box<FetchError>,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// init does not take it.
    #[error(transparent)]
    Init(#[from] ClientError),
}

impl From<TextFault> for ConfigError {
    fn from(fault: TextFault) -> Self {
        Self::Text(Box::new(fault))
    }
}

impl ConfigError {
    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Text(fault) => {
                fault.hint.clone().or_else(|| Some("`berth check FILE` checks a file on your desk".to_owned()))
            }
            Self::Host(fault) => fault.hint.clone(),
            Self::Trying { .. } => {
                Some("`hostctl config confirm` keeps it, `hostctl config revert` ends it".to_owned())
            }
            Self::NotTrying | Self::NoEarlier | Self::NoGeneration { .. } => {
                Some("`hostctl config history` lists the generations".to_owned())
            }
            Self::Init(error) => error.hint(),
            Self::Fetch { source, .. } => source.hint(),
            Self::Image(error) => error.hint(),
            Self::Cmdline { .. } | Self::Repeated(_) | Self::Digest { .. } | Self::File(_) => None,
        }
    }
}
