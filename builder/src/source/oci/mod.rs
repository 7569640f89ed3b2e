//! OCI images: reads them from archives and folders, preloads them into the host, and makes them from a program.

mod archive;
mod blob;
mod error;
mod layout;
mod pack;
mod reference;
mod schema;
mod select;

pub use archive::{preload, publish};
pub use blob::Blob;
pub use error::OciError;
pub use pack::{Packing, pack};
pub use reference::{BadReference, Reference};

use crate::recipe::{Diagnostic, OciEntry, OciSource};
use berth_contract::{arch::Arch, chain::Chain, digest::Sha256};
use layout::Layout;
use schema::{CONFIG_TYPES, ImageConfig, LAYER_TYPES, OciManifest};
use std::io;

/// An OCI image for one platform. All parts were checked against their digests.
#[derive(Clone, Debug)]
pub struct OciImage {
    /// The name of the image in the engine.
    pub name: Reference,
    /// The architecture by its OCI name, such as `amd64`.
    pub architecture: String,
    /// The manifest.
    pub manifest: Blob,
    /// The configuration.
    pub config: Blob,
    /// The layers, lowest first. They may be compressed.
    pub layers: Vec<Blob>,
    /// Digest of the configuration: docker's image id.
    pub image_id: Sha256,
}

/// Reads the image of a recipe's `entry`.
///
/// The image gets the name in the recipe, else the name in the layout's annotations, else the name of the file.
///
/// # Errors
/// The image cannot be used. The diagnostic shows the recipe's line.
pub fn image(entry: &OciEntry, arch: Arch) -> Result<OciImage, Diagnostic> {
    let name = entry.name.as_ref().map(|name| name.value.parse::<Reference>()).transpose().map_err(|bad| {
        let place = entry.name.as_ref().map_or(&entry.image.place, |name| &name.place);
        Diagnostic::new(place, "name of an image is not valid").wanted(bad.wanted).found(format!("{:?}", bad.found))
    })?;
    read(&entry.image.value, arch, name).map_err(|error| {
        let text = Chain(&error).to_string();
        let fault = Diagnostic::new(&entry.image.place, format!("image cannot be used: {text}"));
        let missing = matches!(&error, OciError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound);
        match error.hint() {
            Some(hint) => fault.with_hint(hint),
            None if missing => {
                fault.with_hint("create the image first: `berth pack` makes an archive from a static program")
            }
            None => fault,
        }
    })
}

/// Reads the image for `arch` at `source`: the image with the name `name`, or else the only image.
///
/// # Errors
/// The image is missing, damaged, for another platform, or ambiguous.
pub fn read(source: &OciSource, arch: Arch, name: Option<Reference>) -> Result<OciImage, OciError> {
    let (layout, path) = match source {
        OciSource::Archive(path) => (Layout::archive(path)?, path),
        OciSource::Layout(path) => (Layout::folder(path)?, path),
    };
    let chosen = select::select(&layout, arch.oci, name.as_ref())?;
    let (manifest, document): (_, OciManifest) = layout.json(&chosen.manifest, "manifest")?;
    let known = |media_type: &str, types: &[&str], what: &str| match types.contains(&media_type) {
        true => Ok(()),
        false => Err(layout.bad(what, format!("media type {media_type:?}"), &types.join(" or "))),
    };
    known(&document.config.media_type, &CONFIG_TYPES, "configuration")?;
    let (config, settings): (_, ImageConfig) = layout.json(&document.config, "configuration")?;
    if (settings.os.as_str(), settings.architecture.as_str()) != ("linux", arch.oci) {
        return Err(OciError::NoPlatform {
            at: path.clone(),
            wanted: format!("linux/{}", arch.oci),
            found: vec![format!("{}/{}", settings.os, settings.architecture)],
        });
    }
    if settings.rootfs.diff_ids.len() != document.layers.len() {
        let found =
            format!("{} layers, but the manifest has {}", settings.rootfs.diff_ids.len(), document.layers.len());
        return Err(layout.bad("configuration", found, "equal numbers"));
    }
    let layer = |descriptor| {
        let layer = layout.blob(descriptor, "layer")?;
        known(&layer.media_type, &LAYER_TYPES, "layer").map(|()| layer)
    };
    let layers = document.layers.iter().map(layer).collect::<Result<_, _>>()?;
    let name = match name.or(chosen.name) {
        Some(name) => name,
        None => path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase().parse()?,
    };
    Ok(OciImage { name, architecture: settings.architecture, manifest, image_id: config.digest, config, layers })
}
