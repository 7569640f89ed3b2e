//! `debian.drop`, `check.allow`: globs of image paths.

use super::place::Located;
use globset::{GlobBuilder, GlobSet};
use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

/// Globs of image paths. `*` and `?` match within one path component, `**` matches across folders. `a/**` matches everything
/// below `a`, but not `a` itself.
#[derive(Clone, Debug)]
pub struct Drops {
    globs: Vec<Located<String>>,
    set: GlobSet,
}

impl Drops {
    /// Compiles the globs. The error contains the invalid glob and the reason.
    pub(super) fn new(globs: Vec<Located<String>>) -> Result<Self, (Located<String>, String)> {
        let mut set = GlobSet::builder();
        for glob in &globs {
            // The meaning of a backslash must not depend on the operating system.
            match GlobBuilder::new(&glob.value).literal_separator(true).backslash_escape(true).build() {
                Ok(glob) => _ = set.add(glob),
                Err(error) => return Err((glob.clone(), error.kind().to_string())),
            }
        }
        match set.build() {
            Ok(set) => Ok(Self { globs, set }),
            Err(error) => {
                let culprit = globs.iter().find(|glob| Some(glob.value.as_str()) == error.glob()).or(globs.last());
                Err((culprit.cloned().unwrap_or_else(|| unreachable!("no glob, no error")), error.kind().to_string()))
            }
        }
    }

    /// Whether a glob matches `path` (relative to the image's root), so that the file is not put into the image.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        self.set.is_match(Path::new(OsStr::from_bytes(path)))
    }

    /// Indices into [`Self::globs`] of the globs that match `path`. Used to find globs that match nothing.
    #[must_use]
    pub fn matching(&self, path: &[u8]) -> Vec<usize> {
        self.set.matches(Path::new(OsStr::from_bytes(path)))
    }

    /// The globs as in the recipe.
    #[must_use]
    pub fn globs(&self) -> &[Located<String>] {
        &self.globs
    }
}
