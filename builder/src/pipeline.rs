//! The build on one page: each step takes values and returns a value, in the order in which things happen.

use crate::report::Report;
use anyhow::{Result, bail};
use berth_contract::version::OsVersion;
use std::path::{Path, PathBuf};

/// Where bytes come from, for every verb that needs some.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Base URLs that replace the recipe's and the host's mirrors.
    pub mirrors: Vec<String>,
    /// Folder of the cache.
    pub cache: PathBuf,
    /// Whether the network may be used.
    pub network: berth_fetch::settings::Network,
    /// The host's APT configuration, `/etc/apt`.
    pub etc_apt: PathBuf,
    /// Certificate authorities for https, as `SSL_CERT_FILE` or the host has them.
    pub ca_bundle: Option<PathBuf>,
}

/// What `berth build` may be told.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// `--version`: instead of the recipe's.
    pub version: Option<OsVersion>,
    /// `-o`: the output folder.
    pub output: PathBuf,
    /// `SOURCE_DATE_EPOCH`: instead of the lock's date, in seconds since 1970.
    pub epoch: Option<u64>,
    /// Folder of init, netd, workload and hostctl.
    pub programs: PathBuf,
    /// Where bytes come from.
    pub sources: Sources,
}

/// What a build has made.
#[derive(Clone, Debug)]
pub struct Built {
    /// The output folder.
    pub folder: PathBuf,
    /// Names of the outputs in it.
    pub names: Vec<String>,
    /// The disk, `ID_VERSION_ARCH.raw`.
    pub disk: PathBuf,
}

/// Resolves `recipe` and writes its lock file; returns the lock file's path. `now` is the clock, in seconds since 1970.
///
/// # Errors
/// Whatever is wrong with recipe, archives or dependencies; the lock file is then as it was.
pub fn lock(recipe: &Path, sources: &Sources, now: u64, report: &Report) -> Result<PathBuf> {
    let _ = (recipe, sources, now, report);
    bail!("being integrated")
}

/// Builds `recipe` from its lock file.
///
/// # Errors
/// Whatever is wrong with recipe, lock, packages or the output folder; the output folder is then as it was.
pub fn build(recipe: &Path, options: &BuildOptions, report: &Report) -> Result<Built> {
    let _ = (recipe, options, report);
    bail!("being integrated")
}
