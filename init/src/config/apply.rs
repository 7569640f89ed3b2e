//! What a configuration changes on the host: files that services read when they start.

use super::{Outcome, docker};
use crate::fault::{Failure, Failures};
use berth_contract::{
    container::{ContainerSpec, Declared},
    host_config::HostConfig,
    image_spec::ImageSpec,
    paths,
};
use berth_file::{Flush, replace};
use std::path::Path;

/// Writes what services and hostctl read: the engine's settings and certificates, the declared containers, the configuration itself. The
/// caller sets the host name.
///
/// # Errors
/// What cannot be written; the rest is.
pub fn apply(outcome: &Outcome, image: &ImageSpec) -> Result<(), Failure> {
    let config = &outcome.config;
    let mut failures = Failures::none();
    failures.keep(docker::apply(config.docker.as_ref(), image));
    let declared = Declared { containers: containers(config, image), is_partial: outcome.is_unknown() };
    let list = serde_json::to_vec(&declared).map_err(Failure::from);
    // Environment variables hold secrets more often than not.
    failures.keep(list.and_then(|list| Ok(replace(Path::new(paths::CONTAINERS), &list, 0o600, Flush::Content)?)));
    // For hostctl: health checks, and where updates come from.
    let whole = serde_json::to_vec(config).map_err(Failure::from);
    failures.keep(whole.and_then(|whole| Ok(replace(Path::new(paths::HOST_CONFIG), &whole, 0o600, Flush::Content)?)));
    failures.end()
}

/// The containers to start: the recipe's, replaced and completed by host.toml's.
#[must_use]
pub fn containers(config: &HostConfig, image: &ImageSpec) -> Vec<ContainerSpec> {
    let replaced = |one: &&ContainerSpec| config.containers.iter().any(|other| other.name == one.name);
    image.containers.iter().filter(|one| !replaced(one)).chain(&config.containers).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::update::{HealthSpec, UpdateSpec};
    use std::collections::BTreeMap;

    #[test]
    fn the_machines_containers_replace_the_recipes_by_name() {
        let spec = |name: &str, image: &str| -> ContainerSpec {
            toml::from_str(&format!("name = '{name}'\nimage = '{image}'")).unwrap()
        };
        let image = ImageSpec {
            id: "x".parse().unwrap(),
            version: "1".parse().unwrap(),
            arch: "x86_64".parse().unwrap(),
            kernel: "6".into(),
            engine: None,
            modules: Vec::new(),
            images: Vec::new(),
            containers: vec![spec("a", "recipe"), spec("b", "recipe")],
            packages: BTreeMap::new(),
            update: UpdateSpec::default(),
            health: HealthSpec::default(),
        };
        let config = HostConfig { containers: vec![spec("c", "host"), spec("a", "host")], ..HostConfig::default() };
        let found: Vec<(String, String)> =
            containers(&config, &image).into_iter().map(|one| (one.name, one.image)).collect();
        let pair = |name: &str, image: &str| (name.to_owned(), image.to_owned());
        assert_eq!(found, [pair("b", "recipe"), pair("c", "host"), pair("a", "host")]);
        assert_eq!(containers(&HostConfig::default(), &image), image.containers);
    }
}
