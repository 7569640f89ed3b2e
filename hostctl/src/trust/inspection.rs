//! Looks at metadata before tough does, and refuses what two readers could understand differently.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{collections::BTreeSet, fmt};

/// The version of the TUF specification whose metadata this host understands.
const SPEC_MAJOR: &str = "1";

/// The fields that are checked here, of every role.
#[derive(Deserialize)]
struct AnyRole {
    signed: AnySigned,
}

#[derive(Deserialize)]
struct AnySigned {
    spec_version: String,
    delegations: Option<Delegations>,
}

#[derive(Deserialize)]
struct Delegations {
    #[serde(default)]
    roles: Vec<IgnoredAny>,
    succinct_roles: Option<IgnoredAny>,
}

/// Checks that all of it is JSON of limited depth, that no object has two values for one key, that the specification's version is known, and
/// that no role is delegated. tough checks the rest.
///
/// # Errors
/// What is wrong, in one sentence.
pub(super) fn inspect(bytes: &[u8]) -> Result<(), String> {
    serde_json::from_slice::<UniqueKeys>(bytes).map_err(|error| error.to_string())?;
    let Ok(AnyRole { signed }) = serde_json::from_slice(bytes) else { return Ok(()) };
    if !is_known(&signed.spec_version) {
        return Err(format!("spec_version: expected {SPEC_MAJOR}.x.y, found {:?}", signed.spec_version));
    }
    let delegated = signed.delegations.is_some_and(|some| !some.roles.is_empty() || some.succinct_roles.is_some());
    if delegated {
        return Err("expected no delegated roles: the targets role itself must sign every release".to_owned());
    }
    Ok(())
}

/// `1.MINOR` or `1.MINOR.PATCH`.
fn is_known(spec_version: &str) -> bool {
    let numbers: Vec<&str> = spec_version.split('.').collect();
    let number = |text: &&str| !text.is_empty() && text.len() < 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers[0] == SPEC_MAJOR && matches!(numbers.len(), 2 | 3) && numbers.iter().all(number)
}

/// Any JSON value in which no object repeats a key.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self.deserialize(deserializer)
    }
}

impl<'de> DeserializeSeed<'de> for UniqueKeys {
    type Value = Self;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self, E> {
        // Canonical JSON has no such numbers, so no signature could cover one.
        Err(E::custom(format!("expected whole numbers, found {number:e}")))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element_seed(UniqueKeys)?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = object.next_key::<String>()? {
            object.next_value_seed(UniqueKeys)?;
            if keys.contains(&key) {
                return Err(A::Error::custom(format!("expected each key once, found {key:?} twice")));
            }
            keys.insert(key);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_of_the_known_specification_are_accepted() {
        for good in ["1.0", "1.0.0", "1.0.31", "1.99.0"] {
            assert!(is_known(good), "{good}");
        }
        for bad in ["", "1", "2.0.0", "0.9", "1.0.0.0", "1.", "1..0", "1.x", "10.0", "01.0", " 1.0", "1.0-rc", "1.+1"] {
            assert!(!is_known(bad), "{bad}");
        }
    }

    #[test]
    fn repeated_keys_are_found_at_every_depth() {
        for good in [r#"{"a": 1, "b": [{"a": null}, {"a": true}]}"#, "7", r#"{"a": -1}"#] {
            assert_eq!(inspect(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [r#"{"a": 1, "a": 1}"#, r#"[{"x": {"a": 1, "\u0061": 2}}]"#, r#"{"a": 1.5}"#, "[", "", "{} x"] {
            inspect(bad.as_bytes()).expect_err(bad);
        }
        // The stack must not end first.
        assert!(inspect("[".repeat(1 << 20).as_bytes()).unwrap_err().contains("recursion limit"));
    }
}
