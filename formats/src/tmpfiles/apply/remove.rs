//! Lines that remove: `r`, `R`, and `D`, which removes the content of a directory.

use super::{ApplyError, Root, change::found, join, safe, text};
use crate::tmpfiles::{Line, LineType, is_match};

/// Removes what the lines say. Returns the result of each line, in their order. A path in a directory stays, with its content, if another
/// line is for this path.
pub(super) fn all<R: Root, T>(root: &mut R, lines: &[(Line, T)]) -> Vec<Result<(), ApplyError<R::Error>>> {
    let mut one = |(line, _): &(Line, T)| match line.line_type {
        LineType::Remove | LineType::RemoveAll | LineType::EmptiedDirectory => {
            let others = lines.iter().map(|(other, _)| other).filter(|other| other.path != line.path);
            let others: Vec<&Line> = others.collect();
            let stays = |path: &[u8]| others.iter().any(|other| is_for(other, path));
            let paths = found(root, &line.path)?;
            paths.iter().try_for_each(|path| at(root, line.line_type, path, &stays))
        }
        _ => Ok(()),
    };
    // What lies deeper comes first: a directory may be empty then.
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(lines[at].0.path.iter().filter(|byte| **byte == b'/').count()));
    let mut results: Vec<_> = lines.iter().map(|_| Ok(())).collect();
    for at in order {
        results[at] = one(&lines[at]);
    }
    results
}

fn is_for(line: &Line, path: &[u8]) -> bool {
    if line.line_type.takes_pattern() { is_match(&line.path, path) } else { line.path == path }
}

fn at<R: Root>(
    root: &mut R,
    line_type: LineType,
    path: &[u8],
    stays: &dyn Fn(&[u8]) -> bool,
) -> Result<(), ApplyError<R::Error>> {
    safe(root, path)?;
    let Some(it) = root.look(path)? else { return Ok(()) };
    match line_type {
        LineType::RemoveAll => Ok(tree(root, path, stays)?),
        LineType::EmptiedDirectory if it.is_dir() => {
            for name in root.names(path)? {
                let inside = join(path, &name);
                if !stays(&inside) && root.look(&inside)?.is_some_and(|inside| inside.device == it.device) {
                    tree(root, &inside, stays)?;
                }
            }
            Ok(())
        }
        LineType::EmptiedDirectory => Ok(()),
        _ if it.is_dir() && !root.names(path)?.is_empty() => Err(ApplyError::NotEmpty { path: text(path) }),
        _ => Ok(root.remove(path)?),
    }
}

/// Removes a path with everything below it, but nothing that `stays`, and nothing that is mounted.
pub(super) fn tree<R: Root>(root: &mut R, path: &[u8], stays: &dyn Fn(&[u8]) -> bool) -> Result<(), R::Error> {
    let (mut going, mut open) = (Vec::new(), vec![path.to_vec()]);
    let mut device = None;
    while let Some(path) = open.pop() {
        let Some(found) = root.look(&path)? else { continue };
        let is_mounted = *device.get_or_insert(found.device) != found.device;
        if is_mounted || (!going.is_empty() && stays(&path)) {
            continue;
        }
        if found.is_dir() {
            open.extend(root.names(&path)?.into_iter().rev().map(|name| join(&path, &name)));
        }
        going.push((path, found.is_dir()));
    }
    for (path, is_dir) in going.into_iter().rev() {
        if !is_dir || root.names(&path)?.is_empty() {
            root.remove(&path)?;
        }
    }
    Ok(())
}
