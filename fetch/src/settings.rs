//! Settings of downloads.

use std::{path::PathBuf, time::Duration};

/// Whether the network may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Missing files are downloaded.
    Online,
    /// Only the store and `file:` URLs are read. Everything else is an error that lists the missing files.
    Offline,
}

/// The slowest speed of a transfer before it is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Minimum speed in bytes per second.
    pub floor: u64,
    /// How long the speed may stay below the minimum. Also the time limit for the first byte of a response.
    pub window: Duration,
}

impl Default for Pace {
    /// 1 KiB/s over 30 s.
    fn default() -> Self {
        Self { floor: 1024, window: Duration::from_secs(30) }
    }
}

/// Settings of network, speed and certificates.
#[derive(Clone, Debug)]
pub struct FetchSettings {
    /// Whether the network may be used.
    pub network: Network,
    /// Time limit for name resolution, and again for the connection with TCP and TLS.
    pub connect: Duration,
    /// The slowest speed of a transfer before it is an error.
    pub pace: Pace,
    /// Number of parallel downloads of [`crate::fetcher::Fetcher::fetch_all`].
    pub threads: usize,
    /// PEM file of the certificate authorities that `https:` trusts. `None`: the built-in public authorities.
    /// See [`crate::roots::bundle`].
    pub ca_bundle: Option<PathBuf>,
    /// Additional certificate authorities to trust, as PEM text.
    pub extra_ca: Option<String>,
}

/// How long to retry while a server is unreachable; see [`crate::ranges::Ranges`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Time limit without progress for a server that has answered before.
    pub total: Duration,
    /// Time limit for a server that has never answered. It is shorter because the address may be wrong.
    pub first: Duration,
    /// The pause before the second retry; the first retry has no pause. The pause doubles after each retry.
    pub pause: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Patience {
    /// 5 minutes, 20 s for a server that has never answered, pauses from half a second to 15 s.
    fn default() -> Self {
        Self {
            total: Duration::from_secs(300),
            first: Duration::from_secs(20),
            pause: Duration::from_millis(500),
            longest: Duration::from_secs(15),
        }
    }
}

impl FetchSettings {
    /// The defaults: 20 s to connect, at least 1 KiB/s over 30 s, 4 parallel downloads.
    #[must_use]
    pub fn new(network: Network, ca_bundle: Option<PathBuf>) -> Self {
        Self { network, connect: Duration::from_secs(20), pace: Pace::default(), threads: 4, ca_bundle, extra_ca: None }
    }
}
