//! Container engines: one row for each. To add an engine, add its [`EngineKind`] with its row here, and its client in `engine/`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Which engine an image bundles. As text it is [`Engine::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// dockerd over containerd.
    Docker,
}

/// What the programs of Berth have to know about an engine.
#[derive(Debug)]
pub struct Engine {
    /// The word for it in recipe, image and release record.
    pub name: &'static str,
    /// Debian package whose version is the engine's.
    pub package: &'static str,
    /// The service that is ready when the engine answers.
    pub service: &'static str,
    /// Unix socket of its API.
    pub socket: &'static str,
    /// Its own configuration file. init merges the machine configuration into it.
    pub settings: &'static str,
    /// Folder for the certificates of its TLS listener. init writes them from the machine configuration (mode 0600).
    pub certificates: &'static str,
    /// Port that it listens on for TLS where nothing else is said.
    pub tls_port: u16,
    /// Formats of its data in /var, each with the first major version that uses it, in ascending order.
    stores: &'static [(u32, &'static str)],
}

/// docker 29 makes new hosts keep images in containerd's store.
const DOCKER: Engine = Engine {
    name: "docker",
    package: "docker.io",
    service: "dockerd",
    socket: "/run/docker.sock",
    settings: "/etc/docker/daemon.json",
    certificates: "/run/berth/docker-tls",
    tls_port: 2376,
    stores: &[(0, "docker-graphdriver"), (29, "docker-snapshotter")],
};

impl EngineKind {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Docker];

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

/// How an engine keeps its data: versions with the same format can take over each other's /var, others cannot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum StoreFormat {
    /// `none`: an image without an engine.
    None,
    /// The word for a format. A newer release may have one that this program does not know.
    Named(String),
}

/// The word for [`StoreFormat::None`].
const NONE: &str = "none";

impl StoreFormat {
    /// The format of an engine, by the Debian version of its package. Only the upstream major version matters.
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
    fn formats_change_with_the_major_versions_that_changed_them() {
        let format = |version: &str| StoreFormat::of(EngineKind::Docker, version).to_string();
        assert_eq!(format("26.1.5+dfsg1-9+b9"), "docker-graphdriver");
        assert_eq!(format("5:28.9-1"), "docker-graphdriver");
        assert_eq!(format("5:29.0.1-1"), "docker-snapshotter");
    }

    #[test]
    fn each_engine_has_a_name_of_its_own_and_a_format_for_each_version() {
        for (index, kind) in EngineKind::ALL.into_iter().enumerate() {
            let row = kind.row();
            assert!(EngineKind::ALL[..index].iter().all(|other| other.row().name != row.name), "{}", row.name);
            let text = serde_json::to_string(&kind).unwrap();
            assert_eq!(text, format!("\"{}\"", row.name));
            assert_eq!(row.stores[0].0, 0, "{}: no format for version 0", row.name);
            assert!(row.stores.is_sorted_by(|a, b| a.0 < b.0), "{}", row.name);
        }
    }

    #[test]
    fn a_format_is_a_word_and_none_is_one_of_them() {
        for (text, format) in [("none", StoreFormat::None), ("x-2", StoreFormat::Named("x-2".into()))] {
            assert_eq!(StoreFormat::from(text), format);
            assert_eq!(serde_json::to_string(&format).unwrap(), format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<StoreFormat>(&format!("\"{text}\"")).unwrap(), format);
        }
    }
}
