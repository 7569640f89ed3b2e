//! What can be wrong with an OCI image.

use berth_contract::arch::Arch;
use berth_file::FileError;
use std::{io, path::PathBuf};

/// An image that cannot be used. `at` is the archive or folder it should come from.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// A file of this machine cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Not a tar.
    #[error("{}: not a tar archive", at.display())]
    NoTar {
        /// The file.
        at: PathBuf,
    },
    /// A damaged tar.
    #[error("{}: damaged tar archive", at.display())]
    Tar {
        /// The archive.
        at: PathBuf,
        /// What the tar reader says.
        source: io::Error,
    },
    /// A compressed archive.
    #[error("{}: expected an uncompressed tar, found {found} data", at.display())]
    Compressed {
        /// The archive.
        at: PathBuf,
        /// By what.
        found: &'static str,
    },
    /// Not an OCI layout.
    #[error("{}: no file {name}: this is not an OCI image layout", at.display())]
    NoLayout {
        /// The archive or folder.
        at: PathBuf,
        /// What is missing.
        name: &'static str,
        /// Whether it looks like what `docker save` wrote before docker 25.
        save: bool,
    },
    /// A malformed document.
    #[error("{}: {name}: {found}: expected {wanted}", at.display())]
    Document {
        /// The archive or folder.
        at: PathBuf,
        /// Name of the document in it.
        name: String,
        /// What is there.
        found: String,
        /// What should be.
        wanted: String,
    },
    /// Something refers to a blob that is not there.
    #[error("{}: blob {digest} ({what}) is missing", at.display())]
    MissingBlob {
        /// The archive or folder.
        at: PathBuf,
        /// Its digest.
        digest: String,
        /// What it is.
        what: &'static str,
    },
    /// A document that is larger than the limit.
    #[error("{}: {name} has {found} bytes: expected at most {limit}", at.display())]
    TooLarge {
        /// The archive or folder.
        at: PathBuf,
        /// The document.
        name: String,
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A blob of another size.
    #[error("{}: blob {digest} ({what}): expected {wanted} bytes, found {found}", at.display())]
    Size {
        /// The archive or folder.
        at: PathBuf,
        /// Its digest.
        digest: String,
        /// What it is.
        what: &'static str,
        /// Size as its descriptor says.
        wanted: u64,
        /// Size as it is.
        found: u64,
    },
    /// A blob with another content.
    #[error("{}: blob {digest} ({what}): its content is sha256:{found}", at.display())]
    Digest {
        /// The archive or folder.
        at: PathBuf,
        /// Digest as its descriptor says.
        digest: String,
        /// What it is.
        what: &'static str,
        /// Digest as it is.
        found: String,
    },
    /// Images, but none for this architecture.
    #[error("{}: no image for {wanted}; found {}", at.display(), found.join(", "))]
    NoPlatform {
        /// The archive or folder.
        at: PathBuf,
        /// `linux/amd64`.
        wanted: String,
        /// What it has.
        found: Vec<String>,
    },
    /// Several images, and no name that chooses one.
    #[error("{}: which of its images is meant? found {}", at.display(), found.join(", "))]
    Several {
        /// The archive or folder.
        at: PathBuf,
        /// Their names or digests.
        found: Vec<String>,
    },
    /// A name that engines do not take.
    #[error(transparent)]
    Name(#[from] super::reference::BadReference),
    /// The archive cannot be written into the cache.
    #[error("cannot keep the archive of image {name} in the cache")]
    Store {
        /// The image's name.
        name: String,
        /// Why.
        source: Box<berth_fetch::error::FetchError>,
    },
    /// A program that is not static, or of an unknown architecture.
    #[error("{}: {found}: expected a statically linked Linux program for {}", path.display(), Arch::names())]
    Program {
        /// The program.
        path: PathBuf,
        /// What it is.
        found: String,
        /// Whether it only lacks its loader and libraries.
        dynamic: bool,
    },
}

impl From<FileError> for OciError {
    fn from(error: FileError) -> Self {
        let (action, path, source) = error.into_parts();
        Self::Io { action, path, source }
    }
}

impl OciError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Compressed { .. } => "uncompress it first",
            Self::NoLayout { save: true, .. } => {
                "it looks like an older `docker save`: docker 25 and later, podman and skopeo write OCI archives"
            }
            Self::Several { .. } => "say which with name = \"...\"",
            Self::Program { dynamic: true, .. } => {
                "link it statically (Rust: -C target-feature=+crt-static, Go: CGO_ENABLED=0, C: -static)"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
