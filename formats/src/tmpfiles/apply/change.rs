//! Lines that change paths which exist.

use super::{ApplyError, Ids, Root, Writing, safe, set, text, tree};
use crate::{
    node::Kind,
    tmpfiles::{Argument, Line, LineType, matching},
};

/// Applies a line to all paths that match its pattern.
pub(super) fn matches<R: Root>(root: &mut R, line: &Line, ids: Ids) -> Result<(), ApplyError<R::Error>> {
    for path in found(root, &line.path)? {
        safe(root, &path)?;
        match line.line_type {
            LineType::AdjustAll | LineType::XattrsAll => {
                for (path, _) in tree(root, &path)? {
                    one(root, line, ids, &path)?;
                }
            }
            LineType::Write | LineType::ExistingDirectory => {
                if let Some(real) = root.follow(&path)? {
                    safe(root, &real)?;
                    one(root, line, ids, &real)?;
                }
            }
            _ => one(root, line, ids, &path)?,
        }
    }
    Ok(())
}

/// The paths that match a pattern, and exist. A wildcard means nothing in a directory that is a link, as in systemd-tmpfiles: else the
/// owner of the link could choose the files.
pub(super) fn found<R: Root>(root: &R, pattern: &[u8]) -> Result<Vec<Vec<u8>>, R::Error> {
    let mut found = Vec::new();
    let names = |directory: &[u8]| match root.look(directory)? {
        Some(found) if found.is_dir() => root.names(directory),
        _ => Ok(Vec::new()),
    };
    for path in matching(pattern, &names)? {
        if root.look(&path)?.is_some() {
            found.push(path);
        }
    }
    Ok(found)
}

fn one<R: Root>(root: &mut R, line: &Line, ids: Ids, path: &[u8]) -> Result<(), ApplyError<R::Error>> {
    let found = root.look(path)?;
    match &line.argument {
        Argument::Content(content) => {
            let how = if line.modifiers.plus { Writing::Append } else { Writing::Over };
            root.write(path, content, how)?;
        }
        Argument::Xattrs(xattrs) => {
            return Ok(xattrs.iter().try_for_each(|(name, value)| root.set_xattr(path, name, value))?);
        }
        // Attributes of chattr(1) and access control lists.
        Argument::Text(_) => return Ok(()),
        _ => {}
    }
    if let Some(found) = found.filter(|found| line.line_type == LineType::ExistingDirectory && !found.is_dir()) {
        let expected = Kind::<()>::Directory.word();
        return Err(ApplyError::Kind { path: text(path), expected, found: found.word() });
    }
    set(root, line, ids, path, false)
}
