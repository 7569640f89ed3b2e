//! Reads the lines of sysusers.d(5) and tmpfiles.d(5), and splits lines into fields.

use super::error::AssembleError;
use crate::tree::{Show, Tree};
use berth_formats::words::{self, Backslash};
use std::collections::BTreeMap;

/// A line and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declaration {
    /// Path in the image, or `package NAME` if the line replaces a maintainer script.
    pub(super) place: String,
    /// Line number, from 1.
    pub(super) line: usize,
    /// The line without blanks around it. It is not empty and not a comment.
    pub(super) text: String,
}

impl Declaration {
    /// An error at this line.
    pub(super) fn error(&self, reason: impl Into<String>) -> AssembleError {
        AssembleError::Declaration {
            place: self.place.clone(),
            line: self.line,
            text: self.text.clone(),
            reason: reason.into(),
        }
    }

    /// The fields of the line, at most `most`. The last field is the rest of the line.
    pub(super) fn fields(&self, most: usize) -> Result<Vec<String>, AssembleError> {
        let (mut fields, mut rest) = (Vec::new(), self.text.as_str());
        while fields.len() + 1 < most {
            let word = words::first(rest, Backslash::Protect).map_err(|error| self.error(error.to_string()))?;
            let Some((field, after)) = word else { return Ok(fields) };
            fields.push(String::from_utf8_lossy(&field).into_owned());
            rest = after;
        }
        if !rest.is_empty() {
            fields.push(rest.to_owned());
        }
        Ok(fields)
    }
}

/// The lines of all `NAME.conf` in `/etc/KIND.d` and `/usr/lib/KIND.d` of the tree, ordered by name. A file in `/etc` hides a
/// file of the same name in `/usr/lib`.
pub(super) fn read(tree: &Tree, kind: &str) -> Result<Vec<Declaration>, AssembleError> {
    let mut files: BTreeMap<&[u8], &Vec<u8>> = BTreeMap::new();
    for folder in [format!("usr/lib/{kind}.d"), format!("etc/{kind}.d")] {
        let conf =
            tree.children(folder.as_bytes()).filter(|(name, _, node)| name.ends_with(b".conf") && !node.is_dir());
        files.extend(conf.map(|(name, path, _)| (name, path)));
    }
    let mut found = Vec::new();
    for path in files.into_values() {
        // A link to /dev/null, or to a path that does not exist, hides a file and has no lines.
        let Some(text) = text(tree, path)? else { continue };
        found.extend(lines(&Show(path).to_string(), &text));
    }
    Ok(found)
}

/// The lines of `text` that are neither empty nor comments.
pub(super) fn lines(place: &str, text: &str) -> Vec<Declaration> {
    let lines = text.lines().enumerate().map(|(index, text)| (index + 1, text.trim()));
    let lines = lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#'));
    lines.map(|(line, text)| Declaration { place: place.to_owned(), line, text: text.to_owned() }).collect()
}

/// The text of a regular file of the tree. Links are followed.
pub(super) fn text(tree: &Tree, path: &[u8]) -> Result<Option<String>, AssembleError> {
    let Some(data) = tree.data(path) else { return Ok(None) };
    let bytes = data.to_bytes().map_err(|source| content_error(tree, path, source))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// An error for a file of the tree that cannot be read.
pub(super) fn content_error(tree: &Tree, path: &[u8], source: std::io::Error) -> AssembleError {
    let origin = tree.lookup(path).map_or_else(String::new, |(_, node)| node.origin.to_string());
    AssembleError::Content { origin, path: Show(path).to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_as_systemd_splits_them() {
        let fields = |text: &str, most| lines("x.conf", text)[0].fields(most);
        assert_eq!(fields("u  a - \"A \\\"b\\\" c\" '/x y' -", 6).unwrap(), ["u", "a", "-", "A \"b\" c", "/x y", "-"]);
        assert_eq!(fields("u a b two  words\\n", 4).unwrap()[3], "two  words\\n");
        assert_eq!(fields("g \"open", 6).unwrap_err().to_string(), "x.conf:1: \"g \\\"open\": a quote is not closed");
        assert_eq!(lines("p", "\n# c\n  g a -\n"), [Declaration { place: "p".into(), line: 3, text: "g a -".into() }]);
    }
}
