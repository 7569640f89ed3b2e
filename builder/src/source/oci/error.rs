//! Errors of OCI images.

use berth_contract::arch::Arch;
use berth_file::FileError;
use std::{io, path::PathBuf};

/// Why an OCI image cannot be used. `at` is the archive or folder that contains the image.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// A local file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The operation that failed, as a verb: `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not a tar archive.
    #[error("{}: not a tar archive", at.display())]
    NoTar {
        /// The file.
        at: PathBuf,
    },
    /// The tar archive is damaged.
    #[error("{}: damaged tar archive", at.display())]
    Tar {
        /// The archive.
        at: PathBuf,
        /// The error of the tar reader.
        source: io::Error,
    },
    /// The archive is compressed.
    #[error("{}: expected an uncompressed tar, found {found} data", at.display())]
    Compressed {
        /// The archive.
        at: PathBuf,
        /// The compression format.
        found: &'static str,
    },
    /// The archive or folder is not an OCI image layout.
    #[error("{}: no file {name}: this is not an OCI image layout", at.display())]
    NoLayout {
        /// The archive or folder.
        at: PathBuf,
        /// The missing file.
        name: &'static str,
        /// Whether it looks like an archive by `docker save` before docker 25.
        save: bool,
    },
    /// A document is invalid.
    #[error("{}: {name}: {found}: expected {wanted}", at.display())]
    Document {
        /// The archive or folder.
        at: PathBuf,
        /// Name of the document in it.
        name: String,
        /// The value found, or the error of the parser.
        found: String,
        /// The expected value.
        wanted: String,
    },
    /// A descriptor refers to a blob that does not exist.
    #[error("{}: blob {digest} ({what}) is missing", at.display())]
    MissingBlob {
        /// The archive or folder.
        at: PathBuf,
        /// Digest in the descriptor.
        digest: String,
        /// Kind of the blob, such as `layer`.
        what: &'static str,
    },
    /// A document is larger than the limit.
    #[error("{}: {name} has {found} bytes: expected at most {limit}", at.display())]
    TooLarge {
        /// The archive or folder.
        at: PathBuf,
        /// The document.
        name: String,
        /// Its size in bytes.
        found: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A blob has the wrong size.
    #[error("{}: blob {digest} ({what}): expected {wanted} bytes, found {found}", at.display())]
    Size {
        /// The archive or folder.
        at: PathBuf,
        /// Digest in the descriptor.
        digest: String,
        /// Kind of the blob, such as `layer`.
        what: &'static str,
        /// Size in the descriptor.
        wanted: u64,
        /// Size of the content.
        found: u64,
    },
    /// The content of a blob does not match its digest.
    #[error("{}: blob {digest} ({what}): its content is sha256:{found}", at.display())]
    Digest {
        /// The archive or folder.
        at: PathBuf,
        /// Digest in the descriptor.
        digest: String,
        /// Kind of the blob, such as `layer`.
        what: &'static str,
        /// Digest of the content.
        found: String,
    },
    /// The layout has no image for the architecture.
    #[error("{}: no image for {wanted}; found {}", at.display(), found.join(", "))]
    NoPlatform {
        /// The archive or folder.
        at: PathBuf,
        /// The platform of the image, such as `linux/amd64`.
        wanted: String,
        /// The platforms found.
        found: Vec<String>,
    },
    /// The layout has several images, and no name selects one of them.
    #[error("{}: expected one image or a name that selects one, found {}", at.display(), found.join(", "))]
    Several {
        /// The archive or folder.
        at: PathBuf,
        /// Their names or digests.
        found: Vec<String>,
    },
    /// The name of the image is invalid.
    #[error(transparent)]
    Name(#[from] super::reference::BadReference),
    /// The archive cannot be written into the cache.
    #[error("cannot keep the archive of image {name} in the cache")]
    Store {
        /// The image's name.
        name: String,
        /// The cause.
        source: Box<berth_fetch::error::FetchError>,
    },
    /// The program is not static, or is for an unsupported architecture.
    #[error("{}: {found}: expected a statically linked Linux program for {}", path.display(), Arch::names())]
    Program {
        /// The program.
        path: PathBuf,
        /// The kind of file found.
        found: String,
        /// Whether the only fault is that the program is linked dynamically.
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
    /// A hint: the next step for the user, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Compressed { .. } => "decompress the archive first",
            Self::NoLayout { save: true, .. } => {
                "the archive seems to be from `docker save` of an old version: use docker 25 or later, podman or skopeo"
            }
            Self::Several { .. } => "select one with name = \"...\"",
            Self::Program { dynamic: true, .. } => {
                "link the program statically (Rust: -C target-feature=+crt-static, Go: CGO_ENABLED=0, C: -static)"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
