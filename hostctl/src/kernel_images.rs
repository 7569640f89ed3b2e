//! What the kernel images of the installed versions should be: their digests. An upgrade knows the digest from the signed record of the
//! release. For the image of the installation, the digest is taken after its first healthy boot.

use crate::file::{self, FileError};
use berth_contract::{
    digest::RootHash,
    paths::KERNEL_IMAGES,
    release::UkiRecord,
    version::{ImageId, OsVersion},
};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Number of versions that are kept: those of both slots, and room for one that comes and one that goes.
const KEPT: usize = 4;

/// The kernel image of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelImage {
    /// The image's id.
    pub id: ImageId,
    /// The image's version.
    pub version: OsVersion,
    /// Root hash of the root file system that it boots.
    pub root_hash: RootHash,
    /// Size, digest and parts.
    pub uki: UkiRecord,
}

/// The kernel images that this host knows, oldest first.
#[derive(Debug, Default)]
pub struct KernelImages(Vec<KernelImage>);

impl KernelImages {
    /// Reads the list. A missing or damaged list counts as empty: then the digests are taken anew from images that have booted.
    #[must_use]
    pub fn load() -> Self {
        Self(file::json_or_empty(Path::new(KERNEL_IMAGES)).0)
    }

    /// The image of a version with this root hash.
    #[must_use]
    pub fn find(&self, id: &ImageId, version: &OsVersion, root_hash: RootHash) -> Option<&KernelImage> {
        self.of(id, version).filter(|known| known.root_hash == root_hash)
    }

    /// The image of a version.
    #[must_use]
    pub fn of(&self, id: &ImageId, version: &OsVersion) -> Option<&KernelImage> {
        self.0.iter().find(|known| known.id == *id && known.version == *version)
    }

    /// Stores an image; it replaces another one of the same version. Nothing is written if the image is known already.
    ///
    /// # Errors
    /// When the list cannot be written. Then nothing is known about this version, because a wrong digest would be worse than none.
    pub fn learn(&mut self, image: KernelImage) -> Result<(), FileError> {
        if self.0.contains(&image) {
            return Ok(());
        }
        self.0.retain(|known| known.id != image.id || known.version != image.version);
        self.0.push(image);
        let surplus = self.0.len().saturating_sub(KEPT);
        self.0.drain(..surplus);
        let path = Path::new(KERNEL_IMAGES);
        file::replace_json(path, &self.0).inspect_err(|_| {
            // The older list may have another image of this version. An error leaves it, and a repair then asks the source.
            let _ = std::fs::remove_file(path);
        })
    }
}
