//! `debian.drop`: globs of image paths.

use super::place::Located;
use globset::{GlobBuilder, GlobSet};
use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

/// Globs over image paths. `*` and `?` stay within a folder's name, `**` crosses folders; `a/**` is all that lies below
/// `a`, not `a` itself.
#[derive(Clone, Debug)]
pub struct Drops {
    globs: Vec<Located<String>>,
    set: GlobSet,
}

impl Drops {
    /// Compiles the globs. The error is the invalid glob with the reason.
    pub(super) fn new(globs: Vec<Located<String>>) -> Result<Self, (Located<String>, String)> {
        let mut set = GlobSet::builder();
        for glob in &globs {
            // A backslash escapes, on every system.
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

    /// Whether the file at `path` (relative to the root, as in the tree) is left out.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        self.set.is_match(Path::new(OsStr::from_bytes(path)))
    }

    /// The globs that match `path`, as indices of [`Self::globs`]: to find globs that match nothing.
    #[must_use]
    pub fn matching(&self, path: &[u8]) -> Vec<usize> {
        self.set.matches(Path::new(OsStr::from_bytes(path)))
    }

    /// The globs as written.
    #[must_use]
    pub fn globs(&self) -> &[Located<String>] {
        &self.globs
    }
}
