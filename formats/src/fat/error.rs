//! What can be wrong with a volume that is there already.

use std::io;

/// What can go wrong with a volume.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VolumeError {
    /// The device does not do as told.
    #[error("FAT volume: cannot {action} {len} bytes at byte {offset}")]
    Io {
        /// read, write, flush.
        action: &'static str,
        /// Where.
        offset: u64,
        /// How many.
        len: usize,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no FAT32 volume, or one of a kind that we do not change.
    #[error("FAT32 volume: {field} is {found:#x}, expected {wanted}")]
    Field {
        /// The specification's name.
        field: &'static str,
        /// What it has to be.
        wanted: &'static str,
        /// What stands there.
        found: u64,
    },
    /// Something that must not be touched before somebody has looked at it.
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
        /// What was looked for.
        path: String,
    },
    /// A directory where a file was expected, or the other way round.
    #[error("FAT volume: {path:?} is not a {wanted}")]
    Kind {
        /// What was looked at.
        path: String,
        /// `file` or `directory`.
        wanted: &'static str,
    },
    /// The name is taken.
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
        /// In whole clusters.
        wanted: u64,
        /// What is left.
        free: u64,
    },
    /// What was to be written cannot be read.
    #[error("cannot read what is to become {path:?}")]
    Content {
        /// The new file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl VolumeError {
    pub(super) fn io(action: &'static str, offset: u64, len: usize) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, offset, len, source }
    }
}
