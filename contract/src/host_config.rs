//! `host.toml`: the configuration of one machine. The image is the same for many machines.

use crate::{
    config_fault::{ConfigFault, check_items},
    container::ContainerSpec,
    engine::EngineKind,
    log_config::LogConfig,
    network_config::{DnsConfig, NetworkConfig},
    pem::check_pem,
    remote_config::RemoteConfig,
    system_config::{KernelConfig, Parameter, ProxyConfig, RegistryConfig, check_engine, check_parameters},
    update::{HealthCheck, UpdateSpec},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole file. Every key is optional; unknown keys are an error.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostConfig {
    /// Host name (RFC 1123 label or dotted name). Default: `berth-` and the start of the machine id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Further containers. A container with the name of one in the recipe replaces that one.
    #[serde(default, rename = "container", skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<ContainerSpec>,
    /// PEM: certificate authorities that hostctl, the engine and other programs trust, in addition to the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ca: Vec<String>,
    /// The proxy of everything that fetches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyConfig>,
    /// How the engine reaches registries, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub registry: BTreeMap<String, RegistryConfig>,
    /// Settings of the engine, with the keys of its own settings file. They replace those of the image.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub engine: serde_json::Map<String, serde_json::Value>,
    /// Kernel parameters, as in sysctl.d(5).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctl: BTreeMap<String, Parameter>,
    /// The kernel's modules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelConfig>,
    /// Docker's settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerConfig>,
    /// Links, addresses and routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkConfig>,
    /// Name servers of the whole host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsConfig>,
    /// Where new versions come from. Each key replaces the image's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateSpec>,
    /// The API over the network. It replaces the table of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteConfig>,
    /// How logs are stored and where they are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogConfig>,
    /// Checks that a version on trial must pass, in addition to the image's checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<HealthCheck>,
}

/// `[docker]`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DockerConfig {
    /// The TLS listener. Without it docker listens on its Unix socket only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<DockerTls>,
}

/// `[docker.tls]`: docker's API over TCP. A client needs a certificate that `ca` signed.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DockerTls {
    /// Address and port to listen on.
    #[serde(default = "default_listen")]
    pub listen: std::net::SocketAddr,
    /// PEM: the certificate authority of the clients' certificates.
    pub ca: String,
    /// PEM: the host's certificate.
    pub cert: String,
    /// PEM: the private key of `cert`.
    pub key: String,
}

fn default_listen() -> std::net::SocketAddr {
    (std::net::Ipv4Addr::UNSPECIFIED, EngineKind::Docker.row().tls_port).into()
}

/// Size limit of host.toml, in bytes.
pub const MAX_SIZE: u64 = 1 << 20;

/// The top-level keys. A service names those that it reads ([`crate::service::ServiceSpec::config`]).
pub const KEYS: [&str; 15] = [
    "hostname",
    "network",
    "dns",
    "container",
    "ca",
    "proxy",
    "registry",
    "engine",
    "sysctl",
    "kernel",
    "docker",
    "update",
    "health",
    "log",
    "remote",
];

impl HostConfig {
    /// Checks the rules that serde cannot express.
    ///
    /// # Errors
    /// The first fault: an invalid host name, an invalid container, two containers of one name, a health check without an absolute path, a
    /// value that is not PEM.
    pub fn check(&self) -> Result<(), ConfigFault> {
        if let Some(name) = self.hostname.as_deref().filter(|name| !is_host_name(name)) {
            let expected = "letters, digits and -, in parts of 1 to 63, 64 in all";
            return Err(ConfigFault::of("hostname", expected, format_args!("{name:?}")));
        }
        check_items("container", &self.containers, ContainerSpec::check)?;
        for (index, container) in self.containers.iter().enumerate() {
            if self.containers[..index].iter().any(|other| other.name == container.name) {
                let found = format!("{:?} declared twice", container.name);
                return Err(ConfigFault::of("name", "another name for each container", found).item("container", index));
            }
        }
        check_items("health", &self.health, |check| {
            let program = check.exec.first();
            let is_good = program.is_some_and(|program| program.starts_with('/'));
            let found = program.map_or_else(|| "an empty list".to_owned(), |program| format!("{program:?}"));
            let fault = || ConfigFault::of("exec", "the absolute path of a program", found);
            is_good.then_some(()).ok_or_else(fault)
        })?;
        self.network.as_ref().map_or(Ok(()), NetworkConfig::check)?;
        self.dns.as_ref().map_or(Ok(()), DnsConfig::check)?;
        self.log.as_ref().map_or(Ok(()), LogConfig::check).map_err(|fault| fault.within("log"))?;
        check_items("ca", &self.ca, |pem| check_pem("", pem, "CERTIFICATE"))?;
        self.proxy.as_ref().map_or(Ok(()), ProxyConfig::check).map_err(|fault| fault.within("proxy"))?;
        for (name, registry) in &self.registry {
            registry.check(name).map_err(|fault| fault.within("registry"))?;
        }
        check_engine(&self.engine).map_err(|fault| fault.within("engine"))?;
        check_parameters(&self.sysctl).map_err(|fault| fault.within("sysctl"))?;
        self.kernel.as_ref().map_or(Ok(()), KernelConfig::check).map_err(|fault| fault.within("kernel"))?;
        self.remote.as_ref().map_or(Ok(()), RemoteConfig::check).map_err(|fault| fault.within("remote"))?;
        match self.docker.as_ref().and_then(|docker| docker.tls.as_ref()) {
            Some(tls) => tls.check().map_err(|fault| fault.within("tls").within("docker")),
            None => Ok(()),
        }
    }
}

impl DockerTls {
    fn check(&self) -> Result<(), ConfigFault> {
        check_pem("ca", &self.ca, "CERTIFICATE")?;
        check_pem("cert", &self.cert, "CERTIFICATE")?;
        check_pem("key", &self.key, "PRIVATE KEY")
    }
}

/// Whether a text is a host name: letters, digits and `-`, in parts of 1 to 63, 64 in all.
#[must_use]
pub fn is_host_name(name: &str) -> bool {
    let part = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    name.len() <= 64 && name.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_of_a_file_is_reported() {
        let check = |text: &str| match toml::from_str::<HostConfig>(text) {
            Ok(config) => config.check().map_err(|fault| fault.to_string()),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(check(""), Ok(()));
        assert_eq!(check("hostname = 'node-1.example'"), Ok(()));
        for (text, word) in [
            ("hostnam = 'x'", "unknown field `hostnam`"),
            ("hostname = '-x'", "hostname: expected letters"),
            ("[docker.tls]\nca='x'\ncert='x'\nkey='x'", "docker.tls.ca: expected a PEM block"),
            (
                "[[container]]\nname='web'\nimage='b'\n[[container]]\nname='web'\nimage='b'",
                "container[1].name: expected another name for each container, found \"web\" declared twice",
            ),
            ("[[health]]\nname='x'\nexec=['a']", "health[0].exec: expected the absolute path"),
        ] {
            let fault = check(text).unwrap_err();
            assert!(fault.contains(word), "{text}: {fault}");
        }
    }

    #[test]
    fn the_list_of_keys_is_complete() {
        let error = toml::from_str::<HostConfig>("'?' = 0").unwrap_err().to_string();
        for key in KEYS {
            assert!(error.contains(&format!("`{key}`")), "{key}: {error}");
        }
        let known = error.rsplit_once("expected").map_or("", |(_, known)| known);
        assert_eq!(known.matches('`').count(), 2 * KEYS.len(), "a key of {known} is not in KEYS");
    }
}
