//! Makes the changes of maintainer scripts in the tree of an image.

use super::{FileChange, ModeChange};
use crate::{
    assemble::{account::Accounts, capability, error::AssembleError, packages::ORIGIN},
    tree::{Kind, Meta, Node, Tree, TreePath, Verdict},
};
use std::{collections::BTreeSet, sync::Arc};

/// The changes of a package's scripts, in their order.
pub(crate) type Changes = Vec<(String, Vec<FileChange>)>;

/// Makes `changes` in `tree`. A file of an overlay at the path of a new file stays.
///
/// # Errors
/// The path of a change is not in the image, or the image has no such account.
pub(crate) fn apply(tree: &mut Tree, changes: &Changes, accounts: &Accounts) -> Result<(), AssembleError> {
    for (package, changes) in changes {
        let origin = format!("{ORIGIN}{package}").into();
        let mut scripts = Scripts { tree, accounts, origin, made: BTreeSet::new() };
        for change in changes {
            scripts.make(change).map_err(|reason| AssembleError::Change {
                package: package.clone(),
                change: change.to_string(),
                reason,
            })?;
        }
    }
    Ok(())
}

/// The scripts of a package.
struct Scripts<'a> {
    tree: &'a mut Tree,
    accounts: &'a Accounts,
    origin: Arc<str>,
    /// Paths that the scripts have made.
    made: BTreeSet<TreePath>,
}

/// The path in the tree, for an absolute one.
fn relative(path: &str) -> &[u8] {
    path.trim_matches('/').as_bytes()
}

impl Scripts<'_> {
    fn make(&mut self, change: &FileChange) -> Result<(), String> {
        match change {
            FileChange::Directory { path, mode } => self.create(path, Node::dir(*mode, &self.origin)),
            FileChange::Empty { path, mode } => self.create(path, Node::file(*mode, Vec::new(), &self.origin)),
            FileChange::Link { path, target } => self.create(path, Node::symlink(target.as_str(), &self.origin)),
            FileChange::Copy { from, to } => {
                let (real, node) = self.tree.lookup(relative(from)).ok_or_else(|| missing(from))?;
                let meta = Meta { mode: node.meta.mode, ..Meta::default() };
                let data = self.tree.data(&real).ok_or_else(|| missing(from))?.clone();
                self.create(to, Node { meta, kind: Kind::File(data), origin: Arc::clone(&self.origin) })
            }
            FileChange::Write { path, text, append, mode } => self.write(path, text, *append, *mode),
            FileChange::Move { from, to } => {
                let from = self.place(from)?;
                let Some(node) = self.tree.remove(&from).filter(|_| self.made.remove(&from)) else { return Ok(()) };
                self.create(to, node)
            }
            FileChange::Mode { path, mode, recursive } => {
                self.each(path, *recursive, |node| node.meta.mode = mode_of(node, mode))
            }
            FileChange::Owner { path, user, group, recursive } => {
                let (uid, gid) = (self.uid(user.as_deref())?, self.gid(group.as_deref())?);
                self.each(path, *recursive, |node| give(node, uid, gid))
            }
            FileChange::Capabilities { path, value } => self.each(path, false, |node| {
                node.meta.xattrs.remove(capability::XATTR);
                if !value.is_empty() {
                    node.meta.xattrs.insert(capability::XATTR.to_vec(), value.clone());
                }
            }),
            FileChange::Remove { path } => {
                let place = self.place(path)?;
                if self.made.remove(&place) {
                    self.tree.remove(&place);
                }
                Ok(())
            }
        }
    }

    fn place(&self, path: &str) -> Result<TreePath, String> {
        self.tree.place(relative(path), &self.origin).map_err(|error| error.to_string())
    }

    /// Puts a new node at `path`. Replaces only what the scripts have made.
    fn create(&mut self, path: &str, node: Node) -> Result<(), String> {
        let place = self.place(path)?;
        let exists = self.tree.get(&place).is_some_and(|_| !self.made.contains(&place));
        if !exists {
            let real = self.tree.insert(&place, node, |_, _| Verdict::TakeNew).map_err(|error| error.to_string())?;
            self.made.insert(real);
        }
        Ok(())
    }

    fn write(&mut self, path: &str, text: &str, append: bool, mode: u16) -> Result<(), String> {
        let place = self.place(path)?;
        let before = match self.tree.data(&place).filter(|_| append && self.made.contains(&place)) {
            Some(data) => data.to_bytes().map_err(|error| error.to_string())?.to_vec(),
            None => Vec::new(),
        };
        let mode = self.tree.get(&place).map_or(mode, |node| node.meta.mode);
        let bytes = [before, text.as_bytes().to_vec()].concat();
        self.create(path, Node::file(mode, bytes, &self.origin))
    }

    /// Changes the node at `path`, and what is below it. Links at `path` are followed.
    fn each(&mut self, path: &str, recursive: bool, change: impl Fn(&mut Node)) -> Result<(), String> {
        let Some((real, node)) = self.tree.lookup(relative(path)) else {
            // A link of an overlay may point to what exists only at run time.
            let place = self.place(path)?;
            let is_link = self.tree.get(&place).is_some_and(|node| matches!(node.kind, Kind::Symlink(_)));
            return if is_link { Ok(()) } else { Err(missing(path)) };
        };
        let first = match &node.kind {
            Kind::HardLink(target) => target.clone(),
            _ => real.clone(),
        };
        let inside: Vec<TreePath> =
            self.tree.below(&real).map(|(path, _)| path.clone()).filter(|_| recursive).collect();
        for path in std::iter::once(first).chain(inside) {
            if let Some(node) = self.tree.get_mut(&path).filter(|node| !matches!(node.kind, Kind::Symlink(_))) {
                change(node);
            }
        }
        Ok(())
    }

    fn uid(&self, name: Option<&str>) -> Result<Option<u32>, String> {
        let find = |name: &str| self.accounts.user(name).map(|user| user.uid);
        name.map(|name| number(name, &find)).transpose()
    }

    /// A user without a group of the same name stands for its own group, as in `chown USER:`.
    fn gid(&self, name: Option<&str>) -> Result<Option<u32>, String> {
        let find = |name: &str| {
            let group = self.accounts.group(name).map(|group| group.gid);
            group.or_else(|| self.accounts.user(name).map(|user| user.gid))
        };
        name.map(|name| number(name, &find)).transpose()
    }
}

fn number(name: &str, find: &dyn Fn(&str) -> Option<u32>) -> Result<u32, String> {
    find(name).or_else(|| name.parse().ok()).ok_or_else(|| format!("the image has no account {name:?}"))
}

fn missing(path: &str) -> String {
    format!("the image has no file {path}")
}

fn mode_of(node: &Node, mode: &ModeChange) -> u16 {
    mode.applied(node.meta.mode, node.is_dir())
}

/// chown(2): a file with a new owner loses its set-id bits and capabilities.
fn give(node: &mut Node, uid: Option<u32>, gid: Option<u32>) {
    let is_dir = node.is_dir();
    let meta = &mut node.meta;
    meta.uid = uid.unwrap_or(meta.uid);
    meta.gid = gid.unwrap_or(meta.gid);
    if !is_dir {
        meta.mode &= !0o6000;
        meta.xattrs.remove(capability::XATTR);
    }
}
