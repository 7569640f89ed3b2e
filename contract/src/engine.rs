//! Container engines: one row for each. To add an engine, add its [`EngineKind`] with its row here, and its client in `engine/`.

use crate::version::BadName;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What engines leave out at the beginning of an image's name: `docker.io/library/hello` is `hello`.
pub const DEFAULT_REGISTRY: [&str; 2] = ["docker.io/library/", "docker.io/"];

/// The registry that engines use by default, and the only one for which they know mirrors.
pub const MAIN_REGISTRY: &str = "docker.io";

/// Keys of the engine's settings that Berth sets itself, with the key of host.toml for the same purpose, if there is one.
pub const RESERVED_SETTINGS: [(&str, &str); 11] = [
    ("hosts", "[docker.tls] listen"),
    ("tls", "[docker.tls]"),
    ("tlsverify", "[docker.tls]"),
    ("tlscacert", "[docker.tls] ca"),
    ("tlscert", "[docker.tls] cert"),
    ("tlskey", "[docker.tls] key"),
    ("proxies", "[proxy]"),
    ("registry-mirrors", "[registry.\"docker.io\"] mirrors"),
    ("containerd", ""),
    ("exec-root", ""),
    ("pidfile", ""),
];

/// The kind of the engine in an image. Its text is [`Engine::name`].
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// dockerd over containerd.
    Docker,
}

/// The row of an engine: the facts that Berth's programs need.
#[derive(Debug)]
pub struct Engine {
    /// Its name in recipe, image and release record.
    pub name: &'static str,
    /// Debian package of the engine. The package's version is the engine's version.
    pub package: &'static str,
    /// The service that is ready when the engine answers.
    pub service: &'static str,
    /// Unix socket of its API.
    pub socket: &'static str,
    /// Its own configuration file. init merges the machine configuration into it.
    pub settings: &'static str,
    /// Folder with the certificate authorities of registries: `REGISTRY/NAME.crt`.
    pub registry_certificates: &'static str,
    /// Program and first arguments that check a settings file, whose path follows.
    pub validate: &'static [&'static str],
    /// Folder for the certificates of its TLS listener. init writes them from the machine configuration (mode 0600).
    pub certificates: &'static str,
    /// The file below /var with the engine's own identity. A copy of the disk must not keep it.
    pub identity: &'static str,
    /// Default port of its TLS listener.
    pub tls_port: u16,
    /// Formats of its data in /var, each with the first major version that uses the format, in ascending order.
    stores: &'static [(u32, &'static str)],
}

/// From version 29 on, docker on a new host keeps images in containerd's store.
const DOCKER: Engine = Engine {
    name: "docker",
    package: "docker.io",
    service: "dockerd",
    socket: "/run/docker.sock",
    settings: "/etc/docker/daemon.json",
    registry_certificates: "/etc/docker/certs.d",
    validate: &["/usr/sbin/dockerd", "--validate", "--config-file"],
    certificates: "/run/berth/docker-tls",
    identity: "/var/lib/docker/engine-id",
    tls_port: 2376,
    stores: &[(0, "docker-graphdriver"), (29, "docker-snapshotter")],
};

impl EngineKind {
    /// All engines.
    pub const ALL: [Self; 1] = [Self::Docker];

    /// The names of all engines, for messages: `a, b`.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(|kind| kind.row().name).join(", ")
    }

    /// Its row.
    #[must_use]
    pub const fn row(self) -> &'static Engine {
        match self {
            Self::Docker => &DOCKER,
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().name)
    }
}

/// The name of an engine in a release: letters, digits, `_` and `-`, at most 32 bytes.
///
/// A release may bundle an engine that the reading program does not know yet. The program must still read the release record, and refuse
/// the release with the engine's name in the message. So a record holds this name, not an [`EngineKind`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EngineName(String);

const NAME_MAX: usize = 32;

impl EngineName {
    /// The engine of this name, if this program knows it.
    #[must_use]
    pub fn kind(&self) -> Option<EngineKind> {
        EngineKind::ALL.into_iter().find(|kind| kind.row().name == self.0)
    }
}

impl FromStr for EngineName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let good = |c: u8| c.is_ascii_alphanumeric() || b"_-".contains(&c);
        if text.is_empty() || text.len() > NAME_MAX || !text.bytes().all(good) {
            return Err(BadName {
                what: "engine",
                wanted: "1 to 32 of letters, digits, _ and -",
                found: text.to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for EngineName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<EngineName> for String {
    fn from(name: EngineName) -> Self {
        name.0
    }
}

impl From<EngineKind> for EngineName {
    fn from(kind: EngineKind) -> Self {
        Self(kind.row().name.to_owned())
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an engine stores its data. A version can use the /var of another version only if both have the same format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum StoreFormat {
    /// `none`: an image without an engine.
    None,
    /// The name of a format. A newer release may have a format that this program does not know.
    Named(String),
}

/// The text of [`StoreFormat::None`].
const NONE: &str = "none";

impl StoreFormat {
    /// The format that an engine uses, by the Debian version of its package. Only the upstream major version matters.
    #[must_use]
    pub fn of(kind: EngineKind, debian_version: &str) -> Self {
        let upstream = debian_version.split_once(':').map_or(debian_version, |(_, rest)| rest);
        let digits = upstream.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        let major: u32 = digits.parse().unwrap_or(0);
        let format = kind.row().stores.iter().rfind(|(first, _)| *first <= major);
        format.map_or(Self::None, |(_, name)| Self::Named((*name).to_owned()))
    }
}

impl From<String> for StoreFormat {
    fn from(text: String) -> Self {
        if text == NONE { Self::None } else { Self::Named(text) }
    }
}

impl From<&str> for StoreFormat {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<StoreFormat> for String {
    fn from(format: StoreFormat) -> Self {
        format.to_string()
    }
}

impl fmt::Display for StoreFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => NONE,
            Self::Named(name) => name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_depends_on_the_major_version() {
        let format = |version: &str| StoreFormat::of(EngineKind::Docker, version).to_string();
        assert_eq!(format("26.1.5+dfsg1-9+b9"), "docker-graphdriver");
        assert_eq!(format("5:28.9-1"), "docker-graphdriver");
        assert_eq!(format("5:29.0.1-1"), "docker-snapshotter");
    }

    #[test]
    fn each_engine_has_a_unique_name_and_a_format_for_each_version() {
        for (index, kind) in EngineKind::ALL.into_iter().enumerate() {
            let row = kind.row();
            assert!(EngineKind::ALL[..index].iter().all(|other| other.row().name != row.name), "{}", row.name);
            let text = serde_json::to_string(&kind).unwrap();
            assert_eq!(text, format!("\"{}\"", row.name));
            assert_eq!(serde_json::from_str::<EngineName>(&text).unwrap().kind(), Some(kind));
            assert_eq!(EngineName::from(kind).to_string(), row.name);
            assert_eq!(row.stores[0].0, 0, "{}: no format for version 0", row.name);
            assert!(row.stores.is_sorted_by(|a, b| a.0 < b.0), "{}", row.name);
        }
    }

    #[test]
    fn a_release_may_name_an_unknown_engine() {
        let name: EngineName = serde_json::from_str("\"steam\"").unwrap();
        assert_eq!((name.kind(), name.to_string()), (None, "steam".to_owned()));
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"steam\"");
        for bad in ["", "a/b", "a b", "a.b", "\u{e4}", &"x".repeat(33)] {
            assert!(bad.parse::<EngineName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn store_formats_are_read_and_written_as_text() {
        for (text, format) in [("none", StoreFormat::None), ("x-2", StoreFormat::Named("x-2".into()))] {
            assert_eq!(StoreFormat::from(text), format);
            assert_eq!(serde_json::to_string(&format).unwrap(), format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<StoreFormat>(&format!("\"{text}\"")).unwrap(), format);
        }
    }
}
