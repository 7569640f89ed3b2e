//! The place of a value in a recipe's text. Later checks use it to show an error at the right line.

use super::spanned::Spanned;
use berth_contract::credentials::masked;
use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A recipe file: its path as the user would write it, and its text.
#[derive(Debug, PartialEq, Eq)]
pub struct RecipeFile {
    path: PathBuf,
    text: String,
}

/// A range of a recipe's text.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    source: Arc<RecipeFile>,
    span: Range<usize>,
}

/// A value and its place in the recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub place: Place,
}

impl RecipeFile {
    /// Makes a recipe file from a path and its text.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { path: path.into(), text: text.into() })
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Place {
    /// The byte range `span` of `source`, limited to the length of the text.
    #[must_use]
    pub fn new(source: &Arc<RecipeFile>, span: Range<usize>) -> Self {
        let inside = |at: usize| {
            let at = at.min(source.text.len());
            (0..=at).rev().find(|&at| source.text.is_char_boundary(at)).unwrap_or(0)
        };
        let start = inside(span.start);
        Self { source: Arc::clone(source), span: start..inside(span.end).max(start) }
    }

    /// Another place of the same file.
    pub(super) fn within(&self, span: Range<usize>) -> Self {
        Self::new(&self.source, span)
    }

    /// A value of the same file, with its place.
    pub(super) fn locate<T>(&self, value: Spanned<T>) -> Located<T> {
        let place = self.within(value.span());
        Located { value: value.into_inner(), place }
    }

    /// Path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// The folder of the file. Relative paths in the file start here.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path().parent().unwrap_or(Path::new(""))
    }

    /// Line number of the first character, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.source.text[..self.span.start].matches('\n').count() + 1
    }

    /// Column of the first character, counted in characters from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.source.text[self.line_start()..self.span.start].chars().count() + 1
    }

    fn line_start(&self) -> usize {
        self.source.text[..self.span.start].rfind('\n').map_or(0, |at| at + 1)
    }

    /// The first line of the place, with carets under the characters that belong to the place.
    pub(super) fn excerpt(&self) -> String {
        let text = &self.source.text;
        let start = self.line_start();
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        // Control characters of a binary file must not reach the terminal.
        let visible = |c: char| if c.is_control() { ' ' } else { c };
        let line: String = masked(text[start..end].trim_end()).chars().map(visible).collect();
        let number = self.line().to_string();
        let carets = text[self.span.start..self.span.end.min(end).max(self.span.start)].trim_end().chars().count();
        let (gutter, blank) = (" ".repeat(number.len()), " ".repeat(self.column() - 1));
        format!("{gutter} |\n{number} | {line}\n{gutter} | {blank}{}", "^".repeat(carets.max(1)))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path().display(), self.line(), self.column())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

impl<T> Located<T> {
    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: change(self.value), place: self.place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let source = RecipeFile::new("r.toml", "a = 1\n\té = \"ü\"  # x\n");
        let at = source.text().find("\"ü\"").unwrap();
        let place = Place::new(&source, at..at + 4);
        assert_eq!(place.to_string(), "r.toml:2:6");
        assert_eq!(place.excerpt(), "  |\n2 |  é = \"ü\"  # x\n  |      ^^^");
    }

    #[test]
    fn places_beyond_the_text_or_over_several_lines_do_not_panic() {
        let source = RecipeFile::new("r.toml", "ü\nb");
        assert_eq!(Place::new(&source, 1..99).excerpt(), "  |\n1 | ü\n  | ^");
        assert_eq!(Place::new(&source, 99..100).to_string(), "r.toml:2:2");
        let empty = RecipeFile::new("e.toml", "");
        assert_eq!(Place::new(&empty, 0..0).excerpt(), "  |\n1 | \n  | ^");
    }
}
