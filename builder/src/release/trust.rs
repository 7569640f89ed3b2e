//! The root of trust of an image.

use super::root::check_trust;
use crate::{
    assemble::OwnFile,
    recipe::{Diagnostic, Located, Recipe},
};
use berth_contract::paths::TRUST_ROOT;
use berth_formats::data::Data;
use std::io;

/// The file of the image with the root metadata, with which hosts verify releases. The recipe names it in `update.trust`.
/// Returns `None` without that key.
///
/// # Errors
/// The file cannot be read, or is not the root metadata of a repository.
pub fn trust_file(recipe: &Recipe) -> Result<Option<OwnFile>, Diagnostic> {
    /// Size limit for root metadata in bytes.
    const MAX_SIZE: u64 = 1 << 20;
    let Some(Located { value: path, place }) = &recipe.update.trust else { return Ok(None) };
    let fault = |what: String| {
        let hint = "name the root.json that `berth keys new` created, see docs/keys.md";
        Diagnostic::new(place, format!("{} cannot be used as root of trust: {what}", path.display())).with_hint(hint)
    };
    let bytes = berth_file::read(path, MAX_SIZE).map_err(|error| fault(io::Error::from(error).to_string()))?;
    check_trust(&bytes, path).map_err(fault)?;
    let what = format!("the root of trust of {place}");
    Ok(Some(OwnFile { what, path: TRUST_ROOT.to_owned(), mode: 0o644, data: Data::Bytes(bytes.into()) }))
}
