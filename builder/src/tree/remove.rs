//! Taking nodes out of a tree again. A hard link outlives the file that it was a name of.

use super::{Kind, Node, Tree, TreePath, path};
use std::collections::{BTreeMap, HashSet};

impl Tree {
    /// Takes the node at exactly `path` out, with everything below it, and returns it.
    pub fn remove(&mut self, path: &[u8]) -> Option<Node> {
        let inside: Vec<TreePath> = self.below(path).map(|(path, _)| path.clone()).collect();
        let node = self.nodes.get(path)?.clone();
        self.take_out(inside.into_iter().chain([path.to_vec()]).collect());
        Some(node)
    }

    /// Takes out everything that `unwanted` says; a folder only when nothing is left in it. Returns how many went.
    pub fn remove_if(&mut self, mut unwanted: impl FnMut(&TreePath, &Node) -> bool) -> usize {
        let mut going: Vec<TreePath> = Vec::new();
        // Children come after their parents, so backwards a folder is asked about when its children are decided.
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

    /// Puts `node` where another one is.
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
        // The first name that is left becomes the file, the others its names.
        let mut heirs: BTreeMap<TreePath, TreePath> = BTreeMap::new();
        for (path, node) in &mut self.nodes {
            let Kind::HardLink(target) = &node.kind else { continue };
            let Some(file) = files.get(target) else { continue };
            let first = heirs.entry(target.clone()).or_insert_with(|| path.clone());
            node.kind = if first == path { file.kind.clone() } else { Kind::HardLink(first.clone()) };
        }
    }
}
