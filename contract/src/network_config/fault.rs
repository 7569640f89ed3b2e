//! Faults of values: the path of the key, what was expected, and what was found.

use crate::config_fault::ConfigFault;

pub(super) fn number(
    place: &str,
    key: &str,
    value: Option<u32>,
    allowed: std::ops::RangeInclusive<u32>,
) -> Result<(), ConfigFault> {
    match value.filter(|value| !allowed.contains(value)) {
        Some(value) => {
            Err(ConfigFault::of(&format!("{place}.{key}"), format!("{} to {}", allowed.start(), allowed.end()), value))
        }
        None => Ok(()),
    }
}

/// A key that only some modes have.
pub(super) fn needs(place: &str, key: &str, is_given: bool, allowed: bool, expected: &str) -> Result<(), ConfigFault> {
    unless(place, key, expected, (is_given && !allowed).then_some("another mode"))
}

/// `wrong` is what was found.
pub(super) fn unless(
    place: &str,
    key: &str,
    expected: &str,
    wrong: Option<impl std::fmt::Display>,
) -> Result<(), ConfigFault> {
    wrong.map_or(Ok(()), |found| Err(ConfigFault::of(&format!("{place}.{key}"), expected, found)))
}
