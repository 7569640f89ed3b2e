//! Puts nodes into a tree: creates parents, merges folders, and decides between two files at one path.

use super::{IMPLIED, Kind, Node, Show, ShowName, Tree, TreeError, TreePath, path};
use std::sync::Arc;

/// Which of two nodes at one path stays in the tree. Neither node is a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The node in the tree stays.
    KeepOld,
    /// The new node replaces it.
    TakeNew,
    /// The call fails with an error that names both origins.
    Refuse,
}

impl Tree {
    /// Puts `node` at `name` (as an archive names it) and returns its path in the tree.
    ///
    /// - Links to folders are followed, as when the archive is unpacked on a running system: if `lib` is a link to `usr/lib`,
    ///   `lib/x` goes to `usr/lib/x`, and the folder `lib` is the folder `usr/lib`.
    /// - Missing parent folders are created, with the origin [`IMPLIED`].
    /// - If there is a folder already and `node` is a folder, the metadata of the first one stays, unless it is implied.
    /// - For any other two nodes at one path, `judge` decides. Its arguments are the old node and the new node.
    ///
    /// # Errors
    /// If the name is not a valid path, a parent is not a folder, a folder and a file are at one path, a link leaves the tree, or
    /// `judge` refuses.
    pub fn insert(
        &mut self,
        name: &[u8],
        mut node: Node,
        judge: impl Fn(&Node, &Node) -> Verdict,
    ) -> Result<TreePath, TreeError> {
        let wanted = self.cleaned(name, &node.origin)?;
        let Some((dir, base)) = path::split(&wanted) else {
            return self.insert_root(node).map(|()| wanted);
        };
        let mut real = self.make_dirs(dir, &wanted, &node.origin)?;
        path::push(&mut real, base);
        if let Kind::HardLink(target) = &node.kind {
            node.kind = self.hard_link(target, &real, &node.origin)?;
        }
        if let Kind::Symlink(target) = &node.kind {
            stays_inside(&real, target, &node.origin)?;
        }
        // A folder at the path of a link to a folder: keep the link, as dpkg does.
        if node.is_dir() && self.get(&real).is_some_and(|old| matches!(old.kind, Kind::Symlink(_))) {
            real = self.lookup(&real).filter(|(_, there)| there.is_dir()).map_or(real, |(there, _)| there);
        }
        let Some(old) = self.get(&real) else {
            self.nodes.insert(real.clone(), node);
            return Ok(real);
        };
        match (old.is_dir(), node.is_dir()) {
            (true, true) => {
                if &*old.origin == IMPLIED {
                    self.nodes.insert(real.clone(), node);
                }
            }
            (false, false) => {
                // Two equal links are no conflict.
                let same = matches!(old.kind, Kind::Symlink(_)) && old.kind == node.kind;
                match if same { Verdict::KeepOld } else { judge(old, &node) } {
                    Verdict::KeepOld => {}
                    Verdict::TakeNew => self.replace(&real, node),
                    Verdict::Refuse => {
                        let (old, new) = (old.origin.to_string(), node.origin.to_string());
                        return Err(TreeError::Both { path: Show(&real).to_string(), old, new });
                    }
                }
            }
            _ => {
                // An implied folder exists because of its content, so the message names the owner of the content.
                let whose = |node: &&Node| &*node.origin != IMPLIED;
                let owner = Some(old).filter(whose).or_else(|| self.below(&real).map(|(_, node)| node).find(whose));
                return Err(TreeError::Kinds {
                    path: Show(&real).to_string(),
                    old: owner.unwrap_or(old).origin.to_string(),
                    old_kind: old.kind.word(),
                    new: node.origin.to_string(),
                    new_kind: node.kind.word(),
                });
            }
        }
        Ok(real)
    }

    /// The path at which [`Self::insert`] would put `name`. Does not change the tree.
    ///
    /// # Errors
    /// If the name is not a valid path, or a link leaves the tree.
    pub fn place(&self, name: &[u8], origin: &Arc<str>) -> Result<TreePath, TreeError> {
        let wanted = self.cleaned(name, origin)?;
        let Some((dir, base)) = path::split(&wanted) else { return Ok(wanted) };
        let mut real = self.real_dir(dir)?;
        path::push(&mut real, base);
        Ok(real)
    }

    fn cleaned(&self, name: &[u8], origin: &Arc<str>) -> Result<TreePath, TreeError> {
        path::clean(name).map_err(|fault| TreeError::Path {
            origin: origin.to_string(),
            name: ShowName(name).to_string(),
            fault,
        })
    }

    fn insert_root(&mut self, node: Node) -> Result<(), TreeError> {
        if !node.is_dir() {
            return Err(TreeError::Kinds {
                path: "/".to_owned(),
                old: "every image".to_owned(),
                old_kind: Kind::<()>::Directory.word(),
                new: node.origin.to_string(),
                new_kind: node.kind.word(),
            });
        }
        if self.get(b"").is_none_or(|old| &*old.origin == IMPLIED) {
            self.nodes.insert(TreePath::new(), node);
        }
        Ok(())
    }

    /// Creates the folder `dir` and its parents if they are missing. Returns its real path.
    fn make_dirs(&mut self, dir: &[u8], wanted: &[u8], origin: &Arc<str>) -> Result<TreePath, TreeError> {
        let real = self.real_dir(dir)?;
        let ends = real.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([real.len()]);
        for end in ends.filter(|&end| end > 0) {
            match self.nodes.get(&real[..end]) {
                Some(node) if node.is_dir() => {}
                Some(node) => {
                    return Err(TreeError::Parent {
                        path: Show(wanted).to_string(),
                        new: origin.to_string(),
                        parent: Show(&real[..end]).to_string(),
                        old: node.origin.to_string(),
                        kind: node.kind.word(),
                    });
                }
                None => _ = self.nodes.insert(real[..end].to_vec(), Node::dir(0o755, &Arc::from(IMPLIED))),
            }
        }
        Ok(real)
    }

    fn hard_link(&self, target: &[u8], link: &[u8], origin: &Arc<str>) -> Result<Kind, TreeError> {
        let fail = |found: String| TreeError::HardLink {
            origin: origin.to_string(),
            path: Show(link).to_string(),
            target: ShowName(target).to_string(),
            found,
        };
        let real = self.place(target, origin).map_err(|error| fail(error.to_string()))?;
        match self.get(&real).map(|node| &node.kind) {
            _ if real == link => Err(fail("the target is the link itself".to_owned())),
            Some(Kind::File(_)) => Ok(Kind::HardLink(real)),
            Some(Kind::HardLink(first)) if first != link => Ok(Kind::HardLink(first.clone())),
            Some(kind) => Err(fail(format!("the target is a {}", kind.word()))),
            None => Err(fail("the target does not exist yet".to_owned())),
        }
    }
}

/// Checks that the target of a link is not above the root: such a path names a different file on every system. The target does
/// not have to exist.
fn stays_inside(link: &[u8], target: &[u8], origin: &Arc<str>) -> Result<(), TreeError> {
    let mut depth = if target.starts_with(b"/") { 0 } else { link.iter().filter(|byte| **byte == b'/').count() };
    for part in target.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if depth == 0 => {
                return Err(TreeError::LinkLeaves {
                    origin: origin.to_string(),
                    path: Show(link).to_string(),
                    target: ShowName(target).to_string(),
                });
            }
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    Ok(())
}
