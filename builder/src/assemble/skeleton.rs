//! The tree before the first package: the merged /usr and the mount points of init.

use crate::tree::{Kind, Node, Tree, TreeError, Verdict};
use std::sync::Arc;

/// Folders and their modes. The root is read-only at run time, so every mount point must be in this list.
const FOLDERS: [(&str, u16); 19] = [
    ("", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/lib", 0o755),
    ("usr/lib64", 0o755),
    ("usr/sbin", 0o755),
    ("var", 0o755),
];
/// Debian's merged /usr.
const LINKS: [(&str, &str); 4] = [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64"), ("sbin", "usr/sbin")];

/// Folders that an overlay may replace by a link into /var, so that their content stays. Nothing of the host needs them as folders.
const MAY_BE_LINKS: [&[u8]; 6] = [b"home", b"media", b"mnt", b"opt", b"root", b"srv"];

/// Removes an empty folder of the skeleton if an overlay has a link at its path.
pub(super) fn give_way(tree: &mut Tree, path: &[u8], node: &Node) {
    let is_link = matches!(node.kind, Kind::Symlink(_)) && MAY_BE_LINKS.contains(&path);
    if is_link && tree.get(path).is_some_and(Node::is_dir) && tree.below(path).next().is_none() {
        tree.remove(path);
    }
}

/// The tree that packages are put into.
pub(super) fn tree(origin: &Arc<str>) -> Result<Tree, TreeError> {
    let mut tree = Tree::default();
    for (path, mode) in FOLDERS {
        tree.insert(path.as_bytes(), Node::dir(mode, origin), |_, _| Verdict::Refuse)?;
    }
    for (path, target) in LINKS {
        tree.insert(path.as_bytes(), Node::symlink(target, origin), |_, _| Verdict::Refuse)?;
    }
    Ok(tree)
}
