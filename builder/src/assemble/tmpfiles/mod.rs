//! Applies lines of tmpfiles.d(5) to the tree of an image, for paths outside the file systems that are mounted at boot. init applies the
//! lines for those file systems at every boot, with the same code ([`tmpfiles::apply`]).
//!
//! Lines with specifiers of the running host, and types and modifiers of later versions of systemd, are skipped, the latter with a warning.

mod image;
#[cfg(test)]
mod tests;

use super::{account::Accounts, declaration::Declaration, error::AssembleError};
use crate::tree::Tree;
use berth_formats::tmpfiles::{self, Argument, Line, LineError, Owner};
use image::Image;
use std::sync::Arc;

/// First path components of the file systems that are mounted at boot.
const MOUNTED: [&[u8]; 6] = [b"dev", b"proc", b"run", b"sys", b"tmp", b"var"];

/// Applies `lines` to `tree`, and checks those that init applies. Adds a warning for a path that stays because it is of another type than
/// the line makes, and for a line that no version of systemd up to 257 knows.
///
/// # Errors
/// All lines that cannot be applied.
pub(super) fn apply(
    tree: &mut Tree,
    lines: &[Declaration],
    accounts: &Accounts,
    origin: &Arc<str>,
    warnings: &mut Vec<String>,
) -> Result<(), AssembleError> {
    let (mut image, mut faults) = (Vec::new(), Vec::new());
    for declaration in lines {
        match Line::parse(&declaration.text, &of_host) {
            Err(error @ (LineError::Type { .. } | LineError::Modifier { .. })) => {
                warnings.push(format!("{}; the line has no effect", declaration.error(error.to_string())));
            }
            // The value is only known on the host.
            Err(LineError::Specifier { .. }) => {}
            Err(error) => faults.push(declaration.error(error.to_string())),
            Ok(line) => match crate::tree::clean(&line.path[1..]) {
                Err(fault) => faults.push(declaration.error(fault.to_string())),
                Ok(path) if is_of_host(&path) => {
                    faults.extend(stranger(&line, accounts).map(|why| declaration.error(why)))
                }
                // A line with a value of the host, such as its name, is applied at boot and not in the image.
                Ok(_) if matches!(line.argument, Argument::Attributes(_)) => warnings.push(
                    declaration
                        .error("the file system of the image has no such attributes; the line has no effect".to_owned())
                        .to_string(),
                ),
                Ok(_) if Line::parse(&declaration.text, &|_| None).is_ok() => image.push((line, declaration)),
                Ok(_) => {}
            },
        }
    }
    for (declaration, error) in tmpfiles::apply(&mut Image { tree, accounts, origin }, image) {
        let is_failure = error.is_failure();
        let error = declaration.error(error.to_string());
        if is_failure {
            faults.push(error);
        } else {
            warnings.push(error.to_string());
        }
    }
    match faults.len() {
        0 => Ok(()),
        1 => Err(faults.remove(0)),
        _ => Err(AssembleError::Declarations(faults)),
    }
}

/// The specifiers whose value init knows when it applies lines. The value itself does not matter here.
fn of_host(letter: char) -> Option<String> {
    matches!(letter, 'b' | 'v').then(|| letter.to_string())
}

/// Whether the host mounts a file system at or above the path.
fn is_of_host(path: &[u8]) -> bool {
    let first = path.split(|&byte| byte == b'/').next().unwrap_or_default();
    first.is_empty() || MOUNTED.contains(&first)
}

/// The fault of a line whose owner or group is not an account of the image; `None` if there is no fault. A line whose type has the modifier
/// `-` may name an unknown account.
fn stranger(line: &Line, accounts: &Accounts) -> Option<String> {
    let named = |owner: &Option<Owner>| {
        owner.as_ref().map(|owner| owner.name.clone()).filter(|name| name.parse::<u32>().is_err())
    };
    let user = named(&line.user).filter(|name| accounts.user(name).is_none()).map(|name| ("user", name));
    let group = named(&line.group).filter(|name| accounts.group(name).is_none()).map(|name| ("group", name));
    let listed = match &line.argument {
        Argument::Acl(list) => list.accounts().find_map(|(is_group, name)| {
            let is_known = if is_group { accounts.group(name).is_some() } else { accounts.user(name).is_some() };
            (!is_known).then(|| (if is_group { "group" } else { "user" }, name.to_owned()))
        }),
        _ => None,
    };
    let (kind, name) = user.or(group).or(listed).filter(|_| !line.modifiers.may_fail)?;
    Some(format!("the image has no {kind} {name:?}"))
}
