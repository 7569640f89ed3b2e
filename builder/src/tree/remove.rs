//! Removes nodes from a tree. If a file with hard links is removed, one of the links becomes the file.

use super::{Kind, Node, Tree, TreePath, path};
use std::collections::{BTreeMap, HashSet};

impl Tree {
    /// Removes the node at exactly `path`, with everything below it. Returns the node.
    pub fn remove(&mut self, path: &[u8]) -> Option<Node> {
        let inside: Vec<TreePath> = self.below(path).map(|(path, _)| path.clone()).collect();
        let node = self.nodes.get(path)?.clone();
        self.take_out(inside.into_iter().chain([path.to_vec()]).collect());
        Some(node)
    }

    /// Removes all nodes for which `unwanted` is true. A folder is removed only if it is empty afterwards. Returns the number of
    /// removed nodes.
    pub fn remove_if(&mut self, mut unwanted: impl FnMut(&TreePath, &Node) -> bool) -> usize {
        let mut going: Vec<TreePath> = Vec::new();
        // In reverse order, children come before their parents. So all children of a folder are decided before the folder.
        let mut occupied: HashSet<&[u8]> = HashSet::new();
        for (path, node) in self.nodes.iter().rev() {
            let Some((dir, _)) = path::split(path) else { continue };
            if unwanted(path, node) && !occupied.contains(path.as_slice()) {
                going.push(path.clone());
            } else {
                occupied.insert(dir);
            }
        }
        let count = going.len();
        self.take_out(going);
        count
    }

    /// Replaces the node at `path`.
    pub(super) fn replace(&mut self, path: &[u8], node: Node) {
        self.take_out(vec![path.to_vec()]);
        self.nodes.insert(path.to_vec(), node);
    }

    fn take_out(&mut self, paths: Vec<TreePath>) {
        let mut files: BTreeMap<TreePath, Node> = BTreeMap::new();
        for path in paths {
            if let Some(node) = self.nodes.remove(&path).filter(|node| matches!(node.kind, Kind::File(_))) {
                files.insert(path, node);
            }
        }
        if files.is_empty() {
            return;
        }
        // The first hard link that is left becomes the file. The other hard links refer to it.
        let mut heirs: BTreeMap<TreePath, TreePath> = BTreeMap::new();
        for (path, node) in &mut self.nodes {
            let Kind::HardLink(target) = &node.kind else { continue };
            let Some(file) = files.get(target) else { continue };
            let first = heirs.entry(target.clone()).or_insert_with(|| path.clone());
            node.kind = if first == path { file.kind.clone() } else { Kind::HardLink(first.clone()) };
        }
    }
}
