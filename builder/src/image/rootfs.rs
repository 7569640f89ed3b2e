//! The root file system: makes the inode table of EROFS from the tree.

use crate::tree::{Kind, Tree, TreePath};
use berth_formats::erofs::{Body, FileSystem, Inode, InodeIndex};
use std::collections::HashMap;

/// The tree cannot be stored in a file system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootFsError {
    #[error("/{}: its parent is missing, or is not a folder", String::from_utf8_lossy(.0))]
    NoFolder(TreePath),
    #[error("/{}: hard link to /{}, which is not a file of the tree", String::from_utf8_lossy(.path), String::from_utf8_lossy(.target))]
    BadLink { path: TreePath, target: TreePath },
}

/// The inodes and directory entries of `tree`. Every file has the time `epoch`.
///
/// # Errors
/// If the parent of a path or the target of a hard link is missing.
pub fn inodes(tree: &Tree, epoch: u64, uuid: [u8; 16], label: &str) -> Result<FileSystem, RootFsError> {
    let mut inodes: Vec<Inode> = Vec::new();
    let mut index: HashMap<&[u8], InodeIndex> = HashMap::new();
    // Two passes, because a hard link may sort before its file: first all inodes, then all directory entries.
    for (path, node) in tree.iter() {
        let Ok(body) = Body::try_from(&node.kind) else { continue };
        index.insert(path, InodeIndex(inodes.len()));
        inodes.push(Inode { meta: node.meta.clone(), body });
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
            Some(Body::Directory(entries)) => entries.insert(name.to_vec(), inode),
            _ => return Err(RootFsError::NoFolder(path.clone())),
        };
    }
    Ok(FileSystem { inodes, root: InodeIndex(0), epoch, uuid, label: label.to_owned() })
}
