//! netd's part of host.toml, which init writes as JSON for it.

use berth_contract::{
    chain::Chain,
    network_config::{DnsConfig, NetworkConfig},
};
use serde::Deserialize;
use std::path::Path;

/// The tables of host.toml that netd reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Settings {
    /// `[network]`.
    #[serde(default)]
    pub network: NetworkConfig,
    /// `[dns]`.
    #[serde(default)]
    pub dns: DnsConfig,
}

/// Size limit of the file, in bytes: that of host.toml.
const MAX_SIZE: u64 = berth_contract::host_config::MAX_SIZE;

impl Settings {
    /// Reads the file. A file that does not exist has no settings.
    ///
    /// # Errors
    /// Why the file cannot be used, as a sentence. (Its text is not part of it: it may contain secrets.)
    pub fn read(path: &Path) -> Result<Self, String> {
        let settings = match berth_file::read_json::<Self>(path, MAX_SIZE) {
            Ok(settings) => settings,
            Err(error) if error.is_missing() => return Ok(Self::default()),
            Err(error) => return Err(Chain(&error).to_string()),
        };
        settings.network.check()?;
        settings.dns.check()?;
        Ok(settings)
    }
}
