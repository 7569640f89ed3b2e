//! What is wrong with a key or a type, in words for users.

use crate::{
    misfit::{Asked, Fault, Found, Misfit},
    nearest::nearest,
};
use std::ops::Range;

/// A fault of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Byte range in the text.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// The expected value.
    pub expected: Option<String>,
    /// The value found.
    pub found: Option<String>,
    /// The next step for the user.
    pub hint: Option<String>,
}

/// A hint for a name with a dot.
const DOTS: &str = "in TOML, a dot in a key makes a table: write a name with a dot in quotes";
const TOML: &str = "TOML has texts in quotes, lists in [ ], one key = value on each line; see https://toml.io";

/// Explains a misfit. `place_of` returns a hint for an unknown key that is not similar to a known one.
#[must_use]
pub fn explain(
    text: &str,
    misfit: Misfit,
    place_of: impl Fn(&str, &'static [&'static str]) -> Option<String>,
) -> Explanation {
    let Misfit { fault, span, asked } = misfit;
    let span = span.unwrap_or_default();
    let plain = |message: String| Explanation { span: span.clone(), message, expected: None, found: None, hint: None };
    match fault {
        Fault::Syntax(message) => Explanation { hint: Some(TOML.to_owned()), ..plain(message) },
        Fault::Other(message) => plain(message),
        Fault::MissingKey(key) => plain(format!("key `{key}` is missing")),
        Fault::UnknownKey { key, known } => {
            let near = nearest(&key, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            Explanation {
                expected: Some(known.join(", ")),
                hint: near.or_else(|| place_of(&key, known)),
                ..plain(format!("unknown key `{key}`"))
            }
        }
        Fault::WrongType { wanted, found } => {
            let value = text.get(span.clone()).unwrap_or_default();
            Explanation {
                expected: Some(type_name(asked, wanted)),
                hint: how_to_write(asked, &found, value),
                found: Some(found.to_string()),
                ..plain("wrong type".to_owned())
            }
        }
        Fault::BadValue { wanted, found } => {
            let expected = match asked {
                Some(Asked::Whole { least, most }) => format!("a whole number from {least} to {most}"),
                _ => wanted,
            };
            let found = match found {
                Found::Text(text) => format!("{text:?}"),
                other => other.to_string(),
            };
            Explanation { expected: Some(expected), found: Some(found), ..plain("value is not valid".to_owned()) }
        }
        Fault::UnknownWord { found, known } => Explanation {
            expected: Some(known.join(", ")),
            hint: nearest(&found, known.iter().copied()).map(|near| format!("did you mean {near:?}?")),
            found: Some(format!("{found:?}")),
            ..plain("unknown value".to_owned())
        },
    }
}

/// Whether a value may be part of a message. A long one is a certificate or a key.
pub(crate) fn may_be_shown(value: &str) -> bool {
    value.len() <= 80 && !value.contains("-----")
}

fn type_name(asked: Option<Asked>, wanted: String) -> String {
    match asked {
        Some(Asked::Whole { .. }) => "a whole number".to_owned(),
        Some(Asked::Number) => "a number".to_owned(),
        Some(Asked::Table) => "a table".to_owned(),
        _ => wanted,
    }
}

fn how_to_write(asked: Option<Asked>, found: &Found, value: &str) -> Option<String> {
    // The value is a number or a word without quotes.
    let bare = value.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    match (asked, found) {
        (Some(Asked::Text), Found::Table) => Some(DOTS.to_owned()),
        (Some(Asked::Text), Found::Other(_)) if bare => Some(format!("write \"{}\"", value.trim_start_matches("0o"))),
        (Some(Asked::List), Found::Text(_)) if may_be_shown(value) => Some(format!("write [{value}]")),
        _ => None,
    }
}

impl Explanation {
    /// The hint for a name with a dot that is not in quotes.
    #[must_use]
    pub fn dots() -> String {
        DOTS.to_owned()
    }
}
