//! Putting nodes into a tree: parents, merged folders, and who wins when two want one path.

use super::{IMPLIED, Kind, Node, Show, ShowName, Tree, TreeError, TreePath, path};
use std::sync::Arc;

/// Which of two nodes that are no folders stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The one that is there.
    KeepOld,
    /// The one that comes.
    TakeNew,
    /// Neither: an error that names both.
    Refuse,
}

impl Tree {
    /// Puts `node` at `name` (as an archive names it) and returns its path in the tree.
    ///
    /// Links to folders on the way are followed, as they were when the archive was unpacked on a running system: with
    /// `lib` a link to `usr/lib`, `lib/x` is put at `usr/lib/x`, and the folder `lib` is the folder `usr/lib`. Folders
    /// that are missing on the way are made, [`IMPLIED`]. A folder over a folder is one folder with the metadata of the
    /// first, or of the second where the first is implied. For everything else that is already there, `judge` decides
    /// from the old node and the new one.
    ///
    /// # Errors
    /// A name that is no path, a parent that is no folder, a folder and something else at one path, links that leave
    /// the tree, and what `judge` refuses.
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
        // A folder where a link to a folder is: dpkg keeps the link, too.
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
                // The same link twice is one link.
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
                // A folder that nobody ships is there for the sake of what is in it.
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

    /// Where `name` would be put: parents followed as [`Self::insert`] does, nothing made.
    ///
    /// # Errors
    /// A name that is no path, links that leave the tree.
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

    /// The real path of the folder `dir`, made where it is missing.
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
            _ if real == link => Err(fail("that is itself".to_owned())),
            Some(Kind::File(_)) => Ok(Kind::HardLink(real)),
            Some(Kind::HardLink(first)) if first != link => Ok(Kind::HardLink(first.clone())),
            Some(kind) => Err(fail(format!("that is a {}", kind.word()))),
            None => Err(fail("nothing is there yet".to_owned())),
        }
    }
}

/// A link may point to what is not there, but not above the root: that would name another file on every system.
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
