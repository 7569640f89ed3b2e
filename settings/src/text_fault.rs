//! A fault of a text, with its line and column.

use crate::explain::{Explanation, may_be_shown};
use std::fmt;

/// A fault of a text. Its `Display` is one line, with the place first. Values that may be secrets are not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFault {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// What is wrong, or the path of the key whose value is wrong.
    pub message: String,
    /// The expected value.
    pub expected: Option<String>,
    /// The value found.
    pub found: Option<String>,
    /// The next step for the user.
    pub hint: Option<String>,
}

impl TextFault {
    /// The fault of `text` at the start of its span.
    #[must_use]
    pub fn new(text: &str, explanation: Explanation) -> Self {
        let Explanation { span, message, expected, found, hint } = explanation;
        let (line, column) = position(text, span.start);
        let found = found.map(|found| if may_be_shown(&found) { found } else { format!("{} bytes", found.len()) });
        Self { line, column, message, expected, found, hint }
    }
}

/// Line and column of a byte, both counted from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

impl fmt::Display for TextFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, message, expected, found, hint: _ } = self;
        write!(f, "line {line}, column {column}: {message}")?;
        let parts = [("expected", expected), ("found", found)];
        for (index, (word, text)) in
            parts.into_iter().filter_map(|(word, text)| Some((word, text.as_ref()?))).enumerate()
        {
            write!(f, "{} {word} {text}", if index == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for TextFault {}
