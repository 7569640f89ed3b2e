//! Why a volume cannot be read or changed.

use std::io;

/// Why a volume cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VolumeError {
    /// A read, write or flush of the device failed.
    #[error("FAT volume: cannot {action} {len} bytes at byte {offset}")]
    Io {
        /// read, write, flush.
        action: &'static str,
        /// Where.
        offset: u64,
        /// Number of bytes.
        len: usize,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Not a FAT32 volume, or one that is not supported.
    #[error("FAT32 volume: {field} is {found:#x}, expected {wanted}")]
    Field {
        /// Its name in the specification.
        field: &'static str,
        /// The value expected.
        wanted: &'static str,
        /// The value found.
        found: u64,
    },
    /// Damage that a person must examine before the volume is changed.
    #[error("FAT volume: {path:?} is damaged: {why}")]
    Damaged {
        /// File or directory.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// There is no such file or directory.
    #[error("FAT volume: there is no {path:?}")]
    NotFound {
        /// The path.
        path: String,
    },
    /// A directory where a file was expected, or the other way round.
    #[error("FAT volume: {path:?} is not a {wanted}")]
    Kind {
        /// The part that was checked.
        path: String,
        /// `file` or `directory`.
        wanted: &'static str,
    },
    /// The name exists already.
    #[error("FAT volume: there is a {path:?} already")]
    Exists {
        /// The name.
        path: String,
    },
    /// A name that cannot be written.
    #[error("FAT name {name:?}: {reason}")]
    Name {
        /// As given.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The volume is full.
    #[error("FAT volume: {wanted} bytes are needed, {free} are free")]
    Full {
        /// Bytes needed, in whole clusters.
        wanted: u64,
        /// Bytes free.
        free: u64,
    },
    /// The new content cannot be read.
    #[error("cannot read what is to become {path:?}")]
    Content {
        /// The new file.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl VolumeError {
    pub(super) fn io(action: &'static str, offset: u64, len: usize) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, offset, len, source }
    }
}
