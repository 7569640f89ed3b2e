//! Resource limits of a service: a number, or none.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Unexpected, Visitor},
};
use std::fmt;

/// A resource limit: a number, or `"unlimited"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// At most this number.
    Number(u64),
    /// No limit.
    Unlimited,
}

/// The word for no limit.
const UNLIMITED: &str = "unlimited";

impl Limit {
    /// The number; `None` for no limit.
    #[must_use]
    pub fn number(self) -> Option<u64> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => to.serialize_u64(*number),
            Self::Unlimited => to.serialize_str(UNLIMITED),
        }
    }
}

// By hand: the code that serde derives for an untagged enum is large, and PID 1 has a size limit.
impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Found;
        impl Visitor<'_> for Found {
            type Value = Limit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number or \"{UNLIMITED}\"")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Limit, E> {
                Ok(Limit::Number(number))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Limit, E> {
                let found = || de::Error::invalid_value(Unexpected::Signed(number), &self);
                u64::try_from(number).map(Limit::Number).map_err(|_| found())
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Limit, E> {
                let is_known = word == UNLIMITED;
                is_known
                    .then_some(Limit::Unlimited)
                    .ok_or_else(|| de::Error::invalid_value(Unexpected::Str(word), &self))
            }
        }
        from.deserialize_any(Found)
    }
}
