//! The error type of deserialization: how a document differs from the expected type.

use serde::de::{Expected, Unexpected};
use std::{fmt, ops::Range};

/// A document that does not have the shape of the type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The kind of fault.
    pub fault: Fault,
    /// Byte range in the text.
    pub span: Option<Range<usize>>,
    /// The kind of value that the type expects at this place.
    pub asked: Option<Asked>,
}

/// The kind of fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The text is not valid TOML. Contains the message of the parser.
    Syntax(String),
    /// A table has an unknown key.
    UnknownKey { key: String, known: &'static [&'static str] },
    /// A table does not have a required key.
    MissingKey(&'static str),
    /// A value has another type.
    WrongType { wanted: String, found: Found },
    /// A value has the right type but is not valid.
    BadValue { wanted: String, found: Found },
    /// A word is not one of the allowed words.
    UnknownWord { found: String, known: &'static [&'static str] },
    /// Any other fault, as a sentence.
    Other(String),
}

/// The value found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Text(String),
    List,
    Table,
    /// A number, a date or a boolean, described in words.
    Other(String),
}

/// The kind of value that a type requests from the deserializer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Text,
    List,
    Table,
    /// An integer, with the limits of its type.
    Whole {
        least: i64,
        most: u64,
    },
    /// A number that may have a fraction.
    Number,
    /// A value of any kind.
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
    /// Adds the place and the expected kind, unless a nested value has set them already.
    pub fn at(mut self, span: &Range<usize>, asked: Asked) -> Self {
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
