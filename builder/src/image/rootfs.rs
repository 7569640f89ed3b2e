//! The root file system: from the tree to EROFS's inode table.

use crate::tree::{Kind, Tree, TreePath};
use berth_formats::erofs::{Body, FileSystem, Inode, InodeIndex};
use std::collections::{BTreeMap, HashMap};

/// A tree that no file system can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootFsError {
    /// A path whose folder is missing, or is none.
    #[error("/{}: its folder is missing, or is not a folder", String::from_utf8_lossy(.0))]
    NoFolder(TreePath),
    /// A hard link to nothing.
    #[error("/{}: hard link to /{}, which is no regular file", String::from_utf8_lossy(.path), String::from_utf8_lossy(.target))]
    BadLink {
        /// The link.
        path: TreePath,
        /// What it names.
        target: TreePath,
    },
}

/// EROFS's view of `tree`. Every file bears `epoch`.
///
/// # Errors
/// When a path has no folder, or a hard link no file.
pub fn inodes(tree: &Tree, epoch: u64, uuid: [u8; 16], label: &str) -> Result<FileSystem, RootFsError> {
    let mut inodes: Vec<Inode> = Vec::new();
    let mut index: HashMap<&[u8], InodeIndex> = HashMap::new();
    // Parents sort before their children, but a hard link may sort before its file: names are linked in a second pass.
    for (path, node) in tree.iter() {
        let body = match &node.kind {
            Kind::HardLink(_) => continue,
            Kind::Dir => Body::Dir(BTreeMap::new()),
            Kind::File(data) => Body::File(data.clone()),
            Kind::Symlink(target) => Body::Symlink(target.clone()),
            Kind::CharDevice { major, minor } => Body::CharDevice { major: *major, minor: *minor },
            Kind::BlockDevice { major, minor } => Body::BlockDevice { major: *major, minor: *minor },
            Kind::Fifo => Body::Fifo,
        };
        index.insert(path, InodeIndex(inodes.len()));
        inodes.push(Inode {
            mode: node.meta.mode,
            uid: node.meta.uid,
            gid: node.meta.gid,
            xattrs: node.meta.xattrs.clone(),
            body,
        });
    }
    for (path, node) in tree.iter().filter(|(path, _)| !path.is_empty()) {
        let target = match &node.kind {
            Kind::HardLink(target) => target,
            _ => path,
        };
        let bad = || RootFsError::BadLink { path: path.clone(), target: target.clone() };
        let inode = *index.get(target.as_slice()).ok_or_else(bad)?;
        let (parent, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&[][..], path.as_slice()),
        };
        let folder = index.get(parent).and_then(|folder| inodes.get_mut(folder.0));
        match folder.map(|folder| &mut folder.body) {
            Some(Body::Dir(entries)) => entries.insert(name.to_vec(), inode),
            _ => return Err(RootFsError::NoFolder(path.clone())),
        };
    }
    Ok(FileSystem { inodes, root: InodeIndex(0), epoch, uuid, label: label.to_owned() })
}
