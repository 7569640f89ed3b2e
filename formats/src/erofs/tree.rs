//! A walk over the inode table from its root: order, links, parents. Checks that the table is a tree.

use super::{BadXattr, Body, Error, FileSystem, InodeIndex, directory::NAME_MAX};
use std::collections::BTreeMap;

/// Longest symbolic link that the kernel follows.
const SYMLINK_MAX: usize = 4095;

/// What EROFS or the kernel does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// A directory names an inode that is not in the table.
    #[error("entry {name:?} names inode {index} of {count}")]
    NoInode {
        /// Name in the directory.
        name: String,
        /// Index found.
        index: usize,
        /// Number of inodes.
        count: usize,
    },
    /// The root must be a directory.
    #[error("the root is not a directory")]
    Root,
    /// A directory with a second name.
    #[error("directory has a second name, {name:?} in {second}")]
    SecondName {
        /// The other name.
        name: String,
        /// Path of the other parent.
        second: String,
    },
    /// An invalid name.
    #[error("entry {name:?}: expected 1 to {NAME_MAX} bytes without / and NUL, not . or ..")]
    Name {
        /// Name found.
        name: String,
    },
    /// A mode with more than permission bits.
    #[error("mode {mode:#o}: expected at most 0o7777")]
    Mode {
        /// Mode found.
        mode: u16,
    },
    /// A symbolic link that is empty or too long.
    #[error("symbolic link of {len} bytes: expected 1 to {SYMLINK_MAX}")]
    Symlink {
        /// Length found.
        len: usize,
    },
    /// A device number that is too large.
    #[error("device {major}:{minor}: expected a major below 2^12 and a minor below 2^20")]
    Device {
        /// Major found.
        major: u32,
        /// Minor found.
        minor: u32,
    },
    /// Extended attributes.
    #[error(transparent)]
    Xattr(#[from] BadXattr),
}

/// Result of a walk from the root.
pub(super) struct Tree<'a> {
    fs: &'a FileSystem,
    /// Every inode that has a name: the root, its children by name, then those of each child directory.
    pub(super) order: Vec<InodeIndex>,
    /// By index: number of links.
    pub(super) nlink: Vec<u32>,
    /// By index: first directory that names it; the root's is itself.
    pub(super) parent: Vec<Option<InodeIndex>>,
}

impl<'a> Tree<'a> {
    pub(super) fn walk(fs: &'a FileSystem) -> Result<Self, Error> {
        let count = fs.inodes.len();
        let mut tree = Tree { fs, order: Vec::new(), nlink: vec![0; count], parent: vec![None; count] };
        if tree.dir(fs.root).is_none() {
            return Err(Error::Tree { path: "/".to_owned(), wrong: Wrong::Root });
        }
        tree.order.push(fs.root);
        tree.parent[fs.root.0] = Some(fs.root);
        tree.nlink[fs.root.0] = 2;
        let mut stack = vec![fs.root];
        while let Some(dir) = stack.pop() {
            let first = tree.order.len();
            for (name, child) in tree.dir(dir).into_iter().flatten() {
                tree.enter(dir, name, *child).map_err(|(at, wrong)| tree.wrong(at, wrong))?;
            }
            let children = tree.order[first..].iter().rev();
            stack.extend(children.filter(|child| tree.dir(**child).is_some()));
        }
        for index in &tree.order {
            tree.check(*index).map_err(|wrong| tree.wrong(*index, wrong))?;
        }
        Ok(tree)
    }

    fn dir(&self, index: InodeIndex) -> Option<&'a BTreeMap<Vec<u8>, InodeIndex>> {
        match &self.fs.inodes.get(index.0)?.body {
            Body::Directory(names) => Some(names),
            _ => None,
        }
    }

    /// Notes one entry of a directory. An error comes with the inode that is wrong.
    fn enter(&mut self, dir: InodeIndex, name: &[u8], child: InodeIndex) -> Result<(), (InodeIndex, Wrong)> {
        let printed = || String::from_utf8_lossy(name).into_owned();
        let length = (1..=NAME_MAX).contains(&name.len());
        if !length || name.iter().any(|byte| matches!(byte, 0 | b'/')) || matches!(name, b"." | b"..") {
            return Err((dir, Wrong::Name { name: printed() }));
        }
        if child.0 >= self.fs.inodes.len() {
            return Err((dir, Wrong::NoInode { name: printed(), index: child.0, count: self.fs.inodes.len() }));
        }
        let is_dir = self.dir(child).is_some();
        match self.parent[child.0] {
            Some(_) if is_dir => {
                return Err((child, Wrong::SecondName { name: printed(), second: self.path(dir) }));
            }
            Some(_) => {}
            None => {
                self.parent[child.0] = Some(dir);
                self.order.push(child);
            }
        }
        if is_dir {
            self.nlink[child.0] = 2;
            self.nlink[dir.0] += 1;
        } else {
            self.nlink[child.0] += 1;
        }
        Ok(())
    }

    fn check(&self, index: InodeIndex) -> Result<(), Wrong> {
        let inode = &self.fs.inodes[index.0];
        if inode.meta.mode > 0o7777 {
            return Err(Wrong::Mode { mode: inode.meta.mode });
        }
        match &inode.body {
            Body::Symlink(target) if !(1..=SYMLINK_MAX).contains(&target.len()) => {
                Err(Wrong::Symlink { len: target.len() })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn wrong(&self, index: InodeIndex, wrong: Wrong) -> Error {
        Error::Tree { path: self.path(index), wrong }
    }

    fn path(&self, index: InodeIndex) -> String {
        let mut names = Vec::new();
        let mut at = index;
        while let Some(parent) = self.parent[at.0].filter(|parent| *parent != at) {
            let name = self.dir(parent).into_iter().flatten().find(|(_, child)| **child == at);
            names.extend(name.map(|(name, _)| format!("/{}", String::from_utf8_lossy(name))));
            at = parent;
        }
        if names.is_empty() { "/".to_owned() } else { names.into_iter().rev().collect() }
    }
}
