//! The query of a request's target, and the names in its path.

use crate::failure::Failure;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

/// Longest name in a path or value in a query, in bytes.
const LONGEST: usize = 256;

/// A parameter of a query.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it does, for the API's document.
    pub about: &'static str,
    /// Its values.
    pub kind: Kind,
}

/// The values of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
}

/// The values of a query.
#[derive(Debug, Default)]
pub(crate) struct Query {
    flags: BTreeMap<&'static str, bool>,
    numbers: BTreeMap<&'static str, u32>,
}

impl Query {
    /// Reads a query. Only these parameters are allowed, each once.
    pub(crate) fn parse(text: &str, known: &'static [Parameter]) -> Result<Self, Failure> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let fault = |expected: &'static str, found: &str| Failure::Value {
                key: "query".to_owned(),
                expected,
                found: format!("{:?}", found.chars().take(LONGEST).collect::<String>()),
            };
            let Some(parameter) = known.iter().find(|one| one.name == key) else {
                return Err(fault("a parameter of this path", key));
            };
            let twice = match parameter.kind {
                Kind::Flag => {
                    let value = value.parse().map_err(|_| fault("true or false", pair))?;
                    query.flags.insert(parameter.name, value).is_some()
                }
                Kind::Number => {
                    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                    let value = value.parse().ok().filter(|_| digits);
                    query.numbers.insert(parameter.name, value.ok_or_else(|| fault("a whole number", pair))?).is_some()
                }
            };
            if twice {
                return Err(fault("each parameter once", pair));
            }
        }
        Ok(query)
    }

    /// The value of a flag; false if it is absent.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.flags.get(name).copied().unwrap_or(false)
    }

    /// The value of a number.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }
}

/// Decodes a name in a path. `None` if no service or container can have this name: then there is no such path.
pub(crate) fn name(segment: &str) -> Option<String> {
    let name = percent_decode_str(segment).decode_utf8().ok()?;
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.:@".contains(c);
    let is_name = !name.is_empty() && name.len() <= LONGEST && name.chars().all(good) && !name.starts_with('.');
    is_name.then(|| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Parameter] = &[
        Parameter { name: "follow", about: "", kind: Kind::Flag },
        Parameter { name: "tail", about: "", kind: Kind::Number },
    ];

    #[test]
    fn only_known_parameters_with_good_values_are_taken() {
        let query = Query::parse("follow=true&tail=7", KNOWN).unwrap();
        assert_eq!((query.flag("follow"), query.number("tail"), query.number("x")), (true, Some(7), None));
        assert!(!Query::parse("", KNOWN).unwrap().flag("follow"));
        for bad in ["follow", "follow=1", "tail=-1", "tail=+1", "tail=", "tail=99999999999", "x=1", "tail=1&tail=1"] {
            assert!(matches!(Query::parse(bad, KNOWN), Err(Failure::Value { .. })), "{bad}");
        }
    }

    #[test]
    fn a_name_leads_to_no_other_path() {
        assert_eq!(name("web-1.a_b").as_deref(), Some("web-1.a_b"));
        assert_eq!(name("w%65b").as_deref(), Some("web"));
        for bad in
            ["", ".", "..", "%2e%2e", "a%2fb", "a%00", "%ff", "a b", "a%0a", ".hidden", "%c3%a1", &"x".repeat(300)]
        {
            assert_eq!(name(bad), None, "{bad}");
        }
    }
}
