//! Applies the configuration: writes the files that services and hostctl read.

use super::{CurrentConfig, When, docker, trust};
use berth_contract::{
    container::{ContainerSpec, Declared},
    fault::{At, Failure, Failures},
    host_config::HostConfig,
    image_spec::ImageSpec,
    paths,
    system_config::Parameter,
};
use berth_file::{Flush, replace};
use std::{fs, path::Path};

/// Writes the engine's settings and certificates, the list of declared containers, and the configuration itself. The caller sets the host
/// name.
///
/// # Errors
/// Every file that cannot be written. The other files are written.
pub fn apply(current: &CurrentConfig, image: &ImageSpec, when: When) -> Result<(), Failure> {
    let config = &current.config;
    let mut failures = Failures::none();
    failures.keep(docker::apply(config, image, when));
    failures.keep(trust::apply(&config.ca, Path::new(paths::CA_BUNDLE), Path::new(paths::ORIGINALS)));
    failures.keep(write_parameters(config));
    let declared = Declared { containers: containers(config, image), existing: current.existing_containers() };
    let list = serde_json::to_vec(&declared).map_err(Failure::from);
    // Mode 0600, because environment variables of containers often hold secrets.
    failures.keep(list.and_then(|list| Ok(replace(Path::new(paths::CONTAINERS), &list, 0o600, Flush::Content)?)));
    // hostctl reads the health checks and the update source from this file.
    let whole = serde_json::to_vec(config).map_err(Failure::from);
    failures.keep(whole.and_then(|whole| Ok(replace(Path::new(paths::HOST_CONFIG), &whole, 0o600, Flush::Content)?)));
    failures.end()
}

/// Writes the kernel parameters as a file of sysctl.d(5). The caller applies it.
fn write_parameters(config: &HostConfig) -> Result<(), Failure> {
    let path = Path::new(paths::HOST_SYSCTL);
    if config.sysctl.is_empty() && !path.exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).at("create", folder)?;
    }
    let lines: String = config.sysctl.iter().map(|(name, Parameter(value))| format!("{name} = {value}\n")).collect();
    Ok(replace(path, lines.as_bytes(), 0o644, Flush::Nothing)?)
}

/// The variables of the environment that tell programs the proxy.
#[must_use]
pub fn environment(config: &HostConfig) -> Vec<(String, String)> {
    let Some(proxy) = &config.proxy else { return Vec::new() };
    let no_proxy = Some(proxy.no_proxy.join(",")).filter(|list| !list.is_empty());
    let values = [("http_proxy", proxy.http.clone()), ("https_proxy", proxy.https.clone()), ("no_proxy", no_proxy)];
    let given = values.into_iter().filter_map(|(name, value)| Some((name, value?)));
    given.flat_map(|(name, value)| [(name.to_owned(), value.clone()), (name.to_uppercase(), value)]).collect()
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
    use std::collections::BTreeMap;

    #[test]
    fn a_proxy_is_told_in_the_environment() {
        assert_eq!(environment(&HostConfig::default()), []);
        let config: HostConfig =
            toml::from_str("[proxy]\nhttps = 'http://p:3128'\nno_proxy = ['localhost', '.example']").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            environment(&config),
            [
                pair("https_proxy", "http://p:3128"),
                pair("HTTPS_PROXY", "http://p:3128"),
                pair("no_proxy", "localhost,.example"),
                pair("NO_PROXY", "localhost,.example")
            ]
        );
    }

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
