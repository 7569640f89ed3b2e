//! Parses paragraphs of `Field: value` lines (deb822(5)). Values borrow from the text: an index of 60 MB is not copied.

/// Iterator over the paragraphs of a text. Empty lines separate them.
#[derive(Clone, Debug)]
pub struct Stanzas<'a> {
    rest: &'a str,
}

/// One paragraph, never empty.
#[derive(Clone, Copy, Debug)]
pub struct Stanza<'a>(&'a str);

/// Splits a text into its paragraphs.
#[must_use]
pub fn stanzas(text: &str) -> Stanzas<'_> {
    Stanzas { rest: text }
}

impl<'a> Iterator for Stanzas<'a> {
    type Item = Stanza<'a>;

    fn next(&mut self) -> Option<Stanza<'a>> {
        let text = self.rest.trim_start_matches('\n');
        if text.is_empty() {
            return None;
        }
        let mut end = 0;
        while end < text.len() && !text[end..].starts_with('\n') {
            end = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
        }
        let (stanza, rest) = text.split_at(end);
        self.rest = rest;
        Some(Stanza(stanza))
    }
}

impl<'a> Stanza<'a> {
    /// Name and value of each field, in order. A value keeps its continuation lines unchanged, but white space at both ends
    /// is removed. A line without a colon has an empty name.
    pub fn fields(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let mut end = rest.find('\n').map_or(rest.len(), |at| at + 1);
            while rest[end..].starts_with([' ', '\t']) {
                end = rest[end..].find('\n').map_or(rest.len(), |at| end + at + 1);
            }
            let (field, tail) = rest.split_at(end);
            rest = tail;
            let (name, value) = field.split_once(':').unwrap_or(("", field));
            Some((name, value.trim()))
        })
    }

    /// The value of a field. Upper and lower case in names are equal.
    #[must_use]
    pub fn get(self, wanted: &str) -> Option<&'a str> {
        self.fields().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_and_fields_are_parsed_with_and_without_final_newline() {
        let text = "\n\nA: 1\nB:\n x\n\ty \nC:z\n\n\nno colon\na: 2";
        let read: Vec<Vec<_>> = stanzas(text).map(|stanza| stanza.fields().collect()).collect();
        assert_eq!(read, [vec![("A", "1"), ("B", "x\n\ty"), ("C", "z")], vec![("", "no colon"), ("a", "2")]]);
        let mut found = stanzas(text).map(|stanza| stanza.get("A"));
        assert_eq!((found.next(), found.next(), found.next()), (Some(Some("1")), Some(Some("2")), None));
        assert_eq!(stanzas("").count() + stanzas("\n\n\n").count(), 0);
    }
}
