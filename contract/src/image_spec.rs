//! `/usr/lib/berth/image.json`: what the builder tells init about the image it runs in.

use crate::{
    arch::Arch,
    container::ContainerSpec,
    engine::EngineKind,
    update::{HealthSpec, UpdateSpec},
    version::{ImageId, OsVersion},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The image as its own init sees it.
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
    /// The engine, where there is one.
    pub engine: Option<ImageEngine>,
    /// Kernel modules loaded at boot, in order.
    pub modules: Vec<String>,
    /// Images to import at first boot.
    pub images: Vec<PreloadedImage>,
    /// Containers to start.
    pub containers: Vec<ContainerSpec>,
    /// Debian packages in the image: name to version.
    #[serde(default)]
    pub packages: BTreeMap<String, String>,
    /// Where new versions come from, unless host.toml says otherwise.
    #[serde(default)]
    pub update: UpdateSpec,
    /// When a version on trial counts as failed.
    #[serde(default)]
    pub health: HealthSpec,
}

/// The bundled engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageEngine {
    /// Which.
    pub kind: EngineKind,
    /// Debian version of its package.
    pub version: String,
}

/// An OCI image in the root file system: a tar that is at once an OCI archive and a `docker save` archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreloadedImage {
    /// Name under which the engine shall know it, e.g. `hello:latest`.
    pub name: String,
    /// Absolute path of the archive.
    pub archive: String,
    /// Digest of the image's configuration, `sha256:...`: docker's image id.
    pub image_id: String,
}
