//! `C`: a copy of a file, or of a directory with its content.

use super::{ApplyError, Found, Ids, Rights, Root, create, safe, set, tree};
use crate::{node::Kind, tmpfiles::Line};

/// Copies to a path that does not exist, or is an empty directory. A source that does not exist is no error. If the line gives an
/// owner, all copies have this owner. If the line gives a mode, only the path itself has this mode.
pub(super) fn line<R: Root>(root: &mut R, line: &Line, ids: Ids, source: &[u8]) -> Result<(), ApplyError<R::Error>> {
    let path = line.path.as_slice();
    safe(root, path)?;
    let Some(from) = root.look(source)? else { return Ok(()) };
    create::parents(root, path)?;
    let there = root.look(path)?;
    if there.as_ref().is_some_and(|there| !is_alike(there, &from)) {
        return Ok(());
    }
    let merges = from.is_dir() && (line.modifiers.plus || root.names(path)?.is_empty());
    if there.is_none() || merges {
        for (found, node) in tree(root, source)? {
            let copy = [path, &found[source.len()..]].concat();
            // A service may own a directory of the target.
            safe(root, &copy)?;
            if root.look(&copy)?.is_none() {
                one(root, (&found, &node), &copy, ids)?;
            }
        }
    }
    set(root, line, ids, path, true)
}

/// Whether both are of one kind.
fn is_alike(one: &Found, other: &Found) -> bool {
    match (&one.kind, &other.kind) {
        (Some(one), Some(other)) => std::mem::discriminant(one) == std::mem::discriminant(other),
        _ => false,
    }
}

fn one<R: Root>(
    root: &mut R,
    (source, node): (&[u8], &Found),
    path: &[u8],
    ids: Ids,
) -> Result<(), ApplyError<R::Error>> {
    let Rights { mode, uid, gid } = node.rights;
    let kind = match &node.kind {
        None => return Ok(()),
        Some(Kind::File(()) | Kind::HardLink(_)) => {
            root.copy(source, path, mode)?;
            None
        }
        Some(Kind::Directory) => Some(Kind::Directory),
        Some(Kind::Symlink(target)) => Some(Kind::Symlink(target.clone())),
        Some(Kind::Fifo) => Some(Kind::Fifo),
        &Some(Kind::CharDevice { major, minor }) => Some(Kind::CharDevice { major, minor }),
        &Some(Kind::BlockDevice { major, minor }) => Some(Kind::BlockDevice { major, minor }),
    };
    if let Some(kind) = kind {
        root.make(path, &kind, mode)?;
    }
    let rights = Rights { mode, uid: ids.user.unwrap_or(uid), gid: ids.group.unwrap_or(gid) };
    Ok(root.set(path, rights)?)
}
