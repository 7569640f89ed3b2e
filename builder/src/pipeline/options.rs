//! Options of the commands, and the result of a build.

use crate::{image::measure::RawDigest, plan::Outputs};
use anyhow::Result;
use berth_contract::{arch::Arch, version::OsVersion};
use berth_fetch::{
    fetcher::Fetcher,
    settings::{FetchSettings, Network},
    store::Store,
};
use std::path::PathBuf;

/// Where packages come from: mirrors, cache and network.
#[derive(Clone, Debug)]
pub struct Supply {
    /// Base URLs that replace the recipe's and the host's mirrors.
    pub mirrors: Vec<String>,
    /// Folder of the cache.
    pub cache: PathBuf,
    /// Whether the network may be used.
    pub network: Network,
    /// The host's APT configuration, `/etc/apt`.
    pub etc_apt: PathBuf,
    /// Certificate authorities for https: the file in `SSL_CERT_FILE`, or the host's bundle.
    pub ca_bundle: Option<PathBuf>,
}

impl Supply {
    pub(super) fn fetcher(&self) -> Result<Fetcher> {
        Ok(Fetcher::new(Store::open(&self.cache)?, FetchSettings::new(self.network, self.ca_bundle.clone())))
    }
}

/// Options of `berth build`.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// `--version`: replaces the recipe's version.
    pub version: Option<OsVersion>,
    /// `-o`: the output folder.
    pub output: PathBuf,
    /// `SOURCE_DATE_EPOCH`, in seconds since 1970: replaces the lock's date.
    pub epoch: Option<u64>,
    /// `--checksum-raw`: which digests of the raw disk are computed.
    pub raw_digest: RawDigest,
    /// Folder with the programs init, netd, logd, timed, workload, hostd and hostctl.
    pub programs: PathBuf,
    /// Mirrors, cache and network.
    pub supply: Supply,
}

/// The result of a build.
#[derive(Clone, Debug)]
pub struct Built {
    /// The output folder.
    pub folder: PathBuf,
    /// Names of the files in it.
    pub outputs: Outputs,
    /// Architecture of the image.
    pub arch: Arch,
}
