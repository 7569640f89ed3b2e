//! The in-memory tree between the sources and the writers: path → metadata and a reference to content.
//! Pure: reads and writes nothing.

use berth_formats::data::Data;
use std::{collections::BTreeMap, sync::Arc};

/// A path in the image: relative, normal components joined by `/`, empty for the root. Bytes, as on disk.
pub type TreePath = Vec<u8>;

/// Every file of a root file system (or initrd). Parents sort before their children.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: BTreeMap<TreePath, Node>,
}

/// A file of any kind.
#[derive(Clone, Debug)]
pub struct Node {
    /// Owner, mode, attributes.
    pub meta: Meta,
    /// What it is.
    pub kind: Kind,
    /// Where it comes from, for messages and the manifest: `package docker.io`, `overlay base`, `berth`.
    pub origin: Arc<str>,
}

/// What every kind of file has. Times are not kept: every file of an image bears the build's epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with setuid, setgid and sticky (`0o7777`).
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes by full name (`security.capability`).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Directory.
    Dir,
    /// Regular file.
    File(Data),
    /// Symbolic link and its target, as written.
    Symlink(Vec<u8>),
    /// Another name of the regular file at this path (never of another hard link).
    HardLink(TreePath),
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

impl Tree {
    /// All nodes in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Node)> {
        self.nodes.iter()
    }

    /// The node at exactly this path (links are not followed).
    #[must_use]
    pub fn get(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }
}
