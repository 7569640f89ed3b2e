//! Lines that make a path.

use super::{ApplyError, Found, Ids, Root, Writing, remove, safe, set, text};
use crate::{
    node::Kind,
    tmpfiles::{Argument, Line, LineType},
};

/// The default mode of directories on the way to a path.
const PARENT: u16 = 0o755;

pub(super) fn line<R: Root>(root: &mut R, line: &Line, ids: Ids) -> Result<(), ApplyError<R::Error>> {
    let path = line.path.as_slice();
    safe(root, path)?;
    let kind = wanted(line);
    if let (true, Kind::Symlink(target)) = (line.modifiers.if_target, &kind)
        && !exists(root, path, target)?
    {
        return Ok(());
    }
    parents(root, path)?;
    let is_new = match root.look(path)? {
        None => true,
        Some(found) if is_same(&kind, &found) => false,
        Some(found) if replaces(line, &found) => {
            remove::tree(root, path, &|_| false)?;
            true
        }
        // A link with another target stays.
        Some(_) if line.line_type == LineType::Symlink => return Ok(()),
        Some(found) => {
            return Err(ApplyError::Kind { path: text(path), expected: kind.word(), found: found.word() });
        }
    };
    match &kind {
        _ if is_new => root.make(path, &kind, line.mode_of_new())?,
        Kind::File(content) if line.modifiers.plus => root.write(path, content, Writing::Replace)?,
        _ => {}
    }
    set(root, line, ids, path, is_new)
}

/// What the line makes.
fn wanted(line: &Line) -> Kind<&[u8]> {
    match (&line.argument, line.line_type) {
        (Argument::Target(target), _) => Kind::Symlink(target.clone()),
        (Argument::Content(content), _) => Kind::File(content),
        (_, LineType::File) => Kind::File(&[]),
        (_, LineType::Fifo) => Kind::Fifo,
        (&Argument::Device { major, minor }, LineType::CharDevice) => Kind::CharDevice { major, minor },
        (&Argument::Device { major, minor }, _) => Kind::BlockDevice { major, minor },
        _ => Kind::Directory,
    }
}

/// Whether the line's node is there already. A device with other numbers stays.
fn is_same(kind: &Kind<&[u8]>, found: &Found) -> bool {
    match (kind, &found.kind) {
        (Kind::File(_), Some(Kind::File(())))
        | (Kind::Directory, Some(Kind::Directory))
        | (Kind::Fifo, Some(Kind::Fifo))
        | (Kind::CharDevice { .. }, Some(Kind::CharDevice { .. }))
        | (Kind::BlockDevice { .. }, Some(Kind::BlockDevice { .. })) => true,
        (Kind::Symlink(target), Some(Kind::Symlink(there))) => target == there,
        _ => false,
    }
}

/// Whether the line removes what is there. `=` leaves a link for a link; `+` of a file only replaces content.
fn replaces(line: &Line, found: &Found) -> bool {
    let by_type = line.modifiers.replace_other_type && !(line.line_type == LineType::Symlink && found.is_link());
    let by_plus =
        matches!(line.line_type, LineType::Symlink | LineType::Fifo | LineType::CharDevice | LineType::BlockDevice);
    by_type || line.modifiers.plus && by_plus
}

/// Whether the target of a link at `path` exists.
fn exists<R: Root>(root: &R, path: &[u8], target: &[u8]) -> Result<bool, R::Error> {
    let directory = path.rsplitn(2, |&byte| byte == b'/').nth(1).unwrap_or_default();
    let target = if target.starts_with(b"/") { target.to_vec() } else { [directory, b"/", target].concat() };
    Ok(root.follow(&target)?.is_some())
}

/// Makes the directories on the way to `path`.
pub(super) fn parents<R: Root>(root: &mut R, path: &[u8]) -> Result<(), ApplyError<R::Error>> {
    let ends = path.iter().enumerate().filter(|(end, byte)| **byte == b'/' && *end > 0).map(|(end, _)| end);
    for end in ends {
        let parent = &path[..end];
        let real = match root.look(parent)? {
            None => {
                root.make(parent, &Kind::Directory, PARENT)?;
                continue;
            }
            Some(found) if found.is_dir() => continue,
            Some(found) => root.follow(parent)?.map_or(Ok(Some(found)), |real| root.look(&real))?,
        };
        if let Some(found) = real.filter(|found| !found.is_dir()) {
            let expected = Kind::<()>::Directory.word();
            return Err(ApplyError::Kind { path: text(parent), expected, found: found.word() });
        }
    }
    Ok(())
}
