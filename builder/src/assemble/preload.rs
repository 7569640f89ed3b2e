//! Preloaded images: OCI images that the host imports at its first boot.

use super::{error::AssembleError, own::OwnFile};
use crate::{recipe::Recipe, source::oci};
use berth_contract::{image_spec::PreloadedImage, paths::IMAGES};
use berth_fetch::store::Store;

/// The preloaded images of a recipe.
#[derive(Debug, Default)]
pub struct Preloaded {
    /// The archive of each image.
    pub files: Vec<OwnFile>,
    /// The entries of image.json, from which init knows the images.
    pub list: Vec<PreloadedImage>,
}

/// Packs the images of a recipe into `store`.
///
/// # Errors
/// If an image cannot be used, or the store cannot be written.
pub fn preload(recipe: &Recipe, store: &Store) -> Result<Preloaded, AssembleError> {
    let mut all = Preloaded::default();
    for entry in &recipe.oci {
        let image = oci::image(entry, recipe.arch)?;
        let archive = format!("{IMAGES}/{}.tar", image.name.stem());
        let data = oci::preload(&image, store)?;
        all.files.push(OwnFile { path: archive.clone(), mode: 0o644, data });
        all.list.push(PreloadedImage {
            name: image.name.full(),
            archive,
            image_id: format!("sha256:{}", image.image_id),
        });
    }
    Ok(all)
}
