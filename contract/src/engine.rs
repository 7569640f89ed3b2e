//! Container engines.

use serde::{Deserialize, Serialize};

/// Which engine an image bundles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// dockerd over containerd.
    Docker,
    /// containerd alone.
    Containerd,
    /// podman, without a daemon.
    Podman,
}

impl std::fmt::Display for EngineKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Podman => "podman",
        })
    }
}

/// How an engine keeps its data: versions with the same format can take over each other's /var, others cannot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreFormat(pub String);

impl StoreFormat {
    /// The format of an engine, by the upstream part of its Debian version.
    ///
    /// docker 29 makes new hosts keep images in containerd's store; containerd 2 reads what 1 wrote, but not the other way round;
    /// podman 5 keeps its database in SQLite.
    #[must_use]
    pub fn of(kind: EngineKind, debian_version: &str) -> Self {
        let upstream = debian_version.split_once(':').map_or(debian_version, |(_, rest)| rest);
        let digits = upstream.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        let major: u32 = digits.parse().unwrap_or(0);
        Self(
            match (kind, major) {
                (EngineKind::Docker, 0..29) => "docker-graphdriver",
                (EngineKind::Docker, _) => "docker-snapshotter",
                (EngineKind::Containerd, 0..2) => "containerd-1",
                (EngineKind::Containerd, _) => "containerd-2",
                (EngineKind::Podman, 0..5) => "podman-boltdb",
                (EngineKind::Podman, _) => "podman-sqlite",
            }
            .to_owned(),
        )
    }
}

impl std::fmt::Display for StoreFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_change_with_the_major_versions_that_changed_them() {
        let format = |kind, version: &str| StoreFormat::of(kind, version).0;
        assert_eq!(format(EngineKind::Docker, "26.1.5+dfsg1-9+b9"), "docker-graphdriver");
        assert_eq!(format(EngineKind::Docker, "5:29.0.1-1"), "docker-snapshotter");
        assert_eq!(format(EngineKind::Containerd, "1.7.24~ds1-6"), "containerd-1");
        assert_eq!(format(EngineKind::Podman, "5.4.2+ds1-2"), "podman-sqlite");
    }
}
