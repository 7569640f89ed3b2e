//! Lines that change paths which exist.

use super::{ApplyError, Found, Ids, Root, Writing, safe, set, text, tree};
use crate::{
    node::Kind,
    tmpfiles::{
        Argument, Attributes, Line, LineType,
        acl::{ACCESS, AclText, Before, DEFAULT},
        matching,
    },
};

/// Applies a line to all paths that match its pattern.
pub(super) fn matches<R: Root>(root: &mut R, line: &Line, ids: Ids) -> Result<(), ApplyError<R::Error>> {
    for path in found(root, &line.path)? {
        safe(root, &path)?;
        match line.line_type {
            LineType::AdjustAll | LineType::XattrsAll | LineType::AttributesAll | LineType::AclAll => {
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
        Argument::Attributes(attributes) => return attribute(root, path, found.as_ref(), *attributes),
        Argument::Acl(text) => return access_list(root, line, path, found.as_ref(), text),
        _ => {}
    }
    if let Some(found) = found.filter(|found| line.line_type == LineType::ExistingDirectory && !found.is_dir()) {
        let expected = Kind::<()>::Directory.word();
        return Err(ApplyError::Kind { path: text(path), expected, found: found.word() });
    }
    set(root, line, ids, path, false)
}

/// Devices and pipes have no attributes; systemd-tmpfiles refuses them too.
fn attribute<R: Root>(
    root: &mut R,
    path: &[u8],
    found: Option<&Found>,
    attributes: Attributes,
) -> Result<(), ApplyError<R::Error>> {
    match found.map(|found| &found.kind) {
        Some(Some(Kind::File(()) | Kind::Directory)) => Ok(root.set_attributes(path, attributes)?),
        None => Ok(()),
        Some(_) => {
            let found = found.map_or("", Found::word);
            Err(ApplyError::Kind { path: text(path), expected: "file or folder", found })
        }
    }
}

fn access_list<R: Root>(
    root: &mut R,
    line: &Line,
    path: &[u8],
    found: Option<&Found>,
    list: &AclText,
) -> Result<(), ApplyError<R::Error>> {
    let Some(found) = found.filter(|found| !found.is_link()) else { return Ok(()) };
    let (access, default) = (root.xattr(path, ACCESS)?, root.xattr(path, DEFAULT)?);
    let (mode, is_dir) = (found.rights.mode, found.is_dir());
    let before = Before { mode, is_dir, access: access.as_deref(), default: default.as_deref() };
    let ids = |is_group: bool, name: &str| if is_group { root.group(name) } else { root.user(name) };
    let unknown = |(kind, name)| ApplyError::Account { kind, name };
    let plus = line.modifiers.plus;
    let access = list.access_value(&before, plus, &ids).map_err(unknown)?;
    // The default list takes what it lacks from the new mode.
    let mode =
        access.as_deref().and_then(|value| crate::tmpfiles::acl::mode_of(value, mode)).map_or(mode, |(mode, _)| mode);
    let default = list.default_value(&Before { mode, ..before }, plus, &ids).map_err(unknown)?;
    for (name, value) in [(ACCESS, access), (DEFAULT, default)] {
        if let Some(value) = value {
            root.set_xattr(path, name, &value)?;
        }
    }
    Ok(())
}
