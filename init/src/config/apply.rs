//! Applies the configuration: writes the files that services and hostctl read.

use super::{CurrentConfig, docker};
use berth_contract::{
    container::{ContainerSpec, Declared},
    fault::{At, Failure, Failures},
    host_config::HostConfig,
    image_spec::ImageSpec,
    paths,
};
use berth_file::{Flush, replace};
use std::{collections::BTreeMap, fs, path::Path};

/// Writes the engine's settings and certificates, the list of declared containers, and the configuration itself. The caller sets the host
/// name.
///
/// # Errors
/// Every file that cannot be written. The other files are written.
pub fn apply(current: &CurrentConfig, image: &ImageSpec) -> Result<(), Failure> {
    let config = &current.config;
    let mut failures = Failures::none();
    failures.keep(docker::apply(config.docker.as_ref(), image));
    let declared = Declared { containers: containers(config, image), existing: current.existing_containers() };
    let list = serde_json::to_vec(&declared).map_err(Failure::from);
    // Mode 0600, because environment variables of containers often hold secrets.
    failures.keep(list.and_then(|list| Ok(replace(Path::new(paths::CONTAINERS), &list, 0o600, Flush::Content)?)));
    // hostctl reads the health checks and the update source from this file.
    let whole = serde_json::to_vec(config).map_err(Failure::from);
    failures.keep(whole.and_then(|whole| Ok(replace(Path::new(paths::HOST_CONFIG), &whole, 0o600, Flush::Content)?)));
    failures.keep(apply_log(config));
    failures.end()
}

/// logd's part of the configuration. The file is given to the user of logd when logd starts.
fn apply_log(config: &HostConfig) -> Result<(), Failure> {
    let path = Path::new(paths::LOGD_CONFIG);
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).at("create", folder)?;
    let part = BTreeMap::from([("log", &config.log)]);
    Ok(replace(path, &serde_json::to_vec(&part)?, 0o400, Flush::Content)?)
}

/// The containers to start: those of the recipe and those of host.toml. A container of host.toml replaces one of the recipe with the
/// same name.
#[must_use]
pub fn containers(config: &HostConfig, image: &ImageSpec) -> Vec<ContainerSpec> {
    let replaced = |one: &&ContainerSpec| config.containers.iter().any(|other| other.name == one.name);
    image.containers.iter().filter(|one| !replaced(one)).chain(&config.containers).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::{
        config_source::ConfigSource,
        update::{HealthSpec, UpdateSpec},
    };

    #[test]
    fn containers_of_host_toml_replace_those_of_the_recipe_by_name() {
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
            remote: None,
            time: berth_contract::time_config::TimeConfig::default(),
            config_sources: ConfigSource::all(),
        };
        let config = HostConfig { containers: vec![spec("c", "host"), spec("a", "host")], ..HostConfig::default() };
        let found: Vec<(String, String)> =
            containers(&config, &image).into_iter().map(|one| (one.name, one.image)).collect();
        let pair = |name: &str, image: &str| (name.to_owned(), image.to_owned());
        assert_eq!(found, [pair("b", "recipe"), pair("c", "host"), pair("a", "host")]);
        assert_eq!(containers(&HostConfig::default(), &image), image.containers);
    }
}
