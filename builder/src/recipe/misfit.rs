//! How a document differs from the type that it is read into.

use serde::de::{Expected, Unexpected};
use std::{fmt, ops::Range};

/// A document that does not have the shape of the type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// What is wrong.
    pub(super) fault: Fault,
    /// Bytes of the text.
    pub(super) span: Option<Range<usize>>,
    /// What the type asked for at that place.
    pub(super) asked: Option<Asked>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The text is not TOML; what the parser says about it.
    Syntax(String),
    /// A table has a key that its type does not know.
    UnknownKey { key: String, known: &'static [&'static str] },
    /// A table lacks a key.
    MissingKey(&'static str),
    /// A value has another type.
    WrongType { wanted: String, found: Found },
    /// A value of the right type cannot be used.
    BadValue { wanted: String, found: Found },
    /// A word is not one of a closed set.
    UnknownWord { found: String, known: &'static [&'static str] },
    /// Anything else, as a sentence.
    Other(String),
}

/// A value that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Text(String),
    List,
    Table,
    /// A number, a date or a truth value, in words.
    Other(String),
}

/// What a type asks the deserializer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Text,
    List,
    Table,
    /// A whole number, with the limits of its type.
    Whole {
        least: i64,
        most: u64,
    },
    /// A number that may have a fraction.
    Number,
    /// One of several.
    Any,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "string {text:?}"),
            Self::List => f.write_str("a list"),
            Self::Table => f.write_str("a table"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

impl From<Unexpected<'_>> for Found {
    fn from(found: Unexpected<'_>) -> Self {
        match found {
            Unexpected::Str(text) => Self::Text(text.to_owned()),
            Unexpected::Seq => Self::List,
            Unexpected::Map => Self::Table,
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<Fault> for Misfit {
    fn from(fault: Fault) -> Self {
        Self { fault, span: None, asked: None }
    }
}

impl Misfit {
    /// Adds place and question, unless a value further inside has set them.
    pub(super) fn at(mut self, span: &Range<usize>, asked: Asked) -> Self {
        self.span.get_or_insert_with(|| span.clone());
        self.asked.get_or_insert(asked);
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.fault)
    }
}

impl std::error::Error for Misfit {}

impl serde::de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Fault::Other(message.to_string()).into()
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Fault::WrongType { wanted: wanted.to_string(), found: found.into() }.into()
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Fault::BadValue { wanted: wanted.to_string(), found: found.into() }.into()
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Fault::UnknownWord { found: found.to_owned(), known }.into()
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Fault::UnknownKey { key: key.to_owned(), known }.into()
    }

    fn missing_field(key: &'static str) -> Self {
        Fault::MissingKey(key).into()
    }
}
