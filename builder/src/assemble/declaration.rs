//! Lines of sysusers.d(5) and tmpfiles.d(5): where they come from, and how they are split.

use super::error::AssembleError;
use crate::tree::{Show, Tree};
use std::collections::BTreeMap;

/// A line, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declaration {
    /// Path in the image, or `package NAME` for what stands for a script.
    pub(super) place: String,
    /// Number of the line.
    pub(super) line: usize,
    /// The line without blanks around it; neither empty nor a comment.
    pub(super) text: String,
}

impl Declaration {
    /// The error of this line.
    pub(super) fn error(&self, reason: impl Into<String>) -> AssembleError {
        AssembleError::Declaration {
            place: self.place.clone(),
            line: self.line,
            text: self.text.clone(),
            reason: reason.into(),
        }
    }

    /// Its fields, at most `most`; the last one takes the rest of the line. Quotes and backslashes protect, as
    /// systemd's `extract_first_word` has it with unquoting and C escapes.
    pub(super) fn fields(&self, most: usize) -> Result<Vec<String>, AssembleError> {
        let (mut fields, mut rest) = (Vec::new(), self.text.trim_start());
        while !rest.is_empty() {
            if fields.len() + 1 == most {
                fields.push(rest.to_owned());
                break;
            }
            let (field, after) = word(rest).ok_or_else(|| self.error("a quote is not closed"))?;
            fields.push(field);
            rest = after.trim_start();
        }
        Ok(fields)
    }
}

fn word(text: &str) -> Option<(String, &str)> {
    let (mut out, mut quote) = (String::new(), None);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            ('\\', _) => out.push(unescaped(chars.next()?.1)),
            (c, None) if c.is_whitespace() => return Some((out, &text[at..])),
            (c, _) => out.push(c),
        }
    }
    quote.is_none().then_some((out, ""))
}

fn unescaped(c: char) -> char {
    match c {
        'n' => '\n',
        't' => '\t',
        other => other,
    }
}

/// C escapes in the last field, which [`Declaration::fields`] leaves as they are.
pub(super) fn unescape(text: &str) -> String {
    let (mut out, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().map_or('\\', unescaped) } else { c });
    }
    out
}

/// The lines of all `NAME.conf` in `/etc/KIND.d` and `/usr/lib/KIND.d` of the tree, ordered by name; a file in the first
/// hides one in the second.
pub(super) fn read(tree: &Tree, kind: &str) -> Result<Vec<Declaration>, AssembleError> {
    let mut files: BTreeMap<&[u8], &Vec<u8>> = BTreeMap::new();
    for folder in [format!("usr/lib/{kind}.d"), format!("etc/{kind}.d")] {
        let conf =
            tree.children(folder.as_bytes()).filter(|(name, _, node)| name.ends_with(b".conf") && !node.is_dir());
        files.extend(conf.map(|(name, path, _)| (name, path)));
    }
    let mut found = Vec::new();
    for path in files.into_values() {
        // A link to nowhere, or to /dev/null, hides a file.
        let Some(text) = text(tree, path)? else { continue };
        found.extend(lines(&Show(path).to_string(), &text));
    }
    Ok(found)
}

/// The lines of `text` that declare something.
pub(super) fn lines(place: &str, text: &str) -> Vec<Declaration> {
    let lines = text.lines().enumerate().map(|(index, text)| (index + 1, text.trim()));
    let lines = lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#'));
    lines.map(|(line, text)| Declaration { place: place.to_owned(), line, text: text.to_owned() }).collect()
}

/// The text of a regular file of the tree.
pub(super) fn text(tree: &Tree, path: &[u8]) -> Result<Option<String>, AssembleError> {
    let Some(data) = tree.data(path) else { return Ok(None) };
    let bytes = data.to_bytes().map_err(|source| content_error(tree, path, source))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The error of a file whose bytes cannot be had.
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
        assert_eq!(fields("f /a 0644 - - - two  words\\n", 7).unwrap()[6], "two  words\\n");
        assert_eq!(unescape("two\\twords\\n\\\\"), "two\twords\n\\");
        assert_eq!(fields("g \"open", 6).unwrap_err().to_string(), "x.conf:1: \"g \\\"open\": a quote is not closed");
        assert_eq!(lines("p", "\n# c\n  g a -\n"), [Declaration { place: "p".into(), line: 3, text: "g a -".into() }]);
    }
}
