//! Follows symbolic links inside the tree, as the kernel does when the tree is the root file system.

use super::{Kind, Node, Show, Tree, TreeError, TreePath, path};

/// The kernel's `MAXSYMLINKS`.
const MAX_LINKS: u32 = 40;

impl Tree {
    /// Follows all symbolic links in `path`, including the last component. Returns the real path and its node.
    #[must_use]
    pub fn lookup(&self, path: &[u8]) -> Option<(TreePath, &Node)> {
        let real = self.follow(path, &mut 0).ok()?;
        let node = self.get(&real)?;
        Some((real, node))
    }

    /// The real path of `dir`. Follows symbolic links. Components that do not exist stay as they are.
    ///
    /// # Errors
    /// The path leaves the tree, or has too many links.
    pub fn real_dir(&self, dir: &[u8]) -> Result<TreePath, TreeError> {
        self.follow(dir, &mut 0)
    }

    fn follow(&self, wanted: &[u8], links: &mut u32) -> Result<TreePath, TreeError> {
        // Fast path: nearly all paths have no symbolic link.
        if wanted.is_empty() || self.get(wanted).is_some_and(|node| matches!(node.kind, Kind::Directory)) {
            return Ok(wanted.to_vec());
        }
        let mut real = TreePath::with_capacity(wanted.len());
        for part in wanted.split(|&byte| byte == b'/') {
            match part {
                b"" | b"." => continue,
                b".." if real.is_empty() => {
                    return Err(TreeError::Leaves { path: Show(wanted).to_string() });
                }
                b".." => {
                    real.truncate(path::split(&real).map_or(0, |(dir, _)| dir.len()));
                    continue;
                }
                part => path::push(&mut real, part),
            }
            let Some(Node { kind: Kind::Symlink(target), .. }) = self.get(&real) else { continue };
            *links += 1;
            if *links > MAX_LINKS {
                return Err(TreeError::Loop { path: Show(wanted).to_string() });
            }
            let folder = path::split(&real).map_or(&[][..], |(dir, _)| dir);
            let next = if target.starts_with(b"/") { target.clone() } else { [folder, b"/", target].concat() };
            real = self.follow(&next, links)?;
        }
        Ok(real)
    }
}
