//! /etc/shells, update-shells(8): the shells that packages declare.

use super::{declaration, error::AssembleError, own::ORIGIN};
use crate::tree::{Node, Tree, TreePath, Verdict, split};
use std::{collections::BTreeSet, sync::Arc};

const TEMPLATE: &[u8] = b"usr/share/debianutils/shells";
const DECLARED: &[u8] = b"usr/share/debianutils/shells.d";

/// Writes /etc/shells, if the image has its template. A file of an overlay stays.
pub(super) fn apply(tree: &mut Tree) -> Result<(), AssembleError> {
    let Some(template) = declaration::text(tree, TEMPLATE)? else { return Ok(()) };
    let (mut out, mut known) = (String::new(), BTreeSet::new());
    for line in template.lines() {
        let shell = line.split('#').next().unwrap_or_default().to_owned();
        if shell.is_empty() || known.insert(shell) {
            out.push_str(line);
            out.push('\n');
        }
    }
    let files: Vec<TreePath> = tree.children(DECLARED).map(|(_, path, _)| path.clone()).collect();
    for path in std::iter::once(TEMPLATE.to_vec()).chain(files) {
        let text = declaration::text(tree, &path)?.unwrap_or_default();
        for shell in text.lines().filter_map(|line| line.split('#').next()).filter(|shell| !shell.is_empty()) {
            for name in [Some(shell.to_owned()), real(tree, shell)].into_iter().flatten() {
                if known.insert(name.clone()) {
                    out.push_str(&name);
                    out.push('\n');
                }
            }
        }
    }
    let origin: Arc<str> = ORIGIN.into();
    let own = |old: &Node, _: &Node| match old.origin.starts_with("overlay ") {
        true => Verdict::KeepOld,
        false => Verdict::TakeNew,
    };
    tree.insert(b"etc/shells", Node::file(0o644, out, &origin), own)?;
    Ok(())
}

/// The path of a shell with the links of its folder resolved.
fn real(tree: &Tree, shell: &str) -> Option<String> {
    let (folder, name) = split(shell.strip_prefix('/')?.as_bytes())?;
    let (folder, _) = tree.lookup(folder)?;
    String::from_utf8([b"/", &folder[..], b"/", name].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink, process::Command};

    /// update-shells makes the same file.
    #[test]
    fn the_shells_are_those_of_update_shells() {
        berth_judge::needs!("update-shells");
        let (mut tree, dir, origin) = (Tree::default(), tempfile::tempdir().unwrap(), Arc::<str>::from("test"));
        let files = [
            ("usr/share/debianutils/shells", "# valid login shells\n/bin/sh\n/usr/bin/sh\n"),
            ("usr/share/debianutils/shells.d/bash", "/bin/bash\n/bin/rbash\n"),
            ("usr/share/debianutils/shells.d/dash", "/bin/sh\n/usr/bin/dash # the default\n"),
            ("usr/bin/bash", ""),
        ];
        tree.insert(b"bin", Node::symlink("usr/bin", &origin), |_, _| Verdict::Refuse).unwrap();
        symlink("usr/bin", dir.path().join("bin")).unwrap();
        fs::create_dir_all(dir.path().join("var/lib")).unwrap();
        fs::create_dir_all(dir.path().join("etc")).unwrap();
        for (path, text) in files {
            tree.insert(path.as_bytes(), Node::file(0o644, text.to_owned(), &origin), |_, _| Verdict::Refuse).unwrap();
            fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            fs::write(dir.path().join(path), text).unwrap();
        }
        apply(&mut tree).unwrap();
        let output = Command::new("update-shells").arg("--root").arg(dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let ours = declaration::text(&tree, b"etc/shells").unwrap().unwrap();
        assert_eq!(ours, fs::read_to_string(dir.path().join("etc/shells")).unwrap());
    }
}
