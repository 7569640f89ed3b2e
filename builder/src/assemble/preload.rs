//! OCI images that the host imports at its first boot.

use super::{error::AssembleError, own::OwnFile};
use crate::{recipe::Recipe, source::oci};
use berth_contract::{image_spec::PreloadedImage, paths::IMAGES};
use berth_fetch::store::Store;

/// Images that the host imports at its first boot.
#[derive(Debug, Default)]
pub struct Preloaded {
    /// Their archives.
    pub files: Vec<OwnFile>,
    /// What init is told about them.
    pub list: Vec<PreloadedImage>,
}

/// Packs the images of a recipe into `store`.
///
/// # Errors
/// Images that cannot be used, and a store that cannot be written.
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
