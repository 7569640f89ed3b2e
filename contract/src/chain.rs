//! An error and its causes as text.

use crate::credentials::without_credentials;
use std::{error::Error, fmt};

/// Prints an error and its causes on one line: `cannot start netd: cannot read /x: permission denied`.
///
/// Many errors repeat their cause in their own text. A cause is left out if an error above it has already printed the same text. The texts
/// have no user name and no password of an address.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl Chain<'_> {
    /// The texts of the error and of its causes, outermost first, without repetitions.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let mut texts = vec![without_credentials(&self.0.to_string())];
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = without_credentials(&cause.to_string());
            if !text.is_empty() && !texts.iter().any(|above| repeats(above, &text)) {
                texts.push(text);
            }
            next = cause.source();
        }
        texts
    }
}

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().join(": "))
    }
}

/// Whether `text` contains `cause` as a separate part. A short cause may be part of a word or path by chance (`no` in `not`, `x` in
/// `/x`): that does not count.
fn repeats(text: &str, cause: &str) -> bool {
    let begins = |before: &str| before.is_empty() || before.ends_with([' ', '\n', '(', '"']);
    let ends = |after: &str| after.is_empty() || after.starts_with([':', ';', ',', '.', ')', '"', '\n']);
    text.match_indices(cause).any(|(at, _)| begins(&text[..at]) && ends(&text[at + cause.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error with a text and a cause.
    #[derive(Debug)]
    struct Link(&'static str, Option<Box<Link>>);

    impl fmt::Display for Link {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Link {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    fn printed(texts: &[&'static str]) -> String {
        let chain = texts.iter().rev().fold(None, |cause, text| Some(Box::new(Link(text, cause))));
        Chain(&*chain.unwrap()).to_string()
    }

    #[test]
    fn each_cause_is_printed_once() {
        for (texts, wanted) in [
            (&["outer", "inner"][..], "outer: inner"),
            // Most errors print their cause at the end of their text.
            (&["cannot read /x: no", "no"], "cannot read /x: no"),
            // A wrapper may have the same text as the error that it wraps.
            (&["lost", "lost", "timed out"], "lost: timed out"),
            // An error may print its cause in the middle of its text.
            (&["mirror a: timed out; mirror b: refused", "timed out"], "mirror a: timed out; mirror b: refused"),
            (&["refused (timed out)", "timed out"], "refused (timed out)"),
            // An error may print the cause of its cause.
            (&["cannot start: cannot read: no", "cannot read", "no"], "cannot start: cannot read: no"),
            // The text above may contain the text of the cause by chance.
            (&["cannot", "no"], "cannot: no"),
            (&["cannot read /etc/no/x", "no"], "cannot read /etc/no/x: no"),
            (&["expected 12, found 21", "1"], "expected 12, found 21: 1"),
            // A cause may have an empty text.
            (&["outer", "", "inner"], "outer: inner"),
            // A text may have several lines.
            (&["two lines:\n  no space left", "no space left"], "two lines:\n  no space left"),
        ] {
            assert_eq!(printed(texts), wanted);
        }
    }
}
