//! The tree of an image as the file system that lines are applied to.

use crate::{
    assemble::{account::Accounts, declaration::content_error, error::AssembleError},
    tree::{Kind, Meta, Node, Tree, TreeError, TreePath, Verdict},
};
use berth_formats::{
    data::Data,
    tmpfiles::{
        Attributes, Found, Rights, Root, Writing,
        acl::{self, ACCESS},
    },
};
use std::sync::Arc;

/// A tree, and what its nodes need.
pub(super) struct Image<'a> {
    pub(super) tree: &'a mut Tree,
    pub(super) accounts: &'a Accounts,
    /// Origin of new nodes.
    pub(super) origin: &'a Arc<str>,
}

impl Image<'_> {
    /// The path in the tree. Links to directories on the way are followed, a link at the end is not.
    fn real(&self, path: &[u8]) -> Result<TreePath, TreeError> {
        self.tree.place(inside(path), self.origin)
    }

    /// The path of the node that has owner and mode: hard links share them.
    fn owner(&self, path: &[u8]) -> Result<TreePath, TreeError> {
        let real = self.real(path)?;
        Ok(match self.tree.get(&real) {
            Some(Node { kind: Kind::HardLink(target), .. }) => target.clone(),
            _ => real,
        })
    }

    fn node(&mut self, path: &[u8]) -> Result<Option<&mut Node>, TreeError> {
        let real = self.owner(path)?;
        Ok(self.tree.get_mut(&real))
    }

    fn insert(&mut self, path: &[u8], kind: Kind, mode: u16) -> Result<(), AssembleError> {
        let mode = if matches!(kind, Kind::Symlink(_)) { 0o777 } else { mode };
        let node = Node { meta: Meta::root(mode), kind, origin: Arc::clone(self.origin) };
        self.tree.insert(inside(path), node, |_, _| Verdict::TakeNew)?;
        Ok(())
    }

    /// The content of a regular file, and the path of the node that has the content.
    fn content(&self, path: &[u8]) -> Result<(TreePath, Data), AssembleError> {
        let real = self.owner(path)?;
        let data = self.tree.data(&real).cloned().unwrap_or_else(Data::empty);
        Ok((real, data))
    }
}

impl Root for Image<'_> {
    type Error = AssembleError;

    fn look(&self, path: &[u8]) -> Result<Option<Found>, AssembleError> {
        let Some(node) = self.tree.get(&self.owner(path)?) else { return Ok(None) };
        let kind = match &node.kind {
            Kind::Directory => Kind::Directory,
            Kind::File(_) | Kind::HardLink(_) => Kind::File(()),
            Kind::Symlink(target) => Kind::Symlink(target.clone()),
            &Kind::CharDevice { major, minor } => Kind::CharDevice { major, minor },
            &Kind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
            Kind::Fifo => Kind::Fifo,
        };
        let Meta { mode, uid, gid, .. } = node.meta;
        Ok(Some(Found { kind: Some(kind), rights: Rights { mode, uid, gid }, device: 0 }))
    }

    fn follow(&self, path: &[u8]) -> Result<Option<Vec<u8>>, AssembleError> {
        Ok(self.tree.lookup(inside(path)).map(|(real, _)| [b"/", real.as_slice()].concat()))
    }

    fn names(&self, directory: &[u8]) -> Result<Vec<Vec<u8>>, AssembleError> {
        let Some((real, _)) = self.tree.lookup(inside(directory)) else { return Ok(Vec::new()) };
        Ok(self.tree.children(&real).map(|(name, _, _)| name.to_vec()).collect())
    }

    /// No service has run yet.
    fn is_safe(&self, _: &[u8]) -> bool {
        true
    }

    fn make(&mut self, path: &[u8], kind: &Kind<&[u8]>, mode: u16) -> Result<(), AssembleError> {
        let kind = match kind {
            Kind::Directory => Kind::Directory,
            Kind::File(content) => Kind::File(content.to_vec().into()),
            Kind::Symlink(target) => Kind::Symlink(target.clone()),
            Kind::HardLink(target) => Kind::HardLink(target.clone()),
            &Kind::CharDevice { major, minor } => Kind::CharDevice { major, minor },
            &Kind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
            Kind::Fifo => Kind::Fifo,
        };
        self.insert(path, kind, mode)
    }

    fn copy(&mut self, source: &[u8], path: &[u8], mode: u16) -> Result<(), AssembleError> {
        let (_, data) = self.content(source)?;
        self.insert(path, Kind::File(data), mode)
    }

    fn write(&mut self, path: &[u8], content: &[u8], how: Writing) -> Result<(), AssembleError> {
        let (real, old) = self.content(path)?;
        let old = old.to_bytes().map_err(|source| content_error(self.tree, &real, source))?;
        let new = match how {
            Writing::Replace => content.to_vec(),
            Writing::Append => [&old, content].concat(),
            Writing::Over => [content, old.get(content.len()..).unwrap_or_default()].concat(),
        };
        if let Some(node) = self.tree.get_mut(&real) {
            (node.kind, node.origin) = (Kind::File(new.into()), Arc::clone(self.origin));
        }
        Ok(())
    }

    fn remove(&mut self, path: &[u8]) -> Result<(), AssembleError> {
        let real = self.real(path)?;
        self.tree.remove(&real);
        Ok(())
    }

    fn set(&mut self, path: &[u8], Rights { mode, uid, gid }: Rights) -> Result<(), AssembleError> {
        if let Some(node) = self.node(path)? {
            (node.meta.mode, node.meta.uid, node.meta.gid) = (mode, uid, gid);
            if let Some(list) = node.meta.xattrs.get_mut(ACCESS.as_bytes()) {
                *list = acl::with_mode(list, mode).unwrap_or_default();
            }
        }
        Ok(())
    }

    fn set_xattr(&mut self, path: &[u8], name: &str, value: &[u8]) -> Result<(), AssembleError> {
        if let Some(node) = self.node(path)? {
            let mode = if name == ACCESS { acl::mode_of(value, node.meta.mode) } else { None };
            node.meta.mode = mode.map_or(node.meta.mode, |(mode, _)| mode);
            if mode.is_some_and(|(_, is_kept)| !is_kept) {
                node.meta.xattrs.remove(name.as_bytes());
            } else {
                node.meta.xattrs.insert(name.as_bytes().to_vec(), value.to_vec());
            }
        }
        Ok(())
    }

    fn xattr(&self, path: &[u8], name: &str) -> Result<Option<Vec<u8>>, AssembleError> {
        Ok(self.tree.get(&self.owner(path)?).and_then(|node| node.meta.xattrs.get(name.as_bytes()).cloned()))
    }

    /// The file system of the image has none, and nobody can write to it.
    fn set_attributes(&mut self, _: &[u8], _: Attributes) -> Result<(), AssembleError> {
        Ok(())
    }

    fn user(&self, name: &str) -> Option<u32> {
        self.accounts.user(name).map(|user| user.uid)
    }

    fn group(&self, name: &str) -> Option<u32> {
        self.accounts.group(name).map(|group| group.gid)
    }
}

fn inside(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"/").unwrap_or(path)
}
