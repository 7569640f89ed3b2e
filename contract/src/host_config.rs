//! `host.toml`: the configuration of one machine. The image is the same for many machines.

use crate::{
    container::ContainerSpec,
    engine::EngineKind,
    remote_config::RemoteConfig,
    update::{HealthCheck, UpdateSpec},
};
use serde::{Deserialize, Serialize};

/// The whole file. Every key is optional; unknown keys are an error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostConfig {
    /// Host name (RFC 1123 label or dotted name). Default: `berth-` and the start of the machine id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Further containers. A container with the name of one in the recipe replaces that one.
    #[serde(default, rename = "container", skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<ContainerSpec>,
    /// Docker's settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerConfig>,
    /// Where new versions come from. Each key replaces the image's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateSpec>,
    /// The API over the network. It replaces the table of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteConfig>,
    /// Checks that a version on trial must pass, in addition to the image's checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<HealthCheck>,
}

/// `[docker]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DockerConfig {
    /// The TLS listener. Without it docker listens on its Unix socket only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<DockerTls>,
}

/// `[docker.tls]`: docker's API over TCP. A client needs a certificate that `ca` signed.
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

impl HostConfig {
    /// Checks the rules that serde cannot express. Returns the first fault as a sentence.
    ///
    /// # Errors
    /// An invalid host name, an invalid container, two containers of one name, a health check without an absolute path, a value that is
    /// not PEM.
    pub fn check(&self) -> Result<(), String> {
        if let Some(name) = self.hostname.as_deref().filter(|name| !is_host_name(name)) {
            return Err(format!("hostname {name:?}: expected letters, digits and -, in parts of 1 to 63, 64 in all"));
        }
        for (index, container) in self.containers.iter().enumerate() {
            container.check()?;
            if self.containers[..index].iter().any(|other| other.name == container.name) {
                return Err(format!("container {}: declared twice", container.name));
            }
        }
        for check in &self.health {
            if !check.exec.first().is_some_and(|program| program.starts_with('/')) {
                return Err(format!("health {}: exec: expected the absolute path of a program", check.name));
            }
        }
        if let Some(remote) = &self.remote {
            remote.check()?;
        }
        if let Some(tls) = self.docker.as_ref().and_then(|docker| docker.tls.as_ref()) {
            for (key, text, word) in
                [("ca", &tls.ca, "CERTIFICATE"), ("cert", &tls.cert, "CERTIFICATE"), ("key", &tls.key, "PRIVATE KEY")]
            {
                if !(text.contains("-----BEGIN ") && text.contains(&format!("{word}-----"))) {
                    return Err(format!(
                        "docker.tls.{key}: expected a PEM block of {word}, found {} bytes without one",
                        text.len()
                    ));
                }
            }
        }
        Ok(())
    }
}

fn is_host_name(name: &str) -> bool {
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
            Ok(config) => config.check(),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(check(""), Ok(()));
        assert_eq!(check("hostname = 'node-1.example'"), Ok(()));
        for (text, word) in [
            ("hostnam = 'x'", "unknown field `hostnam`"),
            ("hostname = '-x'", "hostname"),
            ("[docker.tls]\nca='x'\ncert='x'\nkey='x'", "docker.tls.ca"),
            ("[[container]]\nname='web'\nimage='b'\n[[container]]\nname='web'\nimage='b'", "declared twice"),
        ] {
            let fault = check(text).unwrap_err();
            assert!(fault.contains(word), "{text}: {fault}");
        }
    }
}
