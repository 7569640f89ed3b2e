//! Generations of the configuration: the texts of host.toml that were in force on this host, in [`crate::paths::GENERATIONS`].
//!
//! A generation is `N.toml` and `N.json` ([`Generation`]). `state.json` ([`ConfigState`]) says which one is in force, and is written last.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a generation came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A place where the host looks for host.toml: `fw_cfg`, `disk LABEL`, `esp`.
    Source {
        /// The place.
        place: String,
    },
    /// The URL of the kernel's command line.
    Cmdline {
        /// The address, without credentials.
        url: String,
    },
    /// `hostctl config apply`, or a `try` that was confirmed.
    Apply {
        /// The user or program that asked for it.
        by: String,
    },
    /// `hostctl config revert`.
    Revert {
        /// The generation whose text it has.
        to: u32,
        /// The user or program that asked for it.
        by: String,
    },
}

impl Origin {
    /// Whether a user has asked for this generation, so that it takes precedence over the sources' text of that time.
    #[must_use]
    pub fn is_applied(&self) -> bool {
        matches!(self, Self::Apply { .. } | Self::Revert { .. })
    }

    /// Whether it was fetched from the address in the kernel's command line.
    #[must_use]
    pub fn is_fetched(&self) -> bool {
        matches!(self, Self::Cmdline { .. })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source { place } => f.write_str(place),
            Self::Cmdline { url } => write!(f, "cmdline {url}"),
            Self::Apply { by } => write!(f, "applied by {by}"),
            Self::Revert { to, by } => write!(f, "reverted to {to} by {by}"),
        }
    }
}

/// One generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Its number. A later generation has a higher one.
    pub number: u32,
    /// When it was stored, in seconds since 1970 by the host's clock.
    pub at: u64,
    /// Where it came from.
    pub origin: Origin,
}

/// The generation in force, and a try that is not confirmed yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigState {
    /// The generation in force, or the one to return to during a try.
    #[serde(default)]
    pub current: Option<u32>,
    /// A generation that is tried and not confirmed yet. A reboot ends the try: at boot, the current generation is in force.
    #[serde(default)]
    pub trying: Option<Trying>,
    /// The last try that was not confirmed.
    #[serde(default)]
    pub reverted: Option<Reverted>,
}

/// A generation that is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trying {
    /// The generation.
    pub generation: u32,
    /// When the try ends without a confirmation, in microseconds since the kernel's start.
    pub until_us: u64,
    /// Whether there was a default route before. If it gets lost, the try ends.
    pub default_route: bool,
    /// A host name that could be resolved before. If it cannot be resolved any more, the try ends.
    #[serde(default)]
    pub resolved: Option<String>,
}

/// A try that was not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reverted {
    /// The generation that was tried.
    pub generation: u32,
    /// Why it is not in force, in one sentence.
    pub why: String,
}
