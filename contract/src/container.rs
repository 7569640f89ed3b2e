//! Declared containers: the host starts the containers that recipe and host.toml declare (`[[container]]`).

use crate::config_fault::ConfigFault;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Unexpected, Visitor},
};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// Label, in the engine, of the containers that were created from a declaration.
pub const LABEL: &str = "dev.berth.spec";

/// Content of [`crate::paths::CONTAINERS`], which init writes for the workload program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    /// The containers of the recipe and of host.toml.
    pub containers: Vec<ContainerSpec>,
    /// What may happen to the containers that exist already.
    pub existing: Existing,
}

/// What the workload program may do to containers of earlier declarations. Their data are at risk, so a container is removed only if a
/// configuration of this boot says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// The list is complete: a container whose declaration has changed is replaced, and one that is not in the list is removed.
    #[default]
    Replace,
    /// host.toml was not found at this boot, and the list comes from the last good one: changed containers are replaced, none is removed.
    Keep,
    /// There is a host.toml that could not be used, so its containers are unknown: existing containers are started, and nothing else.
    Start,
}

/// One declared container.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerSpec {
    /// Its name in the engine: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
    pub name: String,
    /// The image's name as the engine knows it (`hello`, `registry/name:tag`).
    pub image: String,
    /// Arguments after the image's entry point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Replaces the image's entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Network mode.
    #[serde(default)]
    pub network: NetworkMode,
    /// Published ports; allowed only with the network mode `bridge`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortSpec>,
    /// Volumes and bind mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeSpec>,
    /// Memory limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Limit of CPU time, in CPUs (0.5 is half a CPU).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// When the engine restarts it.
    #[serde(default)]
    pub restart: ContainerRestart,
    /// Seconds that it gets to stop before it is killed. Default: the engine's (docker: 10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<u32>,
    /// User, as `UID[:GID]` or as a user name of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Whether its root file system is read-only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Whether it gets all capabilities and devices.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// Added capabilities, without `CAP_`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Dropped capabilities, without `CAP_`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// Whether the host is healthy only while this container runs.
    #[serde(default = "yes")]
    pub required: bool,
}

fn yes() -> bool {
    true
}

/// The network of a container: `bridge`, `host`, `none` or `container:NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// The engine's bridge. Ports can be published.
    #[default]
    Bridge,
    /// The host's own network.
    Host,
    /// Loopback only.
    None,
    /// The network of another container.
    Container(String),
}

/// When the engine restarts a container.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerRestart {
    /// Whenever it exits, and at boot.
    #[default]
    Always,
    /// When it exits with a status other than 0.
    OnFailure,
    /// Never. The host still starts the container at every boot.
    No,
}

/// A published port: `[ADDRESS:]HOST:CONTAINER[/tcp|/udp]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSpec {
    /// Host address to listen on; `None` means all addresses.
    pub address: Option<std::net::IpAddr>,
    /// Port on the host.
    pub host: u16,
    /// Port in the container.
    pub container: u16,
    /// Transport protocol.
    pub protocol: Protocol,
}

/// Transport protocol of a published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A volume or bind mount: `SOURCE:TARGET[:ro]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Name of an engine volume, or an absolute path on the host.
    pub source: String,
    /// Absolute path in the container.
    pub target: String,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// A number of bytes: `268435456`, `"256MiB"`, `"1GiB"`. The units are powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A value of a declaration cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {wanted}, found {found:?}")]
pub struct BadValue {
    /// The expected form of the value.
    pub wanted: &'static str,
    /// The value as given.
    pub found: String,
}

impl BadValue {
    /// Converts to an error of serde, which has separate places for the expected and the found value.
    fn into_serde<E: serde::de::Error>(self) -> E {
        E::invalid_value(Unexpected::Str(&self.found), &self.wanted)
    }
}

impl FromStr for NetworkMode {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text {
            "bridge" => Ok(Self::Bridge),
            "host" => Ok(Self::Host),
            "none" => Ok(Self::None),
            _ => match text.strip_prefix("container:") {
                Some(name) if !name.is_empty() => Ok(Self::Container(name.to_owned())),
                _ => Err(BadValue { wanted: "bridge, host, none or container:NAME", found: text.to_owned() }),
            },
        }
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge => f.write_str("bridge"),
            Self::Host => f.write_str("host"),
            Self::None => f.write_str("none"),
            Self::Container(name) => write!(f, "container:{name}"),
        }
    }
}

impl FromStr for PortSpec {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let bad = || BadValue { wanted: "a port as [ADDRESS:]HOST:CONTAINER[/tcp|/udp]", found: text.to_owned() };
        let (ports, protocol) = match text.rsplit_once('/') {
            None => (text, Protocol::Tcp),
            Some((ports, "tcp")) => (ports, Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some(_) => return Err(bad()),
        };
        let (rest, container) = ports.rsplit_once(':').ok_or_else(bad)?;
        let (address, host) = match rest.rsplit_once(':') {
            None => (None, rest),
            Some((address, host)) => {
                let plain = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
                (Some(plain.parse().map_err(|_| bad())?), host)
            }
        };
        let port = |digits: &str| digits.parse::<u16>().ok().filter(|&p| p != 0).ok_or_else(bad);
        Ok(Self { address, host: port(host)?, container: port(container)?, protocol })
    }
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(std::net::IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            Some(address) => write!(f, "{address}:")?,
            None => {}
        }
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{}:{}/{protocol}", self.host, self.container)
    }
}

impl FromStr for VolumeSpec {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let bad =
            || BadValue { wanted: "a volume as NAME:/TARGET[:ro] or /var/PATH:/TARGET[:ro]", found: text.to_owned() };
        let (rest, read_only) = match text.strip_suffix(":ro") {
            Some(rest) => (rest, true),
            None => (text.strip_suffix(":rw").unwrap_or(text), false),
        };
        let (source, target) = rest.split_once(':').ok_or_else(bad)?;
        let name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let named = source.starts_with(|c: char| c.is_ascii_alphanumeric()) && source.chars().all(name);
        let climbs = |path: &str| path.split('/').any(|part| part == "..");
        if !(named || source.starts_with('/')) || !target.starts_with('/') || target.contains(':') {
            return Err(bad());
        }
        if climbs(source) || climbs(target) {
            return Err(bad());
        }
        Ok(Self { source: source.to_owned(), target: target.to_owned(), read_only })
    }
}

impl fmt::Display for VolumeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}{}", self.source, self.target, if self.read_only { ":ro" } else { "" })
    }
}

impl FromStr for ByteSize {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let bad = || BadValue { wanted: "a size like 512MiB or 1GiB", found: text.to_owned() };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let shift = match &text[digits..] {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            _ => return Err(bad()),
        };
        let number: u64 = text[..digits].parse().map_err(|_| bad())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        match unit.iter().find(|(shift, _)| self.0 != 0 && self.0.trailing_zeros() >= *shift) {
            Some((shift, name)) => write!(f, "{}{name}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct SizeVisitor;

        impl Visitor<'_> for SizeVisitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size like \"512MiB\" or a number of bytes")
            }

            fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes).map(ByteSize).map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(BadValue::into_serde)
            }
        }

        d.deserialize_any(SizeVisitor)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(BadValue::into_serde)
            }
        }
    )*};
}
serde_as_text!(NetworkMode, PortSpec, VolumeSpec);

impl ContainerSpec {
    /// Checks the rules that serde cannot express.
    ///
    /// # Errors
    /// The first fault: a name that the engine would refuse, an empty image, ports without a bridge, a CPU or memory limit that is too small.
    pub fn check(&self) -> Result<(), ConfigFault> {
        let name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let starts = self.name.starts_with(|c: char| c.is_ascii_alphanumeric());
        // docker refuses a name of one character.
        if self.name.len() < 2 || !starts || !self.name.chars().all(name) {
            let expected = "at least two letters, digits, _ . -, starting with a letter or digit";
            return Err(ConfigFault::of("name", expected, format_args!("{:?}", self.name)));
        }
        if self.image.is_empty() {
            return Err(ConfigFault::of("image", "a name", "an empty text"));
        }
        if !self.ports.is_empty() && self.network != NetworkMode::Bridge {
            let found = format!("network = {:?}", self.network.to_string());
            return Err(ConfigFault::of("ports", "network = \"bridge\", the only one with published ports", found));
        }
        if let Some(cpus) = self.cpus.filter(|cpus| !cpus.is_finite() || *cpus <= 0.0) {
            return Err(ConfigFault::of("cpus", "a number greater than 0", cpus));
        }
        if let Some(memory) = self.memory.filter(|memory| memory.0 < 6 << 20) {
            return Err(ConfigFault::of("memory", "at least 6MiB", memory));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
