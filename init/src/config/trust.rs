//! `ca` of host.toml: certificate authorities that all programs of the host trust.

use super::originals;
use berth_contract::fault::Failure;
use berth_file::{Flush, replace};
use std::path::Path;

/// Adds the certificates to the bundle of the image. An image without a bundle stays without one: hostctl reads `ca` itself.
///
/// # Errors
/// When the bundle cannot be read or written.
pub(super) fn apply(ca: &[String], bundle: &Path, kept: &Path) -> Result<(), Failure> {
    if ca.is_empty() && !originals::is_changed(bundle, kept) {
        return Ok(());
    }
    let Some(mut text) = originals::original(bundle, kept)? else { return Ok(()) };
    for pem in ca {
        if !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend_from_slice(pem.as_bytes());
    }
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    Ok(replace(bundle, &text, 0o644, Flush::Nothing)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn certificates_are_added_to_those_of_the_image_and_taken_away_again() {
        let dir = tempfile::tempdir().unwrap();
        let (bundle, kept) = (dir.path().join("ca.crt"), dir.path().join("kept"));
        let text = || fs::read_to_string(&bundle).unwrap_or_default();
        apply(&["ONE".into()], &bundle, &kept).unwrap();
        assert_eq!(text(), "", "the image has no bundle");
        fs::write(&bundle, "IMAGE\n").unwrap();
        apply(&[], &bundle, &kept).unwrap();
        assert!(!kept.exists(), "nothing was changed");
        apply(&["ONE\n".into(), "TWO".into()], &bundle, &kept).unwrap();
        assert_eq!(text(), "IMAGE\nONE\nTWO\n");
        apply(&["TWO".into()], &bundle, &kept).unwrap();
        assert_eq!(text(), "IMAGE\nTWO\n");
        apply(&[], &bundle, &kept).unwrap();
        assert_eq!(text(), "IMAGE\n");
    }
}
