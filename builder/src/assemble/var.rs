//! /var and /run are other file systems at run time. So the files that packages ship below them are taken out of the root, and
//! lines of tmpfiles.d create them at boot.

use super::{capability, declaration::Declaration, error::AssembleError};
use crate::tree::{Kind, Node, Show, Tree, TreeError, TreePath, Verdict};
use berth_contract::paths;
use std::{fmt::Write, sync::Arc};

/// Lines of packages that no file of theirs has: they replace maintainer scripts.
const SCRIPTS: &str = "usr/lib/tmpfiles.d/00-scripts.conf";
/// Regular files that packages ship below /var and /run move here. A line of type `C` copies them back at boot (tmpfiles.d(5)).
const FACTORY: &str = "usr/share/factory";
/// Links into /run. init creates them.
const LINKS: [&[u8]; 2] = [b"var/lock", b"var/run"];

/// Takes the files below /var and /run out of `tree` and writes lines of tmpfiles.d for them: like dpkg, they make what is missing, and
/// leave mode and owner of what is there. Also empties /tmp, /dev, /proc and /sys. `scripts` are lines of tmpfiles.d that replace maintainer scripts.
///
/// Returns the shipped /var as a separate tree, and warnings.
pub(super) fn take(
    tree: &mut Tree,
    scripts: &[Declaration],
    origin: &Arc<str>,
) -> Result<(Tree, Vec<String>), AssembleError> {
    let (mut var, mut lines, mut warnings) = (Tree::default(), String::new(), Vec::new());
    for mount in ["run", "var"] {
        let shipped: Vec<(TreePath, Node)> = tree
            .below(mount.as_bytes())
            .filter(|(path, _)| !LINKS.iter().any(|link| path == link || path.starts_with(&[link, &b"/"[..]].concat())))
            .map(|(path, node)| (path.clone(), node.clone()))
            .collect();
        for (path, node) in shipped {
            if node.meta.xattrs.contains_key(capability::XATTR) {
                let (path, origin) = (Show(&path).to_string(), node.origin.to_string());
                return Err(AssembleError::CapabilitiesAtBoot { path, origin });
            }
            if !node.meta.xattrs.is_empty() {
                let path = Show(&path);
                let what = "its extended attributes cannot be set at boot and are lost";
                warnings.push(format!("{path} of {}: {what}", node.origin));
            }
            match declare(tree, &path, &node)? {
                Some(line) => _ = writeln!(lines, "{line}"),
                None => warnings.push(format!(
                    "{}: a {} of {} cannot be created at boot and is left out",
                    Show(&path),
                    node.kind.word(),
                    node.origin
                )),
            }
            if mount == "var" {
                let kind = match node.kind {
                    Kind::HardLink(target) => Kind::HardLink(target[b"var/".len().min(target.len())..].to_vec()),
                    kind => kind,
                };
                var.insert(&path[b"var/".len()..], Node { kind, ..node }, |_, _| Verdict::TakeNew)?;
            }
        }
    }
    let mut of_scripts = String::new();
    for line in scripts {
        let path = line.fields(3)?.into_iter().nth(1).unwrap_or_default();
        if path.starts_with("/var/") || path.starts_with("/run/") {
            _ = writeln!(of_scripts, "{}", line.text);
        }
    }
    for mount in ["dev", "proc", "run", "sys", "tmp", "var"] {
        let inside: Vec<TreePath> = tree.children(mount.as_bytes()).map(|(_, path, _)| path.clone()).collect();
        for path in inside {
            tree.remove(&path);
        }
    }
    for (path, title, lines) in [
        (paths::SHIPPED, "What packages ship below /var and /run.", lines),
        (SCRIPTS, "What maintainer scripts do below /var and /run.", of_scripts),
    ] {
        if !lines.is_empty() {
            let node = Node::file(0o644, format!("# {title}\n{lines}"), origin);
            tree.insert(path.trim_start_matches('/').as_bytes(), node, |_, _| Verdict::TakeNew)?;
        }
    }
    Ok((var, warnings))
}

/// The line that creates `node` at boot. `None` if tmpfiles.d cannot express it.
fn declare(tree: &mut Tree, path: &[u8], node: &Node) -> Result<Option<String>, TreeError> {
    let Ok(name) = std::str::from_utf8(path) else { return Ok(None) };
    if name.contains(['%', '"', '\\']) || name.contains(char::is_control) {
        return Ok(None);
    }
    let quoted = if name.contains(' ') { format!("\"/{name}\"") } else { format!("/{name}") };
    let (mode, uid, gid) = (node.meta.mode, node.meta.uid, node.meta.gid);
    // The colon: only for a path that the line makes.
    let new = format!(":{mode:04o} :{uid} :{gid} -");
    Ok(match &node.kind {
        Kind::Directory => Some(format!("d {quoted} {new}")),
        Kind::Symlink(target) => match std::str::from_utf8(target) {
            Ok(target) if !target.contains(['%', '\\', '\n']) => Some(format!("L {quoted} - - - - {target}")),
            _ => None,
        },
        Kind::File(_) | Kind::HardLink(_) => {
            let Some(data) = tree.data(path).cloned() else { return Ok(None) };
            let copy = Node { kind: Kind::File(data), origin: Arc::clone(&node.origin), meta: node.meta.clone() };
            let factory = format!("{FACTORY}/{name}");
            tree.insert(factory.as_bytes(), copy, |_, _| Verdict::TakeNew)?;
            // The copy has mode and owner of its source.
            Some(format!("C {quoted}"))
        }
        Kind::Fifo => Some(format!("p {quoted} {new}")),
        Kind::CharDevice { major, minor } => Some(format!("c {quoted} {new} {major}:{minor}")),
        Kind::BlockDevice { major, minor } => Some(format!("b {quoted} {new} {major}:{minor}")),
    })
}
