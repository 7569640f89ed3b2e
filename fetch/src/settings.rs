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

impl Default for Pace {
    /// 1 KiB/s over 30 s.
    fn default() -> Self {
        Self { floor: 1024, window: Duration::from_secs(30) }
    }
}

/// Everything that is not the store.
#[derive(Clone, Debug)]
pub struct FetchSettings {
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
    /// PEM: authorities that are trusted beside those.
    pub extra_ca: Option<String>,
}

/// How long somebody who reads from one server waits for it; see [`crate::ranges::Ranges`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a server that has answered before may be away (or crawl, below the pace) until it is given up.
    pub total: Duration,
    /// The same for a server that has never answered: its address may simply be wrong.
    pub first: Duration,
    /// The first pause before it is asked again; each is twice the one before.
    pub pause: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Patience {
    /// 5 minutes, 20 s for a stranger, pauses from half a second to 15 s.
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
    /// The defaults: 20 s to connect, 1 KiB/s over 30 s, 4 downloads at a time.
    #[must_use]
    pub fn new(network: Network, ca_bundle: Option<PathBuf>) -> Self {
        Self { network, connect: Duration::from_secs(20), pace: Pace::default(), threads: 4, ca_bundle, extra_ca: None }
    }
}
