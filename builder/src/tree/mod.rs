//! The in-memory tree of a file system. Maps each path to its metadata and a reference to its content. Sources fill the tree, and
//! writers read it. This module does no input or output.

mod error;
mod insert;
mod path;
mod remove;
mod resolve;
#[cfg(test)]
mod tests;

pub use berth_formats::node::{Kind, Meta};
pub use error::TreeError;
pub use insert::Verdict;
pub use path::{NAME_MAX, PATH_MAX, PathFault, Show, ShowName, clean, split};

use berth_formats::data::Data;
use std::{collections::BTreeMap, sync::Arc};

/// A path in the image, as bytes. Relative to the root, without `.` and `..`. The root is the empty path.
pub type TreePath = Vec<u8>;

/// Origin of folders that no input declares. They exist because a file lies in them.
pub const IMPLIED: &str = "implied";

/// All nodes of a file system. A parent sorts before its children.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: BTreeMap<TreePath, Node>,
}

/// A node of the file system. It has no times: every file of an image has the epoch of the build.
#[derive(Clone, Debug)]
pub struct Node {
    /// Owner, mode, attributes.
    pub meta: Meta,
    pub kind: Kind,
    /// The input that ships the node, for messages and the manifest: `package docker.io`, `overlay base`, `berth`.
    pub origin: Arc<str>,
}

impl Node {
    /// A directory of the superuser.
    #[must_use]
    pub fn dir(mode: u16, origin: &Arc<str>) -> Self {
        Self { meta: Meta::root(mode), kind: Kind::Directory, origin: Arc::clone(origin) }
    }

    /// A regular file of the superuser.
    #[must_use]
    pub fn file(mode: u16, data: impl Into<Data>, origin: &Arc<str>) -> Self {
        Self { meta: Meta::root(mode), kind: Kind::File(data.into()), origin: Arc::clone(origin) }
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(target: impl Into<Vec<u8>>, origin: &Arc<str>) -> Self {
        Self { meta: Meta::root(0o777), kind: Kind::Symlink(target.into()), origin: Arc::clone(origin) }
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node::dir(0o755, &Arc::from(IMPLIED));
        Self { nodes: BTreeMap::from([(TreePath::new(), root)]) }
    }
}

impl Tree {
    /// All nodes in the order of their paths; the first is the root.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Node)> {
        self.nodes.iter()
    }

    /// The node at exactly this path (links are not followed).
    #[must_use]
    pub fn get(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Like [`Self::get`], to change the node in place. The caller must not change the kind of a folder with children, or of a file
    /// with hard links.
    pub fn get_mut(&mut self, path: &[u8]) -> Option<&mut Node> {
        self.nodes.get_mut(path)
    }

    /// All nodes below `dir` at any depth, in the order of the paths. `dir` itself is not included.
    pub fn below(&self, dir: &[u8]) -> impl Iterator<Item = (&TreePath, &Node)> {
        let mut start = dir.to_vec();
        if !start.is_empty() {
            start.push(b'/');
        }
        let prefix = start.clone();
        let longer = start.len();
        self.nodes
            .range(start..)
            .take_while(move |(path, _)| path.starts_with(&prefix))
            .filter(move |(path, _)| path.len() > longer)
    }

    /// Name, path and node of each direct child of `dir`.
    pub fn children(&self, dir: &[u8]) -> impl Iterator<Item = (&[u8], &TreePath, &Node)> {
        let skip = if dir.is_empty() { 0 } else { dir.len() + 1 };
        self.below(dir).filter_map(move |(path, node)| {
            let name = &path[skip..];
            (!name.contains(&b'/')).then_some((name, path, node))
        })
    }

    /// The content of the regular file at `path`. Follows symbolic links and hard links.
    #[must_use]
    pub fn data(&self, path: &[u8]) -> Option<&Data> {
        match &self.lookup(path)?.1.kind {
            Kind::File(data) => Some(data),
            Kind::HardLink(target) => match &self.get(target)?.kind {
                Kind::File(data) => Some(data),
                _ => None,
            },
            _ => None,
        }
    }
}
