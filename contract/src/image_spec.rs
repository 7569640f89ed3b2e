//! `/usr/lib/berth/image.json`: what the builder tells init about the image it runs in.

use crate::{
    container::ContainerSpec,
    engine::EngineKind,
    version::{ImageId, OsVersion},
};
use serde::{Deserialize, Serialize};

/// The image as its own init sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageSpec {
    /// `IMAGE_ID`.
    pub id: ImageId,
    /// `IMAGE_VERSION`.
    pub version: OsVersion,
    /// Architecture as the recipe names it.
    pub arch: String,
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
