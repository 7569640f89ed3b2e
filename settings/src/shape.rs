//! Deserializes TOML text, with structured errors.
//!
//! The deserializer of the crate `toml` reports an error as one English sentence. A message for users needs the parts: the key, the
//! expected value and the value found. So this deserializer walks the parsed document, and its error type keeps these parts.

use crate::misfit::{Asked, Fault, Misfit};
use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
        value::MapAccessDeserializer,
    },
    forward_to_deserialize_any,
};
use serde_spanned::de::{SpannedDeserializer, is_spanned};
use std::ops::Range;
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

/// Deserializes a document.
///
/// # Errors
/// The first fault.
pub fn from_text<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Misfit> {
    from_table(table(text)?)
}

/// Parses a document.
///
/// # Errors
/// The text is not valid TOML.
pub(crate) fn table(text: &str) -> Result<Spanned<DeTable<'_>>, Misfit> {
    DeTable::parse(text)
        .map_err(|error| Misfit { span: error.span(), ..Fault::Syntax(error.message().to_owned()).into() })
}

/// Deserializes a parsed document.
///
/// # Errors
/// The first fault.
pub(crate) fn from_table<'de, T: Deserialize<'de>>(table: Spanned<DeTable<'de>>) -> Result<T, Misfit> {
    let span = table.span();
    T::deserialize(Value { value: DeValue::Table(table.into_inner()), span })
}

/// The keys of a table type. They are taken from the error that the type returns for an unknown key.
#[must_use]
pub fn keys_of<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    match from_text::<T>("'?' = 0") {
        Err(Misfit { fault: Fault::UnknownKey { known, .. }, .. }) => known,
        _ => &[],
    }
}

/// The keys of the outermost table, as far as the text is valid TOML.
#[must_use]
pub fn top_level_keys(text: &str) -> Vec<String> {
    let (table, _) = DeTable::parse_recoverable(text);
    table.get_ref().keys().map(|key| key.get_ref().to_string()).collect()
}

/// A value of the document and its place.
struct Value<'de> {
    value: DeValue<'de>,
    span: Range<usize>,
}

impl<'de> From<Spanned<DeValue<'de>>> for Value<'de> {
    fn from(spanned: Spanned<DeValue<'de>>) -> Self {
        Self { span: spanned.span(), value: spanned.into_inner() }
    }
}

impl<'de> Value<'de> {
    fn into_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Misfit> {
        let span = self.span.clone();
        seed.deserialize(self).map_err(|misfit| misfit.at(&span, Asked::Any))
    }

    fn visit<V: Visitor<'de>>(self, asked: Asked, visitor: V) -> Result<V::Value, Misfit> {
        let Self { value, span } = self;
        let visited = match value {
            DeValue::String(DeString::Borrowed(text)) => visitor.visit_borrowed_str(text),
            DeValue::String(DeString::Owned(text)) => visitor.visit_string(text),
            DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => Err(Misfit::invalid_value(Unexpected::Other(&digits.to_string()), &"at most 63 bits")),
            },
            DeValue::Float(digits) => match digits.as_str().parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(Misfit::invalid_value(Unexpected::Other(digits.as_str()), &"a number")),
            },
            DeValue::Boolean(truth) => visitor.visit_bool(truth),
            DeValue::Datetime(date) => {
                Err(Misfit::invalid_type(Unexpected::Other(&format!("date `{date}`")), &visitor))
            }
            DeValue::Array(items) => visitor.visit_seq(Items(items.into_iter().map(Value::from))),
            DeValue::Table(table) => visitor.visit_map(pairs(table)),
        };
        visited.map_err(|misfit| misfit.at(&span, asked))
    }
}

/// The items of an array. If a type refuses an item after reading it, the error has the place of the item.
struct Items<I>(I);

impl<'de, I: Iterator<Item = Value<'de>>> SeqAccess<'de> for Items<I> {
    type Error = Misfit;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        self.0.next().map(|value| value.into_seed(seed)).transpose()
    }
}

/// The keys and values of a table.
struct Pairs<'de> {
    pairs: <DeTable<'de> as IntoIterator>::IntoIter,
    value: Option<Value<'de>>,
}

fn pairs(table: DeTable<'_>) -> Pairs<'_> {
    Pairs { pairs: table.into_iter(), value: None }
}

/// What a value is, for a type that expects a table.
fn unexpected<'a>(value: &'a DeValue<'_>) -> Unexpected<'a> {
    match value {
        DeValue::String(text) => Unexpected::Str(text),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => Unexpected::Signed(number),
            Err(_) => Unexpected::Other("a large number"),
        },
        DeValue::Float(digits) => digits.as_str().parse().map_or(Unexpected::Other("a number"), Unexpected::Float),
        DeValue::Boolean(truth) => Unexpected::Bool(*truth),
        DeValue::Datetime(_) => Unexpected::Other("a date"),
        DeValue::Array(_) => Unexpected::Seq,
        DeValue::Table(_) => Unexpected::Map,
    }
}

impl<'de> MapAccess<'de> for Pairs<'de> {
    type Error = Misfit;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        let Some((key, value)) = self.pairs.next() else { return Ok(None) };
        self.value = Some(value.into());
        seed.deserialize(Key::from(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        self.value.take().ok_or_else(|| Misfit::custom("a value is asked for before its key"))?.into_seed(seed)
    }
}

/// Methods for integers.
macro_rules! whole {
    ($($method:ident $kind:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            let most = u64::try_from(<$kind>::MAX).unwrap_or(u64::MAX);
            self.visit(Asked::Whole { least: i64::try_from(<$kind>::MIN).unwrap_or(i64::MIN), most }, visitor)
        }
    )*};
}

/// Methods for other kinds of values.
macro_rules! asks {
    ($($method:ident $asked:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            self.visit(Asked::$asked, visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Misfit;

    whole!(
        deserialize_u8 u8, deserialize_u16 u16, deserialize_u32 u32, deserialize_u64 u64,
        deserialize_i8 i8, deserialize_i16 i16, deserialize_i32 i32, deserialize_i64 i64
    );
    asks!(
        deserialize_any Any, deserialize_str Text, deserialize_string Text, deserialize_seq List, deserialize_map Table,
        deserialize_f32 Number, deserialize_f64 Number
    );
    forward_to_deserialize_any! { bool char bytes byte_buf unit unit_struct identifier ignored_any }

    /// TOML has no null: an existing value is always `Some`.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.visit(Asked::List, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.visit(Asked::List, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if is_spanned(name) {
            let span = self.span.clone();
            return visitor.visit_map(SpannedDeserializer::new(self, span));
        }
        // Not by `visit`: the code of each struct for lists would be large, and no list is a struct.
        let Self { value, span } = self;
        let visited = match value {
            DeValue::Table(table) => visitor.visit_map(pairs(table)),
            other => Err(Misfit::invalid_type(unexpected(&other), &visitor)),
        };
        visited.map_err(|misfit| misfit.at(&span, Asked::Table))
    }

    /// An enum without content is a string, and one with content a table with one key: its name.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let span = self.span.clone();
        match self.value {
            DeValue::String(word) => visitor.visit_enum(IntoDeserializer::<Misfit>::into_deserializer(word)),
            DeValue::Table(table) if table.len() == 1 => visitor.visit_enum(MapAccessDeserializer::new(pairs(table))),
            _ => return self.visit(Asked::Text, visitor),
        }
        .map_err(|misfit| misfit.at(&span, Asked::Text))
    }
}

impl<'de> IntoDeserializer<'de, Misfit> for Value<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A key of a table and its place.
struct Key<'de> {
    name: DeString<'de>,
    span: Range<usize>,
}

impl<'de> From<Spanned<DeString<'de>>> for Key<'de> {
    fn from(spanned: Spanned<DeString<'de>>) -> Self {
        Self { span: spanned.span(), name: spanned.into_inner() }
    }
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let visited: Result<V::Value, Misfit> = match self.name {
            DeString::Borrowed(name) => visitor.visit_borrowed_str(name),
            DeString::Owned(name) => visitor.visit_string(name),
        };
        visited.map_err(|misfit| misfit.at(&self.span, Asked::Text))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if is_spanned(name) {
            let span = self.span.clone();
            return visitor.visit_map(SpannedDeserializer::new(self, span));
        }
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Misfit> for Key<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::misfit::Found;
    use berth_contract::container::PortSpec;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: Option<Spanned<String>>,
        small: Option<u8>,
        part: Option<f64>,
        items: Option<Vec<Spanned<String>>>,
        word: Option<Word>,
        ready: Option<Ready>,
        ports: Option<Vec<PortSpec>>,
        table: Option<BTreeMap<Spanned<String>, bool>>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case")]
    enum Ready {
        Exit,
        Socket(String),
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Word {
        First,
        Second,
    }

    fn misfit(text: &str) -> (Fault, &str, Option<Asked>) {
        let Misfit { fault, span, asked } = from_text::<Sample>(text).unwrap_err();
        (fault, &text[span.unwrap_or_default()], asked)
    }

    #[test]
    fn values_keep_their_places() {
        let text = "name = 'x'\nsmall = 0xff\npart = 1\nitems = ['a', \"b\\n\"]\nword = 'first'\nports = ['1:2']\ntable.'a.b' = true\n";
        let sample: Sample = from_text(text).unwrap();
        assert_eq!(&text[sample.name.unwrap().span()], "'x'");
        assert_eq!((sample.small, sample.part), (Some(255), Some(1.0)));
        let items = sample.items.unwrap();
        assert_eq!((items[1].get_ref().as_str(), &text[items[1].span()]), ("b\n", "\"b\\n\""));
        assert!(matches!(sample.word, Some(Word::First)));
        assert_eq!(sample.ports.unwrap()[0].container, 2);
        let table = sample.table.unwrap();
        let (key, value) = table.iter().next().unwrap();
        assert_eq!((key.get_ref().as_str(), &text[key.span()], *value), ("a.b", "'a.b'", true));
    }

    #[test]
    fn an_error_has_its_parts_and_its_place() {
        let known = &["name", "small", "part", "items", "word", "ready", "ports", "table"][..];
        assert_eq!(keys_of::<Sample>(), known);
        assert_eq!(misfit("x = 1"), (Fault::UnknownKey { key: "x".to_owned(), known }, "x", Some(Asked::Text)));
        let (fault, at, asked) = misfit("name = []");
        assert!(matches!(fault, Fault::WrongType { found: Found::List, .. }), "{fault:?}");
        assert_eq!((at, asked), ("[]", Some(Asked::Text)));
        let (fault, at, asked) = misfit("items = ['a', 7]");
        assert!(matches!(fault, Fault::WrongType { found: Found::Other(_), .. }), "{fault:?}");
        assert_eq!((at, asked), ("7", Some(Asked::Text)));
        let (fault, at, asked) = misfit("items = 'a'");
        assert!(matches!(fault, Fault::WrongType { found: Found::Text(_), .. }), "{fault:?}");
        assert_eq!((at, asked), ("'a'", Some(Asked::List)));
        let (fault, at, asked) = misfit("small = 256");
        assert!(matches!(fault, Fault::BadValue { .. }), "{fault:?}");
        assert_eq!((at, asked), ("256", Some(Asked::Whole { least: 0, most: 255 })));
        assert!(matches!(misfit("small = 99999999999999999999").0, Fault::BadValue { .. }));
        assert!(matches!(misfit("part = 2020-01-01").0, Fault::WrongType { found: Found::Other(_), .. }));
        let (fault, at, _) = misfit("word = 'third'");
        assert_eq!(fault, Fault::UnknownWord { found: "third".to_owned(), known: &["first", "second"] });
        assert_eq!(at, "'third'");
        let ready = |text: &str| from_text::<Sample>(text).unwrap().ready;
        assert_eq!(ready("ready = 'exit'"), Some(Ready::Exit));
        assert_eq!(ready("ready = { socket = '/x' }"), Some(Ready::Socket("/x".to_owned())));
        assert!(matches!(misfit("ready = { socket = 1 }"), (Fault::WrongType { .. }, "1", Some(Asked::Text))));
        assert!(matches!(misfit("ready = { soket = '/x' }"), (Fault::UnknownWord { .. }, _, _)));
        assert!(matches!(misfit("word = 3").0, Fault::WrongType { .. }));
        assert!(matches!(misfit("x ="), (Fault::Syntax(_), _, None)));
        // An error of the type itself, not of serde.
        let (fault, at, _) = misfit("ports = ['80:80', 'x']");
        assert!(matches!(fault, Fault::BadValue { found: Found::Text(_), .. }), "{fault:?}");
        assert_eq!(at, "'x'");
    }
}
