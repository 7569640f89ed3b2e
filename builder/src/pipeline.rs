//! The build on one page: each step takes values and returns a value, in the order in which things happen.

use crate::{
    lock::{self, Lock, LockInput, Locked, Wish, lock_path},
    recipe::{self, Recipe},
    report::Report,
    source::debian::{apt_sources, date::Date, keyring::DEBIAN_KEYRING, mirrors::Mirrors},
};
use anyhow::{Result, bail};
use berth_contract::version::OsVersion;
use berth_fetch::{
    fetcher::Fetcher,
    settings::{Network, Settings},
    store::Store,
};
use std::path::{Path, PathBuf};

/// Where bytes come from, for every verb that needs some.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Base URLs that replace the recipe's and the host's mirrors.
    pub mirrors: Vec<String>,
    /// Folder of the cache.
    pub cache: PathBuf,
    /// Whether the network may be used.
    pub network: Network,
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

/// Debian package of the boot loader and of the stub that makes a kernel an EFI program.
const BOOT_PACKAGE: &str = "systemd-boot-efi";

/// Resolves `recipe` and writes its lock file; returns the lock file's path. `now` is the clock, in seconds since 1970.
///
/// # Errors
/// Whatever is wrong with recipe, archives or dependencies; the lock file is then as it was.
pub fn lock(recipe: &Path, sources: &Sources, now: u64, report: &Report) -> Result<PathBuf> {
    let recipe = recipe::read(recipe)?;
    let input = lock_input(&recipe, sources)?;
    let path = lock_path(recipe.path());
    let previous = if path.exists() { Lock::load(&path).ok() } else { None };
    let outcome = lock::lock(&input, previous.as_ref(), &fetcher(sources)?, Date(now), &report.fetching())?;
    for warning in &outcome.warnings {
        report.warning(warning);
    }
    lock::write(&outcome.lock, &path)?;
    report.step("lock", format_args!("{} packages in {}", outcome.lock.packages.len(), path.display()));
    Ok(path)
}

/// Builds `recipe` from its lock file.
///
/// # Errors
/// Whatever is wrong with recipe, lock, packages or the output folder; the output folder is then as it was.
pub fn build(recipe: &Path, options: &BuildOptions, report: &Report) -> Result<Built> {
    let recipe = recipe::read(recipe)?;
    let input = lock_input(&recipe, &options.sources)?;
    let locked = Locked::load(&lock_path(recipe.path()), &input)?;
    let _ = (locked, report);
    bail!("being integrated")
}

fn fetcher(sources: &Sources) -> Result<Fetcher> {
    Ok(Fetcher::new(Store::open(&sources.cache)?, Settings::new(sources.network, sources.ca_bundle.clone())))
}

/// What the recipe, the command line and this machine together ask the archives for.
fn lock_input(recipe: &Recipe, sources: &Sources) -> Result<LockInput> {
    let names = |names: &[recipe::Located<String>]| names.iter().map(|name| name.value.clone()).collect::<Vec<_>>();
    let mirrors = match (sources.mirrors.as_slice(), recipe.debian.mirror.as_slice()) {
        ([], []) => Mirrors::Host(apt_sources::read(&sources.etc_apt)?),
        ([], given) => Mirrors::Given(given.iter().map(|url| url.value.clone()).collect()),
        (given, _) => Mirrors::given(given)?,
    };
    let mut wanted = names(&recipe.debian.packages);
    wanted.extend([recipe.kernel.package.value.clone(), BOOT_PACKAGE.to_owned()]);
    Ok(LockInput {
        suite: recipe.debian.suite.value.clone(),
        archives: names(&recipe.debian.archives),
        components: recipe.debian.components.clone(),
        arch: recipe.arch,
        packages: wanted.iter().map(|name| Wish::any(name)).collect(),
        provided: names(&recipe.debian.provided),
        mirrors,
        keyring: recipe.debian.keyring.as_ref().map_or_else(|| DEBIAN_KEYRING.into(), |keyring| keyring.value.clone()),
    })
}
