//! How a [`crate::fetcher::Fetcher`] behaves.

use std::{path::PathBuf, time::Duration};

/// Whether the network may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Whatever is missing is fetched.
    Online,
    /// Only the store and `file:` URLs are read; anything else is an error that names what is missing.
    Offline,
}

/// The slowest transfer that is not given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes per second.
    pub floor: u64,
    /// How long it may stay below the floor. Also the time a server has for its first byte.
    pub window: Duration,
}

/// Everything that is not the store.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether the network may be used.
    pub network: Network,
    /// Time for name resolution, TCP and TLS together.
    pub connect: Duration,
    /// The slowest transfer that is not given up.
    pub pace: Pace,
    /// Parallel downloads of [`crate::fetcher::Fetcher::fetch_all`].
    pub threads: usize,
    /// PEM file of the certificate authorities that `https:` trusts; without one, the web's well-known ones.
    /// See [`crate::roots::bundle`].
    pub ca_bundle: Option<PathBuf>,
}

impl Settings {
    /// The defaults: 20 s to connect, 1 KiB/s over 30 s, 4 downloads at a time.
    #[must_use]
    pub fn new(network: Network, ca_bundle: Option<PathBuf>) -> Self {
        let pace = Pace { floor: 1024, window: Duration::from_secs(30) };
        Self { network, connect: Duration::from_secs(20), pace, threads: 4, ca_bundle }
    }
}
