//! A node of a file system, as the readers and writers here take and give it: metadata, kind, content. Mode and numbers as
//! in inode(7): <https://man7.org/linux/man-pages/man7/inode.7.html>.
//!
//! There are no times in it: every node of an image has the image's epoch.

use crate::data::Data;
use std::collections::BTreeMap;

/// Extended attributes by full name (`security.capability`).
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// What every kind of node has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with setuid, setgid and sticky: at most 0o7777.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

/// What a node is. `C` says where the content of a regular file is. A format that lacks a kind refuses it with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind<C = Data> {
    /// Directory.
    Directory,
    /// Regular file.
    File(C),
    /// Symbolic link and its target, as written.
    Symlink(Vec<u8>),
    /// Another name of the regular file at this path (never of another hard link).
    HardLink(Vec<u8>),
    /// Character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Named pipe.
    Fifo,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Owner, mode, attributes.
    pub meta: Meta,
    /// Kind and content.
    pub kind: Kind,
}

impl Meta {
    /// Without attributes.
    #[must_use]
    pub fn new(mode: u16, uid: u32, gid: u32) -> Self {
        Self { mode, uid, gid, xattrs: Xattrs::new() }
    }

    /// The superuser's, with this mode and without attributes.
    #[must_use]
    pub fn root(mode: u16) -> Self {
        Self::new(mode, 0, 0)
    }
}

impl Node {
    /// A node of the superuser, without attributes.
    #[must_use]
    pub fn root(mode: u16, kind: Kind) -> Self {
        Self { meta: Meta::root(mode), kind }
    }
}

impl<C> Kind<C> {
    /// Its name in messages.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Directory => "folder",
            Self::File(_) => "file",
            Self::Symlink(_) => "symbolic link",
            Self::HardLink(_) => "hard link",
            Self::CharDevice { .. } => "character device",
            Self::BlockDevice { .. } => "block device",
            Self::Fifo => "named pipe",
        }
    }
}
