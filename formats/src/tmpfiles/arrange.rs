//! Which lines count, and in which order they are applied.

use super::{Line, LineType};
use crate::glob;
use std::collections::{BTreeMap, BTreeSet};

/// Puts lines, given in the order of their files, into the order in which they are applied. Each line carries a value of
/// the caller. A line is left out if an earlier line makes the same path with other values. The line for a directory comes
/// before those for paths in it; lines with patterns come last.
#[must_use]
pub fn arrange<T>(lines: Vec<(Line, T)>) -> Vec<(Line, T)> {
    let (patterns, plain): (Vec<_>, Vec<_>) = lines.into_iter().partition(|(line, _)| line.line_type.takes_pattern());
    let mut all = parents_first(groups(plain));
    all.extend(groups(patterns));
    all.into_iter().flatten().collect()
}

/// The lines of each path, paths in the order in which they come first.
fn groups<T>(lines: Vec<(Line, T)>) -> Vec<Vec<(Line, T)>> {
    let (mut groups, mut index): (Vec<Vec<(Line, T)>>, _) = (Vec::new(), BTreeMap::new());
    for (line, value) in lines {
        let at = *index.entry(line.path.clone()).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Vec::new());
        }
        let appends = |line: &Line| line.line_type == LineType::Write && line.modifiers.plus;
        if !groups[at].iter().any(|(other, _)| conflicts(other, &line) && !(appends(other) && appends(&line))) {
            groups[at].push((line, value));
        }
    }
    groups.iter_mut().for_each(|group| group.sort_by_key(|(line, _)| line.line_type.rank()));
    groups
}

fn conflicts(one: &Line, other: &Line) -> bool {
    let values =
        |line: &Line| (line.mode, line.user.clone(), line.group.clone(), line.age.clone(), line.argument.clone());
    one.line_type.makes() && other.line_type.makes() && values(one) != values(other)
}

fn parents_first<T>(groups: Vec<Vec<(Line, T)>>) -> Vec<Vec<(Line, T)>> {
    let paths: Vec<Vec<u8>> =
        groups.iter().map(|group| group.first().map(|(line, _)| line.path.clone()).unwrap_or_default()).collect();
    let index: BTreeMap<&[u8], usize> = paths.iter().enumerate().map(|(at, path)| (path.as_slice(), at)).collect();
    let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
    for (at, path) in paths.iter().enumerate() {
        let ends = path.iter().enumerate().filter(|(end, byte)| **byte == b'/' && *end > 0).map(|(end, _)| end);
        let parents = ends.filter_map(|end| index.get(&path[..end]).copied());
        order.extend(parents.chain([at]).filter(|at| seen.insert(*at)));
    }
    let mut groups: Vec<Option<Vec<(Line, T)>>> = groups.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| groups[at].take()).collect()
}

impl LineType {
    /// The order of lines for one path: what makes it comes before what changes it, which is ordered by its letter.
    fn rank(self) -> char {
        match self {
            Self::AclAll => 'A',
            Self::AttributesAll => 'H',
            Self::XattrsAll => 'T',
            Self::AdjustAll => 'Z',
            Self::Acl => 'a',
            Self::Attributes => 'h',
            Self::Xattrs => 't',
            Self::Adjust => 'z',
            _ => MAKES,
        }
    }

    /// Whether the line decides what a path is. For one path only one such line counts.
    fn makes(self) -> bool {
        self.rank() == MAKES
    }
}

/// Rank of lines that make a path.
const MAKES: char = ' ';

/// Gives the names in a directory.
pub type Children<'a, E> = dyn Fn(&[u8]) -> Result<Vec<Vec<u8>>, E> + 'a;

/// The paths that an absolute pattern may mean, as glob(7) has it: a wildcard matches no `/`, and no dot at the beginning of
/// a name; `{a,b}` means both. `children` gives the names in a directory. Names without a wildcard are not checked for existence.
///
/// # Errors
/// Those of `children`.
pub fn matching<E>(pattern: &[u8], children: &Children<'_, E>) -> Result<Vec<Vec<u8>>, E> {
    let mut all = Vec::new();
    for pattern in glob::alternatives(pattern) {
        let mut found = vec![Vec::new()];
        for name in names(&pattern) {
            let mut longer = Vec::new();
            for parent in found {
                let names: Vec<Vec<u8>> = match glob::is_pattern(name) {
                    true => children(&parent)?.into_iter().filter(|it| is_name(name, it)).collect(),
                    false => vec![glob::unescaped(name)],
                };
                longer.extend(names.iter().map(|name| [parent.as_slice(), b"/", name].concat()));
            }
            found = longer;
        }
        all.extend(found);
    }
    Ok(all)
}

/// Whether an absolute path is one of those that the pattern means.
#[must_use]
pub fn is_match(pattern: &[u8], path: &[u8]) -> bool {
    glob::alternatives(pattern).iter().any(|pattern| {
        names(pattern).count() == names(path).count()
            && names(pattern).zip(names(path)).all(|(pattern, name)| is_name(pattern, name))
    })
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
}

fn is_name(pattern: &[u8], name: &[u8]) -> bool {
    let hides = name.first() == Some(&b'.') && pattern.first() != Some(&b'.');
    !hides && glob::matches(pattern, name)
}
