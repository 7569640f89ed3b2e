//! Applies lines of tmpfiles.d(5) to the tree of an image, for paths outside the file systems that are mounted at boot. init applies the
//! lines for those file systems at every boot, with the same code ([`tmpfiles::apply`]).
//!
//! Lines with specifiers of the running host, and types and modifiers of later versions of systemd, are skipped.

mod image;
#[cfg(test)]
mod tests;

use super::{account::Accounts, declaration::Declaration, error::AssembleError};
use crate::tree::Tree;
use berth_formats::tmpfiles::{self, Line, LineError};
use image::Image;
use std::sync::Arc;

/// First path components of the file systems that are mounted at boot.
const MOUNTED: [&[u8]; 6] = [b"dev", b"proc", b"run", b"sys", b"tmp", b"var"];

/// Applies `lines` to `tree`. Adds a warning for a path that stays because it is of another type than the line makes.
pub(super) fn apply(
    tree: &mut Tree,
    lines: &[Declaration],
    accounts: &Accounts,
    origin: &Arc<str>,
    warnings: &mut Vec<String>,
) -> Result<(), AssembleError> {
    let mut parsed = Vec::new();
    for declaration in lines {
        parsed.extend(parse(declaration)?.map(|line| (line, declaration)));
    }
    for (declaration, error) in tmpfiles::apply(&mut Image { tree, accounts, origin }, parsed) {
        let is_failure = error.is_failure();
        let error = declaration.error(error.to_string());
        if is_failure {
            return Err(error);
        }
        warnings.push(error.to_string());
    }
    Ok(())
}

/// Parses a line. `None` if the line is not for the image.
fn parse(declaration: &Declaration) -> Result<Option<Line>, AssembleError> {
    let line = match Line::parse(&declaration.text, &|_| None) {
        Ok(line) => line,
        Err(LineError::Type { .. } | LineError::Modifier { .. } | LineError::Specifier { .. }) => return Ok(None),
        Err(error) => return Err(declaration.error(error.to_string())),
    };
    let path = crate::tree::clean(&line.path[1..]).map_err(|fault| declaration.error(fault.to_string()))?;
    let first = path.split(|&byte| byte == b'/').next().unwrap_or_default();
    Ok((!first.is_empty() && !MOUNTED.contains(&first)).then_some(line))
}
