//! A wrong value of host.toml: the key, the expected and the found value, and a hint.
//!
//! The checks of the types know the key, but not the text. The program that has read the text adds line and column.

use std::fmt;

/// A value that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// The path of the value as in TOML, with positions in lists from 0: `container[0].env."a.b"`. Empty: the file itself.
    pub key: String,
    /// The expected value.
    pub expected: String,
    /// The value found. Never a secret.
    pub found: String,
    /// The next step for the user.
    pub hint: Option<String>,
}

impl ConfigFault {
    /// A fault of the value itself. The callers add its place with [`ConfigFault::within`] and [`ConfigFault::item`].
    #[must_use]
    pub fn new(expected: impl Into<String>, found: impl fmt::Display) -> Self {
        Self { key: String::new(), expected: expected.into(), found: found.to_string(), hint: None }
    }

    /// A fault of the value with this path.
    #[must_use]
    pub fn of(key: &str, expected: impl Into<String>, found: impl fmt::Display) -> Self {
        Self { key: key.to_owned(), ..Self::new(expected, found) }
    }

    /// Adds the key of the table that contains the value.
    #[must_use]
    pub fn within(mut self, key: &str) -> Self {
        let is_bare = !key.is_empty() && key.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-".contains(&c));
        let outer = if is_bare { key.to_owned() } else { format!("{key:?}") };
        let dot = if self.key.is_empty() || self.key.starts_with('[') { "" } else { "." };
        self.key = format!("{outer}{dot}{}", self.key);
        self
    }

    /// Adds the position in the list of this key.
    #[must_use]
    pub fn item(mut self, key: &str, index: usize) -> Self {
        let dot = if self.key.is_empty() { "" } else { "." };
        self.key = format!("[{index}]{dot}{}", self.key);
        self.within(key)
    }

    /// Adds a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

impl std::error::Error for ConfigFault {}

/// For programs that only show it.
impl From<ConfigFault> for String {
    fn from(fault: ConfigFault) -> Self {
        fault.to_string()
    }
}

/// Checks each item of a list, and adds its place to the first fault.
///
/// # Errors
/// The fault of the first item that has one.
pub fn check_items<T>(
    key: &str,
    items: &[T],
    check: impl Fn(&T) -> Result<(), ConfigFault>,
) -> Result<(), ConfigFault> {
    items.iter().enumerate().try_for_each(|(index, item)| check(item).map_err(|fault| fault.item(key, index)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_the_place_of_its_value() {
        let odd = |number: &u32| {
            (number % 2 == 1).then_some(()).ok_or_else(|| ConfigFault::of("size", "an odd number", number))
        };
        let fault = check_items("disk", &[1, 4], odd).unwrap_err().within("store");
        assert_eq!(fault.to_string(), "store.disk[1].size: expected an odd number, found 4");
        let quoted = ConfigFault::of("ca", "a", "b").within("docker.io").within("registry");
        assert_eq!(quoted.key, "registry.\"docker.io\".ca");
        assert_eq!(ConfigFault::new("a", "b").item("x", 0).key, "x[0]");
        assert_eq!(check_items("disk", &[1, 3], odd), Ok(()));
        assert_eq!(ConfigFault::new("a", "b").to_string(), "expected a, found b");
    }
}
