//! Finds the value at a path like `container[0].env."a.b"`.

use std::ops::Range;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A step from a table or list to a value in it.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// Byte range of the value at `path`. If the text does not have the value, of the table or list that it would be in.
pub(crate) fn place_of<'de>(table: &Spanned<DeTable<'de>>, path: &str) -> Range<usize> {
    let mut span = 0..0;
    let mut value: Option<&DeValue<'de>> = None;
    for step in &steps(path) {
        let next = match (step, value) {
            (Step::Key(key), None) => in_table(table.get_ref(), key),
            (Step::Key(key), Some(DeValue::Table(inner))) => in_table(inner, key),
            (Step::Index(index), Some(DeValue::Array(items))) => items.get(*index),
            _ => None,
        };
        let Some(next) = next else { break };
        (span, value) = (next.span(), Some(next.get_ref()));
    }
    span
}

fn in_table<'a, 'de>(table: &'a DeTable<'de>, key: &str) -> Option<&'a Spanned<DeValue<'de>>> {
    table.iter().find(|(name, _)| name.get_ref().as_ref() == key).map(|(_, value)| value)
}

/// The steps of a path. A key with other characters than letters, digits, _ and - is in quotes.
fn steps(path: &str) -> Vec<Step> {
    let (mut steps, mut rest) = (Vec::new(), path);
    while !rest.is_empty() {
        let end = |marks: &[char], text: &str| text.find(marks).unwrap_or(text.len());
        if let Some(inner) = rest.strip_prefix('"') {
            let length = end(&['"'], inner);
            steps.push(Step::Key(inner[..length].to_owned()));
            rest = inner.get(length + 1..).unwrap_or_default();
        } else if let Some(inner) = rest.strip_prefix('[') {
            let length = end(&[']'], inner);
            steps.push(Step::Index(inner[..length].parse().unwrap_or(usize::MAX)));
            rest = inner.get(length + 1..).unwrap_or_default();
        } else {
            let length = end(&['.', '['], rest);
            steps.push(Step::Key(rest[..length].to_owned()));
            rest = &rest[length..];
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_paths() {
        let text = "top = 1\n[a.'b.c']\nx = [1, { y = 'deep' }]\n[[list]]\nn = 1\n[[list]]\nn = 22\n";
        let table = DeTable::parse(text).unwrap();
        for (path, found) in [
            ("top", "1"),
            ("a.\"b.c\".x[1].y", "'deep'"),
            ("a.\"b.c\".x[0]", "1"),
            ("list[1].n", "22"),
            // The innermost value that exists.
            ("a.\"b.c\".x[7]", "[1, { y = 'deep' }]"),
            ("list[1].missing", "[[list]]"),
            ("", ""),
            ("nothing", ""),
        ] {
            assert_eq!(&text[place_of(&table, path)], found, "{path}");
        }
        let second = text.rfind("[[list]]").unwrap();
        assert_eq!(place_of(&table, "list[1]"), second..second + 8);
    }
}
