//! Tables of host.toml for the system below the containers: `[proxy]`, `[registry]`, `[engine]`, `[sysctl]` and `[kernel]`.

use crate::{
    config_fault::{ConfigFault, check_items},
    engine::{MAIN_REGISTRY, RESERVED_SETTINGS},
    pem::check_pem,
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};
use std::{collections::BTreeMap, fmt};

/// `[proxy]`: the proxy of hostctl, of the engine, and of everything else that fetches.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyConfig {
    /// URL of the proxy for `http:` addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// URL of the proxy for `https:` addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<String>,
    /// Hosts, domains and networks that are reached without the proxy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_proxy: Vec<String>,
}

/// `[registry."NAME"]`: how the engine reaches a registry.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryConfig {
    /// URLs of mirrors, tried before the registry itself. Only for `docker.io`: the engine knows no mirrors of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// PEM: a certificate authority that is trusted for this registry and its mirrors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// `[kernel]`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelConfig {
    /// Modules to load at boot, after those of the recipe, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
}

/// A kernel parameter: a text or a whole number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter(pub String);

impl ProxyConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigFault> {
        for (key, url) in [("http", &self.http), ("https", &self.https)] {
            if let Some(url) = url.as_ref().filter(|url| !is_url(url)) {
                return Err(ConfigFault::of(key, "the URL of a proxy, e.g. http://proxy.example:3128", quoted(url)));
            }
        }
        check_items("no_proxy", &self.no_proxy, |name| {
            let is_good = !name.is_empty() && name.bytes().all(|c| c.is_ascii_graphic() && !b",\"\\".contains(&c));
            let fault = || ConfigFault::new("a host, a domain or a network", format_args!("{name:?}"));
            is_good.then_some(()).ok_or_else(fault)
        })
    }
}

impl RegistryConfig {
    pub(crate) fn check(&self, name: &str) -> Result<(), ConfigFault> {
        let is_name = |c: u8| c.is_ascii_alphanumeric() || b".-:[]".contains(&c);
        if name.is_empty() || name.starts_with(['.', '-']) || !name.bytes().all(is_name) {
            let found = format!("{name:?}");
            return Err(ConfigFault::new("the name of a registry: HOST or HOST:PORT", found).within(name));
        }
        if name != MAIN_REGISTRY && !self.mirrors.is_empty() {
            let expected = format!("mirrors of {MAIN_REGISTRY} only");
            let fault = ConfigFault::of("mirrors", expected, format_args!("mirrors of {name}"));
            let hint = "the engine has no mirrors for other registries: use the mirror's name in the names of images";
            return Err(fault.with_hint(hint).within(name));
        }
        check_items("mirrors", &self.mirrors, |url| {
            let fault = || ConfigFault::new("the URL of a registry, e.g. https://mirror.example", quoted(url));
            is_url(url).then_some(()).ok_or_else(fault)
        })
        .map_err(|fault| fault.within(name))?;
        let ca = self.ca.as_ref().map_or(Ok(()), |pem| check_pem("ca", pem, "CERTIFICATE"));
        ca.map_err(|fault| fault.within(name))
    }
}

impl KernelConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigFault> {
        check_items("modules", &self.modules, |name| {
            let is_good = !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-".contains(&c));
            let fault = || ConfigFault::new("the name of a kernel module, e.g. br_netfilter", format_args!("{name:?}"));
            is_good.then_some(()).ok_or_else(fault)
        })
    }
}

/// Checks `[sysctl]`: the names of the parameters.
pub(crate) fn check_parameters(parameters: &BTreeMap<String, Parameter>) -> Result<(), ConfigFault> {
    for (name, Parameter(value)) in parameters {
        let part = |part: &str| {
            !part.is_empty() && part != ".." && part.bytes().all(|c| c.is_ascii_graphic() && !b"\"\\".contains(&c))
        };
        if !path_of(name).split('/').all(part) {
            let expected = "the name of a kernel parameter, e.g. \"net.ipv4.ip_forward\"";
            return Err(ConfigFault::new(expected, format_args!("{name:?}")).within(name));
        }
        if value.contains(['\n', '\0']) {
            return Err(ConfigFault::new("one line", "a line break or NUL").within(name));
        }
    }
    Ok(())
}

/// The path of a kernel parameter below /proc/sys, as sysctl.d(5) says: if the first separator is a dot, dots and slashes are exchanged.
#[must_use]
pub fn path_of(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name.as_bytes()[at] == b'.' => name
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
        _ => name.to_owned(),
    }
}

/// Checks `[engine]`: the keys that Berth sets itself. The engine checks the rest.
pub(crate) fn check_engine(settings: &serde_json::Map<String, serde_json::Value>) -> Result<(), ConfigFault> {
    for (key, instead) in RESERVED_SETTINGS {
        if settings.contains_key(key) {
            let expected = match instead {
                "" => "settings that a host may change".to_owned(),
                instead => format!("{instead} instead"),
            };
            return Err(ConfigFault::of(key, expected, "a setting that Berth sets itself"));
        }
    }
    match settings.get("data-root") {
        Some(serde_json::Value::String(path)) if path.starts_with("/var/") && !path.contains("..") => Ok(()),
        Some(found) => Err(ConfigFault::of("data-root", "a folder below /var, the only persistent one", found)),
        None => Ok(()),
    }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) && text.bytes().all(|c| c.is_ascii_graphic())
}

/// A URL in quotes, without its password.
fn quoted(url: &str) -> String {
    format!("{:?}", crate::credentials::without_credentials(url))
}

impl Serialize for Parameter {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Found;
        impl Visitor<'_> for Found {
            type Value = Parameter;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a whole number")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Parameter, E> {
                Ok(Parameter(number.to_string()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Parameter, E> {
                Ok(Parameter(number.to_string()))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Parameter, E> {
                Ok(Parameter(text.to_owned()))
            }
        }
        from.deserialize_any(Found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_config::HostConfig;

    #[test]
    fn values_are_checked_with_their_keys() {
        let check = |text: &str| toml::from_str::<HostConfig>(text).unwrap().check().map_err(|fault| fault.to_string());
        let good = "ca = ['-----BEGIN CERTIFICATE-----']\n[proxy]\nhttp = 'http://p:3128'\nno_proxy = ['localhost', '10.0.0.0/8']\n\
                    [registry.'docker.io']\nmirrors = ['https://m.example']\n[registry.'r.example:5000']\nca = '-----BEGIN CERTIFICATE-----'\n\
                    [engine]\nlive-restore = true\ndata-root = '/var/lib/other'\n[engine.log-opts]\nmax-size = '1m'\n\
                    [sysctl]\n'net.ipv4.ip_forward' = 1\nvm.swappiness = '10'\n[kernel]\nmodules = ['br_netfilter']\n";
        assert_eq!(check(&good.replace("vm.swappiness", "'vm.swappiness'")), Ok(()));
        for (text, fault) in [
            ("ca = ['x']", "ca[0]: expected a PEM block of CERTIFICATE"),
            ("proxy.http = 'p:3128'", "proxy.http: expected the URL of a proxy"),
            ("proxy.no_proxy = ['a', 'b,c']", "proxy.no_proxy[1]: expected a host"),
            ("[registry.'a b']", "registry.\"a b\": expected the name of a registry"),
            (
                "[registry.'r.example']\nmirrors = ['https://m']",
                "registry.\"r.example\".mirrors: expected mirrors of docker.io",
            ),
            ("[registry.'docker.io']\nmirrors = ['m']", "registry.\"docker.io\".mirrors[0]: expected the URL"),
            ("engine.hosts = []", "engine.hosts: expected [docker.tls] listen instead"),
            ("engine.data-root = '/data'", "engine.data-root: expected a folder below /var"),
            ("sysctl.'a/../b' = 1", "sysctl.\"a/../b\": expected the name of a kernel parameter"),
            ("sysctl.'a.b' = \"1\\n2\"", "sysctl.\"a.b\": expected one line"),
            ("kernel.modules = ['../x']", "kernel.modules[0]: expected the name of a kernel module"),
        ] {
            let found = check(text).unwrap_err();
            assert!(found.starts_with(fault), "{text}: {found}");
        }
        let secret = check("proxy.http = 'x://joe:hunter2@p'").unwrap_err();
        assert!(!secret.contains("hunter2"), "{secret}");
        for (name, path) in [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/conf/eth0.1/x", "net/ipv4/conf/eth0.1/x"),
            ("net.ipv4.conf.eth0/1.x", "net/ipv4/conf/eth0.1/x"),
        ] {
            assert_eq!(path_of(name), path);
        }
    }
}
