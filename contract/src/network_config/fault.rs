//! Faults of values: the path of the key, what was expected, and what was found.

pub(super) fn number(
    place: &str,
    key: &str,
    value: Option<u32>,
    allowed: std::ops::RangeInclusive<u32>,
) -> Result<(), String> {
    match value.filter(|value| !allowed.contains(value)) {
        Some(value) => Err(format!("{place}.{key}: expected {} to {}, found {value}", allowed.start(), allowed.end())),
        None => Ok(()),
    }
}

/// A key that only some modes have.
pub(super) fn needs(place: &str, key: &str, is_given: bool, allowed: bool, expected: &str) -> Result<(), String> {
    unless(place, key, expected, (is_given && !allowed).then_some("another mode"))
}

/// `wrong` is what was found.
pub(super) fn unless(
    place: &str,
    key: &str,
    expected: &str,
    wrong: Option<impl std::fmt::Display>,
) -> Result<(), String> {
    wrong.map_or(Ok(()), |found| Err(format!("{place}.{key}: expected {expected}, found {found}")))
}
