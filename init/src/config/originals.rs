//! Files of the image that settings of host.toml are added to. /etc is an overlay, so the first change hides the image's file: it is copied
//! before, and each further change starts from the copy.

use berth_contract::fault::{At, PathError};
use berth_file::{Flush, replace};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// The image's file at `path`, kept in the folder `kept`. `None` if the image does not have it.
pub(super) fn original(path: &Path, kept: &Path) -> Result<Option<Vec<u8>>, PathError> {
    let copy = copy_of(path, kept);
    match fs::read(&copy) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        found => return found.at("read", &copy).map(Some),
    }
    let text = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found.at("read", path)?,
    };
    fs::create_dir_all(kept).at("create", kept)?;
    replace(&copy, &text, 0o600, Flush::Nothing)?;
    Ok(Some(text))
}

/// Whether the file has been changed in this boot.
pub(super) fn is_changed(path: &Path, kept: &Path) -> bool {
    copy_of(path, kept).exists()
}

fn copy_of(path: &Path, kept: &Path) -> PathBuf {
    kept.join(path.to_string_lossy().trim_start_matches('/').replace('/', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_content_of_a_file_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (file, kept) = (dir.path().join("etc.json"), dir.path().join("kept"));
        assert_eq!(original(&file, &kept).unwrap(), None);
        fs::write(&file, "image").unwrap();
        assert!(!is_changed(&file, &kept));
        assert_eq!(original(&file, &kept).unwrap().as_deref(), Some(&b"image"[..]));
        fs::write(&file, "changed").unwrap();
        assert_eq!(original(&file, &kept).unwrap().as_deref(), Some(&b"image"[..]));
        assert!(is_changed(&file, &kept));
    }
}
