//! Preloaded images: OCI images that the host imports at its first boot.

use super::{error::AssembleError, own::OwnFile};
use crate::{
    recipe::{Diagnostic, Place, Recipe},
    source::oci,
};
use berth_contract::{image_spec::PreloadedImage, paths::IMAGES};
use berth_fetch::store::Store;
use std::collections::BTreeMap;

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
/// If an image cannot be used, two images have the same name, or the store cannot be written.
pub fn preload(recipe: &Recipe, store: &Store) -> Result<Preloaded, AssembleError> {
    let mut all = Preloaded::default();
    let mut names: BTreeMap<String, &Place> = BTreeMap::new();
    for entry in &recipe.oci {
        let image = oci::image(entry, recipe.arch)?;
        let place = &entry.image.place;
        if let Some(first) = names.insert(image.name.full(), place) {
            let hint = "give one of them another `name`, or remove the inherited one: [oci] remove = [\"NAME\"]";
            let fault = Diagnostic::new(place, format!("image {} is preloaded twice", image.name))
                .wanted("images of different names")
                .found(format!("the same name at {first}"));
            return Err(fault.with_hint(hint).into());
        }
        let archive = format!("{IMAGES}/{}.tar", image.name.file_name());
        let data = oci::preload(&image, store)?;
        let what = format!("image {} of {place}", image.name);
        all.files.push(OwnFile { what, path: archive.clone(), mode: 0o644, data });
        all.list.push(PreloadedImage {
            name: image.name.full(),
            archive,
            image_id: format!("sha256:{}", image.image_id),
        });
    }
    Ok(all)
}
