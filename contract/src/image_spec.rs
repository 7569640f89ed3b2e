//! `/usr/lib/berth/image.json`: the description of the image. The builder writes it for init and hostctl.

use crate::{
    arch::Arch,
    config_source::ConfigSource,
    container::ContainerSpec,
    engine::EngineKind,
    remote_config::RemoteConfig,
    time_config::TimeConfig,
    update::{HealthSpec, UpdateSpec},
    version::{ImageId, OsVersion},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The description of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageSpec {
    /// `IMAGE_ID`.
    pub id: ImageId,
    /// `IMAGE_VERSION`.
    pub version: OsVersion,
    /// Architecture of its programs.
    pub arch: Arch,
    /// Kernel release: the directory below `/usr/lib/modules`.
    pub kernel: String,
    /// The engine, if the image has one.
    pub engine: Option<ImageEngine>,
    /// Kernel modules to load at boot, in this order.
    pub modules: Vec<String>,
    /// Images to import at first boot.
    pub images: Vec<PreloadedImage>,
    /// Containers that the recipe declares.
    pub containers: Vec<ContainerSpec>,
    /// Debian packages in the image: name to version.
    #[serde(default)]
    pub packages: BTreeMap<String, String>,
    /// Where new versions come from, unless host.toml says otherwise.
    #[serde(default)]
    pub update: UpdateSpec,
    /// When a version that is on trial counts as failed.
    #[serde(default)]
    pub health: HealthSpec,
    /// The API over the network, unless host.toml says otherwise.
    #[serde(default)]
    pub remote: Option<RemoteConfig>,
    /// Time servers, unless host.toml or DHCP names some.
    #[serde(default)]
    pub time: TimeConfig,
    /// The places where the host may look for host.toml.
    #[serde(default = "ConfigSource::all")]
    pub config_sources: Vec<ConfigSource>,
}

/// The bundled engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageEngine {
    /// The kind of the engine.
    pub kind: EngineKind,
    /// Debian version of its package.
    pub version: String,
}

/// An OCI image in the root file system. Its tar is both an OCI archive and a `docker save` archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreloadedImage {
    /// The image's name in the engine, e.g. `hello:latest`.
    pub name: String,
    /// Absolute path of the archive.
    pub archive: String,
    /// Digest of the image's configuration, `sha256:...`. docker uses it as the image id.
    pub image_id: String,
}
